"""Lists: the game of life on a board of lists, and an insertion sort."""

SIZE = 18
PEER_SIZE = 3
ONE = "generation"


def board(size):
    return [[(x * x + y * 3 + x * y) % 7 < 3 for x in range(size)] for y in range(size)]


def neighbours(cells, x, y):
    size = len(cells)
    alive = 0
    for dy in (-1, 0, 1):
        row = cells[(y + dy) % size]
        for dx in (-1, 0, 1):
            if (dx or dy) and row[(x + dx) % size]:
                alive += 1
    return alive


def generation(cells):
    size = len(cells)
    following = [[False] * size for _ in range(size)]
    for y in range(size):
        for x in range(size):
            alive = neighbours(cells, x, y)
            following[y][x] = alive == 3 or (alive == 2 and cells[y][x])
    return following


def insertion_sort(items):
    for i in range(1, len(items)):
        item = items[i]
        j = i
        while j and items[j - 1] > item:
            items[j] = items[j - 1]
            j -= 1
        items[j] = item
    return items


def run(size):
    cells = board(size)
    for _ in range(size):
        cells = generation(cells)
    numbers = insertion_sort([(i * 7919) % 1009 for i in range(12 * size)])
    return sum(map(sum, cells)), numbers[:3], numbers[-1]
