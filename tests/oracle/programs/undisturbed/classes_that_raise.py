"""Objects whose every special method raises and is counted: recording runs none of them."""
calls = []


def refuse(name):
    def method(*arguments):
        calls.append(name)
        raise RuntimeError(name)

    return method


NAMES = ("__repr__ __str__ __eq__ __ne__ __lt__ __hash__ __len__ __bool__ __iter__ __contains__ "
         "__getitem__ __call__ __int__ __index__ __float__ __bytes__ __format__ __dir__ "
         "__sizeof__ __reduce__ __getattr__ __enter__ __await__ __next__").split()
hostile = {name: refuse(name) for name in NAMES}


class Meta(type):
    __repr__ = refuse("Meta.__repr__")
    __eq__ = refuse("Meta.__eq__")
    __hash__ = refuse("Meta.__hash__")
    __getattribute__ = refuse("Meta.__getattribute__")
    __instancecheck__ = refuse("Meta.__instancecheck__")
    __subclasscheck__ = refuse("Meta.__subclasscheck__")
    __bool__ = refuse("Meta.__bool__")


Plain = type("Plain", (), dict(hostile, value=1))
Guarded = type("Guarded", (), dict(hostile, __getattribute__=refuse("__getattribute__")))
Slotted = type("Slotted", (), dict(hostile, __slots__=("value",)))
WithMeta = Meta("WithMeta", (), dict(hostile))
hostile_builtin = {name: hostile[name] for name in NAMES if name != "__reduce__"}
Text = type("Text", (str,), dict(hostile_builtin))
Number = type("Number", (int,), dict(hostile_builtin))
Items = type("Items", (list,), dict(hostile_builtin))
Table = type("Table", (dict,), dict(hostile_builtin))
Pair = type("Pair", (tuple,), dict(hostile_builtin))
Bag = type("Bag", (set,), dict(hostile_builtin))
Problem = type("Problem", (Exception,), dict(hostile))
KINDS = (Plain, Guarded, Slotted, WithMeta, Text, Number, Items, Table, Pair, Bag, Problem)


class Holder:
    kept = None
    __slots__ = ("slot", "__dict__")


def arguments(first, *rest, key=None, **more):
    first = rest
    rest = first
    return key


def every(kind):
    a = kind()
    b = a
    b = kind()
    a, b = b, a
    holder = Holder()
    holder.slot = a
    holder.slot = b
    holder.value = a
    holder.value = b
    Holder.kept = a
    Holder.kept = b
    xs = [a, b]
    xs[0] = b
    xs += [a]
    xs.append(b)
    xs.insert(0, a)
    xs[1:2] = [b, b]
    del xs[0]
    xs.reverse()
    xs.pop()
    d = {"k": a}
    d["k"] = b
    d |= {"m": a}
    d.update(m=b, n=a)
    d.pop("m")
    nested = [[a], (b,), {"k": [a]}]
    nested[0] = {1: b}
    cell = a

    def inner():
        nonlocal cell
        cell = b
        return cell

    inner()
    arguments(a, b, key=a, more=b)
    for a in (b, b):
        pass
    c = (e := a)
    match xs:
        case [first, *others]:
            c = others
    generated = [v for v in (a, b)]
    it = (v for v in generated)
    next(it)
    try:
        raise KeyError(a)
    except KeyError as error:
        kept = error
    kept.extra = a
    kept.extra = b
    del a, b, holder.slot, holder.value
    return c


def slot_of(kind):
    value = kind()
    if kind is Slotted:
        value.value = value
        value.value = None
        del value.value
    elif any(kind is other for other in (Plain, Text, Number, Items, Table, Problem)):
        value.value = value
        value.value = None
        value.other = 1
        del value.value


for kind in KINDS:
    every(kind)
    slot_of(kind)
print(len(KINDS), "kinds,", len(calls), "calls:", sorted(set(calls)))
