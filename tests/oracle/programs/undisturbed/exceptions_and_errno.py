"""Exceptions, tracebacks, errno and the recursion limit are the program's own."""
import ctypes
import sys
import traceback

location = ctypes.CDLL(None).__errno_location
location.restype = ctypes.POINTER(ctypes.c_int)
errno = location()


def stores():
    a = 1
    a = [a]
    a += [2]
    a.append(3)
    a[0] = "x" * 100
    d = {"k": a}
    d["k"] = 10 ** 40
    stores.n = d
    del a, d
    return stores.n


errno[0] = 77
stores()
print("errno", errno[0])


def deep(n):
    left = n
    if n == 0:
        left = {}["missing"]
    return deep(n - 1)


try:
    deep(3)
except KeyError as error:
    seen = sys.exc_info()
    print(seen[0], [(frame.name, frame.lineno) for frame in
                    traceback.extract_tb(error.__traceback__)])
    try:
        value = error.args[5]
    except IndexError as second:
        context = second.__context__
        print(context is error, sys.exc_info()[1] is second)
    print(sys.exc_info()[1] is error)
print(sys.exc_info())


def swallow():
    for n in range(2):
        try:
            n = n / 0
        except ZeroDivisionError:
            n = sys.exc_info()[0]
        finally:
            n = n
    return n


print(swallow())


class Refuses:
    def __setattr__(self, name, value):
        raise AttributeError(name)

    def __setitem__(self, key, value):
        raise KeyError(key)

    def __iadd__(self, other):
        raise TypeError(other)


refuses = Refuses()
for statement in ("refuses.x = 1", "refuses[1] = 2", "refuses += 3", "del refuses.y",
                  "(1).x = 4", "[][5] = 5", "{}[[]] = 6", "del undefined"):
    try:
        exec(statement)
    except Exception as error:
        print(statement, type(error).__name__, error)


def depth(n):
    global deepest
    deepest = n
    depth(n + 1)


sys.setrecursionlimit(500)
try:
    depth(1)
except RecursionError as error:
    print(deepest, error, error.__context__)


def unlucky(n=0):
    level = n
    try:
        unlucky(n + 1)
    except RecursionError:
        level = -n
    return level


print(unlucky())
print(len(locals()) > 10, sorted(deep.__code__.co_varnames), stores.__code__.co_stacksize > 0)
