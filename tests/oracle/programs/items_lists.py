"""List items: positive, negative, bool index, out of range, nested, deleted."""
xs = [1, 2, 3]
xs[0] = 10
xs[-1] = 30
xs[True] = 20
xs[1] = 20
i = 2
xs[i] = xs[i - 1]
xs[i] += 1
try:
    xs[3] = 1
except IndexError:
    pass
try:
    xs[-4] = 1
except IndexError:
    pass
try:
    xs["a"] = 1
except TypeError:
    pass
del xs[0]
del xs[-1]
try:
    del xs[9]
except IndexError:
    pass
grid = [[0, 0], [0, 0]]
grid[1][0] = 5
grid[i - 1][-1] = 6
row = grid[0]
row[0] = [grid[1]]
row[0] = None
