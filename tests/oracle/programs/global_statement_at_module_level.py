"""A global statement in the module itself."""
global counter
counter = 1
counter += 1
del counter
