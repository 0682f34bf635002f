"""Properties and own descriptors: old is ?, their code's events come first."""


class Celsius:
    def __init__(self):
        self._degrees = 0

    @property
    def degrees(self):
        return self._degrees

    @degrees.setter
    def degrees(self, value):
        if value < -273:
            raise ValueError(value)
        self._degrees = value

    @degrees.deleter
    def degrees(self):
        self._degrees = None


class Field:
    def __set_name__(self, owner, name):
        self.name = name

    def __set__(self, instance, value):
        instance.__dict__[self.name] = value


class Record:
    field = Field()


class Reader:
    def __get__(self, instance, owner):
        return 1


class Shadowed:
    reader = Reader()


c = Celsius()
c.degrees = 20
c.degrees += 5
try:
    c.degrees = -300
except ValueError:
    c.degrees = -1
del c.degrees
record = Record()
record.field = 1
record.field = 2
shadowed = Shadowed()
shadowed.reader = 2
shadowed.reader = 3
