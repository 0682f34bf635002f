"""Dict items by every kind of readable key."""
d = {}
d["a"] = 1
d["a"] = 2
d[1] = "int"
d[True] = "bool"
d[None] = "none"
d[1.5] = "float"
d[b"x"] = "bytes"
d[1, "t"] = "tuple"
d[1, "t"] = "again"
d[()] = "empty"
k = "a"
d[k] += 5
d[k + "b"] = d[k]
point = (3, 4)
d[point] = 1
del d[point]
del d["a"], d[None]
try:
    del d["a"]
except KeyError:
    pass
try:
    d[[]] = 1
except TypeError:
    pass
nested = {"rows": [{"n": 1}]}
nested["rows"][0]["n"] = 2
nested["rows"][0]["m"] = 3
