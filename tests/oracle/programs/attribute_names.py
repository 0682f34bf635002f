"""How targets are named: chains, calls, subscripts, what has no name."""


class Node:
    def __init__(self):
        self.kids = []
        self.__secret = 1

    def child(self, *args):
        return self.kids[0]


root = Node()
root.kids.append(Node())
key = 0
table = {"a": {"b": root}, (1, 2): root}
root.kids[0].value = 1
root.kids[key].value = 2
root.kids[-1].value = 3
root.kids[key + 0].value = 4
table["a"]["b"].value = 5
table[1, 2].value = 6
root.child().value = 7
root.child(1, *[2], k=3) if False else root.child(1).kids
root.child(*[1]).value = 8
(root or key).value = 9
[root][0].value = 11
(lambda: root)().value = 12
table["a"]["b"].child().kids = [13]
root.child.__self__.value = 14
