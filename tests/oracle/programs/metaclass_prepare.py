"""Metaclasses: a dict from __prepare__, then a mapping whose contents can't be read."""


class Meta(type):
    @classmethod
    def __prepare__(mcls, name, bases):
        return {"given": 1}

    def __setattr__(cls, name, value):
        super().__setattr__(name, value)


class Noisy(dict):
    def __setitem__(self, key, value):
        upper = str(key).upper()
        dict.__setitem__(self, key, value)


class MetaNoisy(type):
    @classmethod
    def __prepare__(mcls, name, bases):
        return Noisy()

    def __new__(mcls, name, bases, namespace):
        return super().__new__(mcls, name, bases, dict(namespace))


class One(metaclass=Meta):
    given = 2
    other = 3


class Two(metaclass=MetaNoisy):
    x = 1
    x = 2
    del x


One.given = 4
Two.late = 5
