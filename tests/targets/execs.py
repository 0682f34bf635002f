"""Becomes another Python program in the same process: exits.py beside it."""

import os
import sys

before = 1
os.execv(sys.executable, [sys.executable, os.path.join(os.path.dirname(__file__), "exits.py")])
