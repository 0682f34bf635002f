"""Functions of functions: cells, decorators, `nonlocal`, keyword and star arguments."""

import functools

SIZE = 5000
PEER_SIZE = 30
ONE = "counter.<locals>.step"


def counter(start):
    value = start

    def step(by=1):
        nonlocal value
        value += by
        return value

    return step


def counted(function):
    calls = 0

    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        nonlocal calls
        calls += 1
        wrapper.calls = calls
        return function(*args, **kwargs)

    return wrapper


def compose(*functions):
    def composed(value):
        for function in functions:
            value = function(value)
        return value

    return composed


@counted
def scale(value, *, factor=2):
    scaled = value * factor
    return scaled % 1009


def run(size):
    step = counter(0)
    pipeline = compose(scale, lambda value: value + 1, scale)
    total = 0
    for i in range(size):
        total += pipeline(i) + step(by=i % 3)
    return total
