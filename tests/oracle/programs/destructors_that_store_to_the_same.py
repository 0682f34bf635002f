"""A __del__ that stores to the very variable whose store set it off."""
target = None


class Stubborn:
    def __init__(self, name):
        self.name = name

    def __del__(self):
        global target
        target = self.name


target = Stubborn("a")
target = 1
target = Stubborn("b")
del target
box = Stubborn
box.last = Stubborn("c")
box.last = None
