"""Classes with their own __setattr__ and __delattr__, also inherited."""


class Logged:
    count = 0

    def __setattr__(self, name, value):
        if name == "refused":
            raise AttributeError(name)
        Logged.count += 1
        object.__setattr__(self, name, value)


class Child(Logged):
    def __delattr__(self, name):
        super().__delattr__(name)


logged = Logged()
logged.a = 1
logged.a = 2
try:
    logged.refused = 1
except AttributeError:
    pass
child = Child()
child.b = 1
child.b += 1
del child.b
del logged.a
