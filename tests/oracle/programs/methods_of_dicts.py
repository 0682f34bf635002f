"""Every mutating method of dict."""
d = {"a": 1}
d.update({"b": 2})
d.update(c=3)
d.update([("d", 4)], e=5)
d.update({"a": 1})
d.update(**{"f": 6})
d.setdefault("a", 9)
d.setdefault("g", 7)
d.pop("g")
d.pop("g", None)
try:
    d.pop("g")
except KeyError:
    pass
d.popitem()
d.__setitem__("h", 8)
d.__delitem__("h")
d.__ior__({"i": 9})
d.get("a")
copy = d.copy()
d.clear()
