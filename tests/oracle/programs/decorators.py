"""Decorators on functions, methods and classes."""
import functools


def twice(function):
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        first = function(*args, **kwargs)
        return first, function(*args, **kwargs)

    return wrapper


def named(name):
    def decorate(cls):
        cls.name = name
        return cls

    return decorate


@twice
@twice
def add(a, b=1):
    total = a + b
    return total


@named("box")
class Box:
    @staticmethod
    def make(n):
        made = n
        return made

    @classmethod
    def build(cls, n=2):
        return cls.make(n)

    @functools.lru_cache
    def cached(self, n):
        square = n * n
        return square


add(1)
add(1, b=5)
Box.make(3)
Box.build()
box = Box()
box.cached(2)
box.cached(2)
