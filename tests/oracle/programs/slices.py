"""Slice stores and deletes, in lists, bytearrays and other things."""
import collections

xs = [1, 2, 3, 4, 5]
xs[1:3] = [20, 30]
xs[:0] = [0]
xs[::2] = [7, 8, 9]
xs[2:2] = []
try:
    xs[::2] = [1]
except ValueError:
    pass
del xs[1:3]
del xs[5:]
ba = bytearray(b"abcdef")
ba[1:3] = b"XYZ"
del ba[::2]
s = slice(0, 1)
xs[s] = [100, 200]
del xs[s]


class Grid:
    def __init__(self):
        self.rows = [[1, 2], [3]]

    def __setitem__(self, key, value):
        self.last = key

    def __delitem__(self, key):
        pass


grid = Grid()
grid[1:2] = 1
grid[s] = 2
grid[1:2, 3] = 3
grid[xs[0]:] = 4
grid[:len(xs)] = 5
grid[::-1] = 6
del grid[:]
grid.rows[0][1:] = [5]
grid.rows[-1:] = []
i = 0
grid.rows[i][:1] += [6]
[xs][0][1:] = [1]
q = collections.deque([1, 2])
try:
    q[0:1] = [1]
except TypeError:
    pass
