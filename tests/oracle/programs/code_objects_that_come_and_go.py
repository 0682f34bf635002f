# memtrace: only=<string>
"""Code objects, functions and classes that are freed and whose addresses are used again."""
for index in range(40):
    exec(f"""
def function{index}(argument{index % 7}):
    local{index % 5} = argument{index % 7}
    local{index % 5} += {index}
    return [item{index % 3} for item{index % 3} in (local{index % 5},)]

class Class{index}:
    attribute{index % 4} = {index}

instance = Class{index}()
instance.field{index % 6} = function{index}({index})
del instance, Class{index}, function{index}
""", {})
