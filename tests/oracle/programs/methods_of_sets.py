"""Every mutating method of set."""
s = {1, 2, 3}
s.add(4)
s.add(4)
s.discard(4)
s.discard(4)
s.remove(3)
try:
    s.remove(3)
except KeyError:
    pass
s.update([5, 6], {7})
s.intersection_update({1, 2, 5, 6})
s.difference_update([6])
s.symmetric_difference_update({1, 9})
s.__ior__({10})
s.__iand__({2, 5, 10})
s.__isub__({5})
s.__ixor__({2, 3})
s.pop()
s.union({8})
s.clear()
