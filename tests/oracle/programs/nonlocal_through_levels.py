"""nonlocal across three levels, and del of a cell."""


def top():
    x = 1

    def middle():
        y = 10

        def bottom():
            nonlocal x, y
            x, y = y, x
            del y

        bottom()
        try:
            return y
        except NameError:
            y = 0
        return y

    middle()
    return x


top()
