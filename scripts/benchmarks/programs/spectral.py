"""Numbers: products of a matrix that is computed, not stored; comprehensions and calls."""

SIZE = 36
PEER_SIZE = 6
ONE = "times"


def element(i, j):
    both = i + j
    return 1.0 / (both * (both + 1) // 2 + i + 1)


def times(vector, transposed):
    result = []
    for i in range(len(vector)):
        total = 0.0
        for j, value in enumerate(vector):
            total += (element(j, i) if transposed else element(i, j)) * value
        result.append(total)
    return result


def run(size):
    vector = [1.0] * size
    other = vector
    for _ in range(6):
        other = times(times(vector, False), True)
        vector = times(times(other, False), True)
    above = sum(a * b for a, b in zip(vector, other))
    below = sum(b * b for b in other)
    return repr((above / below) ** 0.5)
