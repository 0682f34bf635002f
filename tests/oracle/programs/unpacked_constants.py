"""Constants unpacked into variables: the compiler may leave the tuple out and choose an order."""


def two():
    a, b = 0, 1
    return a, b


def three():
    a, b, c = 0, 1, 2
    return a, b, c


def equal():
    a, b = None, None
    return a, b


two()
three()
equal()
