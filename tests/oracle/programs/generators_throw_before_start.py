"""throw into a generator that has not begun."""


def generator(argument):
    local = argument
    yield local


it = generator(1)
try:
    it.throw(KeyError)
except KeyError:
    caught = 1
