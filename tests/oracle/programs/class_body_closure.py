"""A class body that reads and writes variables of the function around it."""


def make(size):
    kept = size

    class Inner:
        nonlocal kept
        kept = kept + 1
        width = kept
        depth = size

        def grow(self):
            nonlocal size
            size += 1
            return super().__init__()

    Inner().grow()
    return Inner


make(3)
