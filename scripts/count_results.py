#!/usr/bin/python3
"""Count the results that a test runner left behind.

    count_results.py FILE…      prints "PASSED FAILED SKIPPED", summed over the files

FILE is pytest's JUnit XML (*.xml), or the log of `ctest --verbose` with cmocka programs
(anything else), where single tests are counted, and a program that ended without a verdict
counts as one failure. A file that is absent or broken counts as one failure: whoever should
have written it did not come that far.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree


class Counts(NamedTuple):
    passed: int
    failed: int
    skipped: int


def count_junit(text: str) -> Counts:
    passed = failed = skipped = 0
    for case in ElementTree.fromstring(text).iter("testcase"):
        if case.find("failure") is not None or case.find("error") is not None:
            failed += 1
        elif case.find("skipped") is not None:
            skipped += 1
        else:
            passed += 1
    return Counts(passed, failed, skipped)


def count_ctest(text: str) -> Counts:
    def total(verdict: str) -> int:
        numbers = re.findall(rf"\[  {verdict} *\] (\d+) test\(s\)", text)
        return sum(map(int, numbers))

    # "1/9 Test #1: test_ring ....   Passed    0.02 sec", or ***Failed, ***Exception, ***Timeout
    programs = re.findall(r"^ *\d+/\d+ Test +#\d+: \S+ \.*(.*)$", text, re.MULTILINE)
    bad = sum("Passed" not in program for program in programs)
    reported_bad = len(re.findall(r"\[  FAILED  \] \d+ test\(s\)", text))
    failed = total("FAILED") + max(0, bad - reported_bad)
    if not programs:
        failed += 1
    return Counts(total("PASSED"), failed, total("SKIPPED"))


def count(path: Path) -> Counts:
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
        return count_junit(text) if path.suffix == ".xml" else count_ctest(text)
    except (OSError, ElementTree.ParseError) as error:
        print(f"{path}: {error}", file=sys.stderr)
        return Counts(0, 1, 0)


def main() -> None:
    counts = [count(Path(argument)) for argument in sys.argv[1:]]
    print(*(sum(column) for column in zip(*counts)) if counts else (0, 0, 0))


if __name__ == "__main__":
    main()
