"""Loop targets of all forms."""


class Box:
    def run(self):
        for self.x in range(2):
            pass
        for self.y, self.z in [(1, 2), (3, 4)]:
            self.x += self.y


box = Box()
box.run()
d = {}
xs = [0, 0]
for d["k"] in "ab":
    pass
for xs[0] in (1, 2):
    pass
for i, xs[i] in enumerate("pq"):
    pass
for a, (b, *c) in [(1, (2, 3)), (4, (5,))]:
    d[a] = b
else:
    a = None
for n in []:
    pass
for n in range(3):
    if n == 1:
        continue
    if n == 2:
        break
else:
    n = "never"


def local(rows):
    for row in rows:
        for row in row:
            pass
    for k, v in {"a": 1, "b": 2}.items():
        rows = v
    return row


local([[1, 2], [3]])
