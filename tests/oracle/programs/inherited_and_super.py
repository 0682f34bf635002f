"""Attributes set through super, class methods, multiple inheritance."""


class A:
    def __init__(self):
        self.a = 1
        super().__init__()


class B:
    def __init__(self):
        self.b = self.a + 1


class C(A, B):
    __slots__ = ("s",)
    count = 0

    def __init__(self):
        super().__init__()
        C.count += 1
        self.count += 1
        self.s = self
        type(self).count = 10
        self.__class__.count += 1

    def __init_subclass__(cls, tag=None):
        cls.tag = tag


class D(C, tag="d"):
    pass


d = D()
d.s = None
setattr(d, "hidden", 1)
d.__dict__["direct"] = 2
d.direct = 3
