"""A command's argument → words. No gdb import."""

from __future__ import annotations

from typing import List

from .errors import MemtraceError


def split(argument: str) -> List[str]:
    """Words, parted by spaces. Quotes around a word (or behind an option's `=`) group it, as in
    a shell; within a word they are Python's, so that `accounts['ann']` and `d['a b']` are one
    word each, as they stand."""
    words, rest = [], argument.strip()
    while rest:
        size = _word_size(rest)
        words.append(_unquoted(rest[:size]))
        rest = rest[size:].lstrip()
    return words


def _word_size(text: str) -> int:
    """How far the first word of a text goes."""
    quote, depth = "", 0
    for position, character in enumerate(text):
        if quote:
            if character == quote:
                quote = ""
        elif character in "'\"":
            quote = character
        elif character in "[(":
            depth += 1
        elif character in "])":
            depth -= 1
        elif character.isspace() and depth <= 0:
            return position
    if quote:
        raise MemtraceError(f"No closing quotation in: {text}", "close the quotation")
    return len(text)


def _unquoted(word: str) -> str:
    option, equals, value = word.partition("=")
    if equals and option.startswith("--"):
        return option + equals + _unquoted(value)
    if len(word) > 1 and word[0] in "'\"" and word.find(word[0], 1) == len(word) - 1:
        return word[1:-1]
    return word
