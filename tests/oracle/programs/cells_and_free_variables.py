"""Closure variables, written by both sides."""


def counter(start):
    count = start

    def bump(by=1):
        nonlocal count
        count += by
        return count

    def read():
        return count

    bump()
    count = count * 2
    bump(5)
    return bump, read


bump, read = counter(1)
bump()
other, _ = counter(100)
other()
bump(2)
value = read()
