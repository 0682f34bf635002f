"""Everything that a class body stores."""


class Plain:
    """Documented."""

    limit = 3
    limit = limit + 1
    table: dict = {}
    temporary = 1
    del temporary

    def method(self):
        return __class__

    for index in range(2):
        pass


class Child(Plain):
    limit = Plain.limit * 2
    names = [name for name in ("a", "b")]


child = Child()
