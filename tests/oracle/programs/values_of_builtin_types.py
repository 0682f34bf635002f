"""What values look like: containers, functions, classes, modules, the rest."""
import collections
import json


class Plain:
    def method(self):
        return self


class Money(int):
    pass


class Name(str):
    pass


class Pair(tuple):
    pass


class Bag(list):
    pass


class Table(dict):
    pass


class Ratio(float):
    pass


v = [1, "a", None, [2, (3,)]]
v = []
v = ()
v = (1,)
v = (1, 2)
v = {}
v = {"a": 1, 2: [3]}
v = {1}
v = set()
v = frozenset()
v = frozenset({2})
v = collections.deque()
v = collections.deque([1, [2]])
v = bytearray()
v = bytearray(b"ab")
v = range(3)
v = range(1, 10, 2)
v = slice(1, None)
v = slice(1, 2, 3)
v = Plain
v = Plain()
v = Plain.method
v = v.__get__
v = Plain().method
v = json
v = len
v = [].append
v = int
v = type
v = lambda: None
v = (n for n in ())
v = Ellipsis
v = NotImplemented
v = Money(3)
v = Name("n")
v = Pair((1, 2))
v = Bag([1])
v = Table(a=1)
v = Ratio(0.5)
v = collections.OrderedDict(a=1)
v = collections.defaultdict(int, a=1)
v = collections.Counter("a")
v = ValueError("x")
v = object()
v = [1.5, True, 1 + 2j, b"x", -3]
v = {(1, 2): {"k": {None}}}
v = [Plain, len, Money(1)]
v = property(len)
v = memoryview(b"x")
v = iter([])
