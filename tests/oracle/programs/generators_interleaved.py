"""Many generators of one code at once; a generator that calls its own kind."""


def tree(depth):
    node = depth
    if depth:
        for child in tree(depth - 1):
            node += child
            yield node
    yield depth


def merge(*its):
    for group in zip(*its):
        for item in group:
            yield item


result = list(merge(tree(2), tree(1), tree(2)))
