"""bytearray, deque, and containers whose items can't be read."""
import array
import collections

ba = bytearray(b"abc")
ba[0] = 65
ba[-1] = ba[-1]
del ba[1]
try:
    ba[0] = 300
except ValueError:
    pass
q = collections.deque([1, 2, 3])
q[0] = 10
q[-1] += 1
del q[1]
try:
    q[7] = 1
except IndexError:
    pass
od = collections.OrderedDict()
od["k"] = 1
od["k"] = 2
del od["k"]
dd = collections.defaultdict(list)
dd["x"] = [1]
numbers = array.array("i", [1, 2])
numbers[0] = 5
