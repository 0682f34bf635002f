"""Classes with __iadd__ and the like, that return themselves or something else."""


class Sum:
    def __init__(self, n):
        self.n = n

    def __iadd__(self, other):
        self.n += other
        return self

    def __imul__(self, other):
        return Sum(self.n * other)

    def __ior__(self, other):
        raise TypeError

    def __sub__(self, other):
        return None


total = Sum(1)
total += 2
total *= 3
try:
    total |= 1
except TypeError:
    pass
total -= 1


class Tail(list):
    pass


tail = Tail([1])
tail += [2]
tail.append(3)
