"""The child of test_overhead.py: a loop that does nothing but store, under a limit that it can't
keep, and a function that hardly runs. Prints what was recorded as JSON."""

import json
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent.parent / "gdbplugin")]

import harness  # noqa: E402
from memtrace import reader, render  # noqa: E402

FILE = "<overhead>"
SOURCE = """
def busy(n):
    for i in range(n):
        x = i
def quiet(n):
    a = n
    a = a + 1
"""
TURNS = 400000


def main():
    namespace = {}
    exec(compile(SOURCE, FILE, "exec"), namespace)
    recording = harness.MemtraceRecording(["only=" + FILE, "max-overhead=105"])
    control = recording.control
    recording.start()
    namespace["busy"](TURNS)
    before = control.next_seq
    namespace["busy"](TURNS)
    second_run = control.next_seq - before
    namespace["quiet"](7)
    recording.stop()

    opened = reader.Reader.open_memory(control)
    quiet, wrong = [], []
    for event in opened.events():
        if event.function == "quiet":
            quiet.append(render.change(event))
        elif event.kind.name == "MODIFIED" and int(event.new) != int(event.old) + 1:
            wrong.append(render.change(event))
    print(
        json.dumps(
            {
                "notes": opened.notes(),
                "left_out": control.left_out,
                "disabled": control.disabled,
                "events_of_second_run": second_run,
                "quiet": quiet,
                "wrong": wrong,
            }
        )
    )


main()
