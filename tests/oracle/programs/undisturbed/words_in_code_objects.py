"""A tool that keeps a word of its own in code objects (PEP 523) hears only of those that it
gave one to, when they die."""

import ctypes

api = ctypes.pythonapi
request_index = getattr(api, "_PyEval_RequestCodeExtraIndex", None)
if request_index is None:
    request_index = api.PyUnstable_Eval_RequestCodeExtraIndex
    set_extra = api.PyUnstable_Code_SetExtra
else:
    set_extra = api._PyCode_SetExtra
free_function = ctypes.CFUNCTYPE(None, ctypes.c_ssize_t)
set_extra.argtypes = (ctypes.py_object, ctypes.c_ssize_t, ctypes.c_ssize_t)
freed = []
on_free = free_function(freed.append)
index = request_index(on_free)

source = """
def function(limit):
    total = 0
    for number in range(limit):
        total += number
    return total
"""


def make():
    space = {}
    exec(compile(source, __file__, "exec"), space)
    return space["function"]


functions = [make() for _ in range(3)]
sums = [function(10) for function in functions]
set_extra(functions[1].__code__, index, 4711)
sums += [function(20) for function in functions]
for position in range(3):
    functions[position] = None
    print(position, "freed", freed)
print(sums)
# The interpreter keeps calling it for what dies later.
ctypes.pythonapi.Py_IncRef(ctypes.py_object(on_free))
