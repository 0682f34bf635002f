# memtrace: skip-var=i
# memtrace: skip-var=*.count
# memtrace: skip-var=grid
# memtrace: skip-var=skipped*


class Counter:
    def __init__(self):
        self.count = 0
        self.total = 0

    def add(self, i, amount):
        self.count += 1
        self.total += amount
        i = amount
        return i


def loop(n):
    counter = Counter()
    for i in range(n):
        last = counter.add(i, 2)
    return last, i


def pairs():
    i, kept = 1, 2
    kept, i = i, kept
    i, skipped = kept, i
    for i, kept in [(1, 2), (3, 4)]:
        pass
    return kept, skipped


def containers():
    grid = [[0] * 3 for i in range(2)]
    row = [1, 2]
    grid[0] = row
    grid[0][1] = 5
    grid += [row]
    grid.append(row)
    grid[0:1] = []
    del grid[0]
    row += [3]
    row.append(4)
    row[0:1] = [i for i in range(2)]
    return grid


def texts():
    skipped_text = "a"
    text = "a"
    for i in range(3):
        skipped_text += "b"
        text += "b"
    del skipped_text
    return text


def cells():
    skipped = 1
    kept = 1

    def inner():
        nonlocal skipped, kept
        skipped = 2
        kept = skipped

    inner()
    return kept


def fails():
    try:
        i = [].pop()
    except IndexError as skipped_error:
        name = type(skipped_error).__name__
    return name


skipped_globally = 0
loop(4)
pairs()
containers()
texts()
cells()
fails()
del skipped_globally
