"""Methods of the same names on other types are no mutations of ours."""
import collections


class Stack:
    def __init__(self):
        self.items = []

    def append(self, value):
        self.items.append(value)

    def pop(self):
        return self.items.pop()

    def clear(self):
        self.items = []


stack = Stack()
stack.append(1)
stack.append(2)
stack.pop()
stack.clear()
counter = collections.Counter()
counter.update("ab")
od = collections.OrderedDict()
od.update(a=1)
dd = collections.defaultdict(list)
dd["k"].append(1)
text = "abc"
text.index("a")
number = 5
number.bit_length()
