"""Types that are freed and whose addresses are used again."""
import gc


def make(index):
    class Local:
        __slots__ = ("value",)

    Local.__name__ = f"Local{index}"
    instance = Local()
    instance.value = index
    return instance


for index in range(20):
    x = make(index)
    x.value = [x.value]
    x = None
    gc.collect()
