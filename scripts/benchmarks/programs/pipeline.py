"""Generators: a chain of them, and a tree walked by `yield from`."""

SIZE = 10000
PEER_SIZE = 60
ONE = "smoothed"


class Node:
    def __init__(self, value, left, right):
        self.value = value
        self.left = left
        self.right = right

    def __iter__(self):
        if self.left is not None:
            yield from self.left
        yield self.value
        if self.right is not None:
            yield from self.right


def tree(values):
    if not values:
        return None
    middle = len(values) // 2
    return Node(values[middle], tree(values[:middle]), tree(values[middle + 1 :]))


def numbers(n):
    state = 12345
    for _ in range(n):
        state = (state * 1103515245 + 12345) % 2147483648
        yield state >> 16


def smoothed(source):
    average = 0.0
    for value in source:
        average += (value - average) / 8
        yield average


def every(source, n):
    for index, value in enumerate(source):
        if index % n == 0:
            yield value


def run(size):
    total = 0.0
    for value in every(smoothed(numbers(size)), 3):
        total += value
    walked = 0
    for value in tree(list(range(size // 10))):
        walked = (walked * 7 + value) % 1000003
    return repr(total), walked
