"""Every mutating method of list."""
xs = [3, 1, 2]
xs.append(5)
xs.extend([7, 8])
xs.extend([])
xs.extend(*[[9]])
xs.insert(0, 0)
xs.remove(3)
last = xs.pop()
first = xs.pop(0)
xs.sort()
xs.sort()
xs.sort(key=lambda v: -v, reverse=False)
xs.reverse()
xs.__setitem__(0, 100)
xs.__delitem__(0)
xs.__iadd__([4])
xs.__imul__(2)
xs.copy()
xs.index(4)
try:
    xs.remove("absent")
except ValueError:
    pass
try:
    xs.pop(99)
except IndexError:
    pass
xs.clear()
xs.clear()
