"""Small objects and operator methods: spheres, seen along rays."""

SIZE = 40
PEER_SIZE = 4
ONE = "Sphere.distance"


class Vector:
    __slots__ = ("x", "y", "z")

    def __init__(self, x, y, z):
        self.x = x
        self.y = y
        self.z = z

    def __add__(self, other):
        return Vector(self.x + other.x, self.y + other.y, self.z + other.z)

    def __sub__(self, other):
        return Vector(self.x - other.x, self.y - other.y, self.z - other.z)

    def __mul__(self, factor):
        return Vector(self.x * factor, self.y * factor, self.z * factor)

    def dot(self, other):
        return self.x * other.x + self.y * other.y + self.z * other.z

    def unit(self):
        length = self.dot(self) ** 0.5
        return self * (1.0 / length)


class Sphere:
    def __init__(self, centre, radius, shade):
        self.centre = centre
        self.radius = radius
        self.shade = shade

    def distance(self, eye, ray):
        towards = self.centre - eye
        along = towards.dot(ray)
        beside = towards.dot(towards) - along * along
        room = self.radius * self.radius - beside
        if room < 0:
            return None
        found = along - room**0.5
        return found if found > 0 else None


def colour(spheres, eye, ray, light):
    nearest = None
    hit = None
    for sphere in spheres:
        distance = sphere.distance(eye, ray)
        if distance is not None and (nearest is None or distance < nearest):
            nearest = distance
            hit = sphere
    if hit is None:
        return 0.1
    point = eye + ray * nearest
    normal = (point - hit.centre).unit()
    return hit.shade * max(0.0, normal.dot(light))


def run(size):
    spheres = [Sphere(Vector(i - 2.0, (i % 3) - 1.0, 6.0 + i), 1.0, 0.2 * i) for i in range(1, 5)]
    eye = Vector(0.0, 0.0, 0.0)
    light = Vector(1.0, 1.0, -1.0).unit()
    total = 0.0
    for y in range(size):
        for x in range(size):
            ray = Vector(2.0 * x / size - 1, 2.0 * y / size - 1, 1.0).unit()
            total += colour(spheres, eye, ray, light)
    return repr(total)
