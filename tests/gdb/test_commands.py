"""Every command that reads a recording, in real gdb sessions, its output compared."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Dict, Iterator, List

import pytest
from session import BatchResult, GdbSession, events_of, run_batch
from targets import BANK, Target, launch_batch, line_of, python_program


def bank(*commands: str, how: str = "", on: str = "memtrace on", **options: Any) -> BatchResult:
    """Launch bank.py, recorded, and carry out commands once it has ended."""
    arguments = [how] if how else []
    return launch_batch(BANK, *arguments, commands=[on, "run", *commands], **options)


@pytest.fixture(scope="module")
def ended() -> Iterator[GdbSession]:
    """A session in which bank.py was recorded and has ended."""
    with GdbSession("--args", python_program(), str(BANK)) as gdb:
        gdb.command("memtrace on")
        assert "exited normally" in gdb.command("run")
        yield gdb


EXAMPLE = [
    f"[run_example:{line_of('a = 10')}] NEW a = 10",
    f"[run_example:{line_of('b = 15')}] NEW b = 15",
    f"[run_example:{line_of('b = b + 15')}] MODIFIED b: 15 → 30",
    f"[run_example:{line_of('del a')}] DELETED a (was 10)",
]


# ---- log -------------------------------------------------------------------------------------


def test_log_shows_the_tutorial_s_lines(ended: GdbSession) -> None:
    assert ended.command("memtrace log --func run_example").splitlines() == EXAMPLE


def test_diffs_is_log(ended: GdbSession) -> None:
    assert ended.command("memtrace diffs --func run_example").splitlines() == EXAMPLE


def test_log_filters_by_variable_kind_file_and_number(ended: GdbSession) -> None:
    assert events_of(ended.command("memtrace log --var b --func run_*")) == EXAMPLE[1:3]
    deleted = events_of(ended.command("memtrace log --kind deleted,mutated"))
    assert {line.split()[1] for line in deleted} == {"DELETED", "MUTATED"}
    assert EXAMPLE[3] in deleted
    items = events_of(ended.command("memtrace log --var flags[2],names[*]"))
    assert [line.split()[2].rstrip(":") for line in items] == [
        "names['key']",
        "names['key']",
        "flags[2]",
        "names['key']",
    ]
    last = events_of(ended.command("memtrace log --last 3"))
    assert len(last) == 3
    assert events_of(ended.command("memtrace log --file bank.py --last 3")) == last
    assert ended.command("memtrace log --func run_example --kind mutated") == "no such events\n"


def test_log_since_a_number_and_a_time(ended: GdbSession) -> None:
    numbered = events_of(ended.command("memtrace log --numbers"))
    seqs = [int(line.split()[0]) for line in numbered]
    assert seqs == list(range(1, len(seqs) + 1))
    tail = events_of(ended.command(f"memtrace log --numbers --since {seqs[-3]}"))
    assert [int(line.split()[0]) for line in tail] == seqs[-2:]
    assert len(events_of(ended.command("memtrace log --since 10min"))) == len(seqs)
    assert len(events_of(ended.command("memtrace log --since 1ns"))) < len(seqs)


def test_log_json_has_one_event_a_line_and_nothing_else(ended: GdbSession) -> None:
    lines = ended.command("memtrace log --func run_example --json").splitlines()
    events: List[Dict[str, Any]] = [json.loads(line) for line in lines]
    assert [(e["kind"], e["name"], e["old"], e["new"]) for e in events] == [
        ("NEW", "a", None, "10"),
        ("NEW", "b", None, "15"),
        ("MODIFIED", "b", "15", "30"),
        ("DELETED", "a", "10", None),
    ]
    assert {e["function"] for e in events} == {"run_example"}
    assert {e["file"] for e in events} == {str(BANK)}


def test_log_by_thread() -> None:
    with Target("ticks.py") as target:
        batch = run_batch(
            "-p",
            str(target.pid),
            commands=[
                "memtrace on",
                "memtrace tbreak worker:total if new > old + 0",
                "continue",
                "memtrace log --thread 2 --json",
                f"memtrace log --thread {target.pid} --json",
            ],
        ).check()
        events = [json.loads(line) for line in batch.lines if line.startswith("{")]
        threads = {(e["function"], e["thread"] == target.pid) for e in events}
        assert ("worker", False) in threads
        assert not {("worker", True), ("tick", False)} & threads
        assert target.finish() == "equal"


def test_log_follow_shows_new_events_until_interrupted() -> None:
    with Target("ticks.py") as target:
        run_batch("-p", str(target.pid), commands=["memtrace on", "detach"]).check()
        with GdbSession("-p", str(target.pid)) as gdb:
            gdb.send("memtrace log --follow --kind modified --last 1")
            gdb.expect(r"^\[.*:\d+\] MODIFIED .*$")
            gdb.interrupt()
            gdb.command("detach")
        assert target.finish() == "equal"


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("memtrace log --kind changed", "no such kind"),
        ("memtrace log --last none", "not a number"),
        ("memtrace log --since yesterday", "neither the number of an event nor a time"),
        ("memtrace log --thread x", "no thread id"),
        ("memtrace log --nonsense", "unrecognized arguments: --nonsense"),
        ('memtrace log --var "b', "No closing quotation"),
        ("memtrace log --var balanze", "no variable balanze in this recording"),
        ("memtrace log --func run_exampl", "did you mean run_example"),
        ("memtrace log --file bang.py", "did you mean bank.py"),
        ("memtrace last", "required: VAR"),
        ("memtrace last balanc", "did you mean balance"),
        ("memtrace last nothere:b", "no function nothere"),
        ("memtrace history zzz", "no variable zzz"),
        ("memtrace at x", "not the number of an event"),
        ("memtrace at 99999", "no event 99999: events 1 to"),
        ("memtrace bt", "no process whose memory"),
        ("memtrace locals", "no process whose memory"),
        ("memtrace print a", "no process whose memory"),
        ("memtrace log --follow", "nothing is written here any more"),
        ("memtrace load /nowhere", "no such file"),
        ("memtrace save", "required: PATH"),
        ("info memtrace x", "unrecognized arguments: x"),
        ("set memtrace buffer-size 5", "at least 1 MiB"),
        ("set memtrace buffer-size much", "no size"),
        ("set memtrace value-size 5", "16 to 512"),
        ("set memtrace max-overhead 1x", "1x is no limit: a factor from 1.05x"),
        ("set memtrace max-overhead much", "much is no limit"),
        ("set memtrace colour on", "no option colour"),
        ("show memtrace colour", "no option colour"),
    ],
)
def test_refusals_say_why(ended: GdbSession, command: str, message: str) -> None:
    output = ended.command(command)
    assert message in output
    assert output.startswith("memtrace: ")
    assert "Traceback" not in output


def test_a_refusal_goes_to_stderr_and_fails_the_batch() -> None:
    result = bank("memtrace last balanc", "echo alive\\n")
    assert "memtrace: no variable balanc in this recording\n" in result.stderr
    assert "\n    did you mean balance, " in result.stderr
    assert result.lines[-1] == "alive"
    assert result.returncode != 0


@pytest.mark.parametrize(
    "command", ["memtrace log", "memtrace last b", "memtrace at 1", "info memtrace", "memtrace bt"]
)
def test_without_a_recording_the_remedy_is_said(command: str) -> None:
    result = run_batch(commands=[command])
    assert result.returncode != 0
    assert "memtrace: " in result.stderr and "Traceback" not in result.stderr


# ---- last, history, at -----------------------------------------------------------------------


def test_last_tells_place_and_change(ended: GdbSession) -> None:
    first, second = ended.command("memtrace last b").splitlines()
    line = line_of("b = b + 15")
    assert re.match(rf"Event \d+, bank.py:{line} in run_example, thread \d+, \d+ ev", first)
    assert second == EXAMPLE[2]


def test_last_of_attributes_and_items(ended: GdbSession) -> None:
    line = line_of("source.balance = balance")
    assert events_of(ended.command("memtrace last source.balance")) == [
        f"[transfer:{line}] MODIFIED source.balance: -20 → -80"
    ]
    assert events_of(ended.command("memtrace last flags[2]")) == [
        f"[fill:{line_of('flags[index] = True')}] MODIFIED flags[2]: False → True"
    ]
    for words in ("names['key']", "\"names['key']\""):
        assert events_of(ended.command(f"memtrace last {words}")) == [
            f"[fill:{line_of('names[')}] MODIFIED names['key']: 1 → 2"
        ]


def test_history_is_all_writes_with_their_numbers(ended: GdbSession) -> None:
    lines = events_of(ended.command("memtrace history transfer:balance"))
    assert [line.rpartition(" ")[2] for line in lines] == ["100", "40", "40", "-20", "-20", "-80"]
    numbers = [int(line.split()[0]) for line in lines]
    assert numbers == sorted(set(numbers))
    assert events_of(ended.command("memtrace history transfer:balance --last 1")) == lines[-1:]


def test_at_shows_the_variables_of_that_call_then(ended: GdbSession) -> None:
    lines = events_of(ended.command("memtrace history run_example:b"))
    first, second = [int(line.split()[0]) for line in lines]
    before = ended.command(f"memtrace at {first}").splitlines()
    after = ended.command(f"memtrace at {second + 1}").splitlines()
    title = rf"run_example \(.*bank.py\), call \d+, thread \d+, as of event {first}:"
    assert re.match(title, before[0])
    assert before[1:] == [
        f"  a = 10    (line {line_of('a = 10')})",
        f"  b = 15    (line {line_of('b = 15')})",
    ]
    assert after[1:] == [f"  b = 30    (line {line_of('b = b + 15')})"]


def test_overwritten_events_are_always_said() -> None:
    script = "def f():\n    for i in range(200000): x = i\nf()\nend = 1\n"
    result = launch_batch(
        "-c",
        script,
        commands=[
            "set memtrace buffer-size 1M",
            "memtrace on",
            "run",
            "memtrace log --last 1",
            "memtrace history end",
            "info memtrace",
        ],
    ).check()
    assert len(re.findall(r"^… \d+ older events were overwritten$", result.stdout, re.M)) == 2
    assert re.search(r"^Losses: +\d+ older events were overwritten$", result.stdout, re.M)
    assert "[<module>:4] NEW end = 1" in result.lines


# ---- --live ------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["", "leave", "kill"])
def test_live_prints_each_event_once_and_in_order(how: str) -> None:
    result = bank("echo LOG\\n", "memtrace log", how=how, on="memtrace on --live").check()
    live, logged = result.stdout.split("LOG\n")
    assert len(events_of(logged)) > 40
    assert events_of(live) == events_of(logged)
    if how == "":  # exit() runs: all of it stands before the end
        assert "] " not in live.partition("[Inferior 1")[2].partition("]")[2]


def test_live_prints_while_an_attached_process_runs() -> None:
    with Target("ticks.py") as target:
        with GdbSession("-p", str(target.pid)) as gdb:
            gdb.command("memtrace on --live")
            gdb.resume()
            gdb.expect(r"^\[tick:\d+\] MODIFIED count: \d+ → \d+$")
            gdb.expect(r"^\[worker:\d+\] MODIFIED total: \d+ → \d+$")
            gdb.interrupt()
            for _ in range(20):  # ^C comes at any moment of the printing
                gdb.resume()
                gdb.expect(r"^\[tick:\d+\] MODIFIED count: \d+ → \d+$")
                assert "SIGINT" in gdb.interrupt()
            gdb.command("memtrace off")
            gdb.command("detach")
        assert target.finish() == "equal"


def test_gdb_ends_well_when_lines_come_behind_its_last_command() -> None:
    behind = "python import memtrace.live; memtrace.live.post(print)"
    run_batch(commands=[behind]).check()
    assert run_batch(commands=[behind, "quit 5"]).returncode == 5


# ---- info, set, show, help, completion ---------------------------------------------------------


def test_info_tells_process_events_and_losses(ended: GdbSession) -> None:
    rows = dict(re.findall(r"^(\w[\w ]*): +(.*)$", ended.command("info memtrace"), re.M))
    assert rows["State"] == "the process has ended"
    assert rows["Losses"] == "none"
    assert rows["Driver"] in ("settrace", "monitoring")
    assert re.match(r"\d+, numbers 1 to \d+, of 1 thread, over ", rows["Events"])
    assert rows["Breakpoints"] == "0 armed"


def test_settings_are_set_shown_and_explained() -> None:
    result = run_batch(
        commands=[
            "set memtrace buffer-size 128M",
            "set memtrace value-size 100",
            "set memtrace rebound on",
            "set memtrace max-overhead 2.5x",
            "set memtrace redact *pin* card",
            "show memtrace",
            "show memtrace rebound",
            "help set memtrace redact",
        ]
    ).check()
    assert "buffer-size: 128 MiB (the size of the buffer)" in result.lines
    assert "value-size: 100 (how many bytes of a value are kept)" in result.lines
    assert any(line.startswith("max-overhead: 2.5x (") for line in result.lines)
    assert any(line.startswith("redact: *pin* card (") for line in result.lines)
    assert any(line.startswith("memtrace rebound: on (") for line in result.lines)
    assert "globs with spaces between" in result.stdout


def test_skipped_variables_are_not_recorded() -> None:
    result = bank(
        "memtrace log --func fill",
        "info memtrace",
        on="memtrace on --skip-var index --skip-var flags",
    ).check()
    changed = {re.split(r"[ :\[]", line.split("] ", 1)[1])[1] for line in events_of(result.stdout)}
    assert changed == {"count", "names", "numbers"}
    assert any("skip-var index flags" in line for line in result.lines)
    assert any("user code, without index, flags" in line for line in result.lines)


def test_a_breakpoint_on_a_skipped_variable_stops() -> None:
    result = launch_batch(
        BANK,
        commands=[
            "memtrace break fill:index if new == 2",
            "memtrace on --skip-var index",
            "run",
            "memtrace log --func fill --var index",
        ],
    ).check()
    assert "MODIFIED index: 1 → 2" in result.stdout
    assert len(events_of(result.stdout.split("memtrace log")[-1])) >= 1


def test_log_says_what_a_limit_of_overhead_left_out(tmp_path: Path) -> None:
    script = "for i in range(300000):\n x = i\n"
    result = launch_batch(
        "-c",
        script,
        commands=[
            "set memtrace max-overhead 1.05x",
            "memtrace on",
            "run",
            "memtrace log --last 1",
            "info memtrace",
            f"memtrace save {tmp_path}/saved",
            f"memtrace load {tmp_path}/saved",
            "memtrace log --last 1",
        ],
    ).check()
    note = re.compile(
        r"… from event \d+ on: [ix] in <module>, <string>:\d: 1 change in 8 is recorded, "
        r"after \d+\.\d s, at \d+\.\d\d x"
    )
    shown = [line for line in result.lines if note.fullmatch(line)]
    assert shown
    # The recording has the notes too.
    assert result.lines.count(shown[0]) == 2
    assert re.search(r"^… not recorded: \d+ changes were left out", result.stdout, re.MULTILINE)
    assert re.search(r"^Notes: +from event \d+ on: ", result.stdout, re.MULTILINE)


def test_rebound_is_recorded_when_asked() -> None:
    script = "x = 1\nx = 1\n"
    result = launch_batch(
        "-c",
        script,
        commands=["set memtrace rebound on", "memtrace on", "run", "memtrace log --var x"],
    ).check()
    assert "[<module>:2] REBOUND x: 1 → 1" in result.lines


def test_redacted_values_are_not_shown() -> None:
    script = "my_pin = 1234\nother = 5\n"
    result = launch_batch(
        "-c",
        script,
        commands=["set memtrace redact *pin*", "memtrace on", "run", "memtrace log"],
    ).check()
    assert "[<module>:1] NEW my_pin = <redacted>" in result.lines
    assert "[<module>:2] NEW other = 5" in result.lines


def test_every_command_has_help() -> None:
    listed = run_batch(commands=["help memtrace"]).check()
    names = re.findall(r"^(memtrace [a-z]+) -- ", listed.stdout, re.M)
    assert len(names) > 12
    shown = run_batch(commands=[f"help {name}" for name in names]).check()
    for name in names:
        assert name in shown.stdout
    assert "not documented" not in shown.stdout


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("memtrace hi", "memtrace history"),
        ("memtrace log --ki", "memtrace log --kind"),
        ("memtrace log --kind mod", "memtrace log --kind modified"),
        ("memtrace log --func run_", "memtrace log --func run_example"),
        ("memtrace log --file ba", "memtrace log --file bank.py"),
        ("memtrace last source.b", "memtrace last source.balance"),
        ("memtrace break transfer:bal", "memtrace break transfer:balance"),
        ("set memtrace re", "set memtrace redact"),
    ],
)
def test_completion(ended: GdbSession, typed: str, expected: str) -> None:
    assert expected in ended.command(f"complete {typed}").splitlines()


# ---- save, load --------------------------------------------------------------------------------


def test_a_saved_recording_answers_as_the_process_did(ended: GdbSession, tmp_path: Path) -> None:
    directory = tmp_path / "recording"
    asked = ["memtrace log", "memtrace last b", "memtrace history balance", "memtrace at 20"]
    before = [ended.command(command) for command in asked]
    assert ended.command(f"memtrace save {directory}").startswith("memtrace: saved ")
    assert "isn't empty" in ended.command(f"memtrace save {directory}")
    with GdbSession() as gdb:
        gdb.command(f"memtrace load {directory}")
        assert [gdb.command(command) for command in asked] == before
        assert f"Recording:    {directory}" in gdb.command("info memtrace").splitlines()
        gdb.command("memtrace unload")
        assert "nothing is recorded here" in gdb.command("memtrace log")
