"""Arguments that a nested function closes over: NEW as arguments, stored to as cells."""


def outer(a, b, *rest, key=None):
    def inner():
        nonlocal a
        a = a + b
        return rest, key

    b = 10
    inner()
    return a


outer(1, 2)
outer(1, 2, 3, key="k")
