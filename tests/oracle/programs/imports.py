"""import in all forms, at module level and in a function."""
import json
import os.path
import xml.sax.handler as handler
from math import floor, pi as circle
from os import *


def function():
    import json as j
    from json import decoder
    global text
    import string as text
    try:
        import no_such_module_anywhere
    except ImportError as error:
        missing = error.name
    try:
        from json import nothing_there
    except ImportError:
        nothing_there = None
    return j


function()
import json
