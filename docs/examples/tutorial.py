# Watch it under memtrace: scripts/quickstart
def run_example():
    a = 10
    b = a + 5
    b = b * 2
    del a
    return b


print("run_example() returned", run_example())
