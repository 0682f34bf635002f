"""__slots__, alone and with a dict, unbound and deleted slots."""


class Point:
    __slots__ = ("x", "y")

    def __init__(self, x):
        self.x = x


class Wide(Point):
    z = 1


point = Point(1)
point.x = 2
point.y = 3
del point.x
point.x = point.y
try:
    point.w = 1
except AttributeError:
    pass
wide = Wide(5)
wide.x += 1
wide.w = 1
wide.w = [1]
del wide.w, wide.x
