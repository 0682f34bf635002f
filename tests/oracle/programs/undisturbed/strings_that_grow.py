"""s += "x" grows the string in place, as long as nobody else holds it."""


def moves(count):
    """How often the string was somewhere else after `s += "x"`."""
    s = "start" * 20
    moved = 0
    for _ in range(count):
        before = id(s)
        s += "x"
        moved += before != id(s)
    return moved


print("in place" if moves(4000) < 1000 else "copied each time")
