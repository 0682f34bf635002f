"""What a program sees of itself: frames, locals(), ids, sizes, hashes, iteration."""
import gc
import inspect
import sys
import types


class Box:
    def __init__(self):
        self.a = 1
        self.b = [1]


def look(argument):
    first = 1
    names = sorted(locals())
    frame = sys._getframe()
    caller = frame.f_back.f_code.co_name
    second = frame.f_lineno
    names = sorted(frame.f_locals), frame.f_trace
    return names, caller, second, frame.f_code.co_name


def generator():
    received = yield inspect.getgeneratorstate(it)
    yield received


print(look(5))
it = generator()
print(inspect.getgeneratorstate(it), next(it), inspect.getgeneratorstate(it), it.send(3))
box = Box()
box.c = 2
print(sys.getsizeof(box), vars(box), sys.getsizeof(vars(box)))
xs = []
sizes = []
for n in range(20):
    xs.append(n)
    sizes.append(sys.getsizeof(xs))
print(sizes)
d = {}
for n in range(10):
    d[n] = n
    sizes.append(sys.getsizeof(d))
print(sizes[20:])
text = "a" * 10
same = text
text += "b"
print(same, text, sys.getsizeof(text))
print(gc.isenabled(), gc.is_tracked({}), gc.is_tracked((1, 2)), gc.is_tracked([]))
print(look.__code__.co_flags, isinstance(it, types.GeneratorType), box.__dict__ is vars(box))
x = 257
y = x
print(x is y, id(x) == id(y))
