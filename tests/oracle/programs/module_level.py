"""Stores at module level: def, class, import, for, del, annotations."""
import math
import os.path as path
from json import dumps, loads as read

first: int = 1
second: str
first = 2


def function():
    return 1


for index in range(2):
    square = index * index
del index, square
a = b = c = function()
