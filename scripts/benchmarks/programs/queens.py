"""Recursion: queens on a board, by backtracking, with sets that are changed and restored."""

SIZE = 8
PEER_SIZE = 3
ONE = "place"


def place(row, size, columns, rising, falling):
    if row == size:
        return 1
    found = 0
    for column in range(size):
        up = row + column
        down = row - column
        if column in columns or up in rising or down in falling:
            continue
        columns.add(column)
        rising.add(up)
        falling.add(down)
        found += place(row + 1, size, columns, rising, falling)
        columns.remove(column)
        rising.remove(up)
        falling.remove(down)
    return found


def run(size):
    return [place(0, n, set(), set(), set()) for n in range(1, size + 1)]
