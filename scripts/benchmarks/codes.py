"""Child: very many functions, as a large application has them loaded."""

import types

FILE = "<many functions>"

# Some shapes of functions: of 2 to 12 lines, with 1 to 7 stores.
_SHAPES = (
    """
def function(a):
    b = a
""",
    """
def function(a, b=2):
    total = a + b
    if total > 3:
        total -= 1
    doubled = total * 2
    return doubled
""",
    """
def function(items):
    count = 0
    for item in (1, 2):
        if item in (3, 4):
            raise ValueError(item)
        count += item
    name = "n"
    text = f"{name} {count}"
    result = [text, count]
    return result
""",
    """
def function(value, *rest, **options):
    left, right = value, rest
    try:
        number = int(left)
    except TypeError as error:
        number = 0
        left = str(error)
    finally:
        done = True
    pair = (number, right)
    return pair, done
""",
)


def functions(count):
    """`count` functions, each with a code object of its own, callable with one argument."""
    shapes = []
    for shape in _SHAPES:
        namespace = {}
        exec(compile(shape, FILE, "exec"), namespace)
        shapes.append(namespace["function"])
    namespace = {"__name__": "many"}
    made = []
    for number in range(count):
        shape = shapes[number % len(shapes)]
        name = "function_%d" % number
        code = shape.__code__.replace(co_name=name, co_firstlineno=20 * number + 2)
        if hasattr(code, "co_qualname"):
            code = code.replace(co_qualname=name)
        made.append(types.FunctionType(code, namespace, name, shape.__defaults__))
    return made


def call_all(all_functions):
    """Call each once."""
    for function in all_functions:
        function(1)
