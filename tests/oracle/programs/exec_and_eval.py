# memtrace: only=<string>
# memtrace: only=<made up>
"""exec and eval with namespaces of every kind."""
space = {}
exec("a = 1\na += 1\nb = [a]\ndel a", space)
exec("b.append(2)\ndef f(n):\n    m = n\n    return m\nf(3)", space)
local = {"x": 1}
exec("x = 2\ny = x", {}, local)
value = eval("(z := 5) + sum([n for n in (1, 2)])", space)


class Mapping(dict):
    def __setitem__(self, key, value):
        kept = key
        super().__setitem__(key, value)


mapping = Mapping()
exec("p = 1\np = 2\ndel p", {}, mapping)
exec(compile("q = 1\nclass C:\n    q = q\n", "<made up>", "exec"), {})
exec("global g\ng = 1\nh = g", {}, {})


def function():
    n = 1
    exec("n = 2\nm = n")
    return n


function()
