"""How the plugin's commands part their arguments into words."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "gdbplugin"))

from memtrace.errors import MemtraceError  # noqa: E402
from memtrace.words import split  # noqa: E402


@pytest.mark.parametrize("text, words", [
    ("", []),
    ("balance", ["balance"]),
    ("  --last 5   --json ", ["--last", "5", "--json"]),
    ("accounts['ann']", ["accounts['ann']"]),
    ('d["a b"] --last 2', ['d["a b"]', "--last", "2"]),
    ("xs[f(1, 2)]", ["xs[f(1, 2)]"]),
    ("'my file.py'", ["my file.py"]),
    ("--file 'my file.py' x", ["--file", "my file.py", "x"]),
    ("--file='my file.py'", ["--file=my file.py"]),
    ("'a'['b']", ["'a'['b']"]),
])
def test_words_keep_the_quotes_of_python_expressions(text, words):
    assert split(text) == words


def test_open_quotation_is_refused():
    with pytest.raises(MemtraceError, match="No closing quotation"):
        split("d['a")
