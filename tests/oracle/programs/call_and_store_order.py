"""Calls in the middle of stores: the order of events is the order of execution."""
trace = []


class Box:
    pass


def note(value):
    last = value
    trace.append(value)
    return value


box = Box()
xs = [0, 0, 0]
xs[note(0)] = note(1)
box.a, box.b = note(2), note(3)
xs[note(1)] += note(4)
note(5); a = note(6); a = note(7)
d = {note("k"): note(8), note("m"): note(9)}
d[note("k")] = d[note("m")] = note(10)
a, xs[note(2)] = note(11), note(12)
box.c = [note(n) for n in range(2)]
assert note(True), note(False)
f = lambda n=note(13): note(n)
f(note(14))
