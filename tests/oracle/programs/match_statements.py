"""match: every kind of pattern."""


class Point:
    __match_args__ = ("x", "y")

    def __init__(self, x, y):
        self.x = x
        self.y = y


class Color:
    RED = 1


def classify(subject):
    match subject:
        case 0 | None:
            kind = "literal"
        case Color.RED:
            kind = "value"
        case "text" as word:
            kind = word
        case [only]:
            kind = only
        case [first, *rest] if first == "list":
            kind = rest
        case [1, [a, (b, c)], *_]:
            kind = a + b + c
        case (head, _, *middle, tail):
            kind = middle
        case {"k": value, "n": {"m": deeper}}:
            kind = value, deeper
        case {"k": value, **others}:
            kind = others
        case Point(0, y=height):
            kind = height
        case Point(x=x, y=y) as point:
            kind = x, y
        case int(number) | float(number):
            kind = number
        case str() as text if len(text) > 3:
            kind = text
        case other:
            kind = other
    return kind


for subject in (0, 1, "text", [5], ["list", 2, 3], [1, [1, (2, 3)], 4], (1, 2, 3, 4),
                {"k": 1, "n": {"m": 2}}, {"k": 1, "z": 3}, Point(0, 5), Point(1, 2), 7, 2.5,
                "longer", "s", b"x"):
    result = classify(subject)
match result:
    case bytes(raw):
        kept = raw
