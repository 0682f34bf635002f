"""sys.exit in a nested call, with finally on the way."""
import sys


def leave():
    state = 1
    try:
        sys.exit(0)
    finally:
        state = 2


leave()
