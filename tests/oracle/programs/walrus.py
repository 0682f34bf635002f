"""Assignment expressions, in conditions, calls, comprehensions."""


def length(items):
    if (n := len(items)) > 1:
        n = n + 1
    while (n := n - 1) > 0:
        last = n
    print_like = (lambda *a: a)(x := 1, y := x + 1)
    return [z := n, z := z + 1, (w := [z])]


length([1, 2])
length([])
if (found := {"a": 1}.get("a")) and (other := found):
    total = (first := 1) + (second := first)
values = [y for v in range(3) if (y := v * 2)]
