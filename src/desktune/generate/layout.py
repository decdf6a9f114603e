"""Answers of several settings as lines for a person: a block per text, equal answers together, as wide as fits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from desktune.generate.side_by_side import Answer, SideBySide
from desktune.track.words import cell_width, clean, one_line

_ARROW = " → "
_BETWEEN = " · "


def blocks(result: SideBySide, width: int) -> Iterator[str]:
    """Yield the lines of all blocks, a blank one after each."""
    width = max(width, 20)
    both = len({answer.model for answer in result.answers}) > 1
    for number, (source, answers) in enumerate(result.by_text(), 1):
        yield from _indented(f"{number}. ", source, width)
        if answers[0].reference is not None:
            yield from _group("reference", answers[0].reference, width)
        for output, names in _grouped(answers, both=both).items():
            yield from _group(_BETWEEN.join(names), output or "(empty)", width)
        yield ""


def wrapped(text: str, width: int) -> list[str]:
    """Return a text cut at spaces into lines of at most ``width`` columns; what has no spaces is cut anywhere."""
    lines, line = [], ""
    for word in text.split(" "):
        joined = f"{line} {word}" if line else word
        if cell_width(joined) <= width:
            line = joined
            continue
        if line:
            lines.append(line)
        *full, line = _chopped(word, width)
        lines += full
    return [*lines, line]


def _grouped(answers: Sequence[Answer], *, both: bool) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for answer in answers:
        name = f"{answer.model}, {answer.variant}" if both else answer.variant
        groups.setdefault(answer.output, []).append(one_line(name))
    return groups


def _group(head: str, output: str, width: int) -> Iterator[str]:
    """Setting and answer on one line where they fit, else one below the other."""
    text = clean(output).strip()
    if "\n" not in text and cell_width(f"   {head}{_ARROW}{text}") <= width:
        yield f"   {head}{_ARROW}{text}"
        return
    yield from _indented("   ", f"{head}{_ARROW.rstrip()}", width)
    yield from _indented("      ", text, width)


def _indented(lead: str, text: str, width: int) -> Iterator[str]:
    blank = " " * len(lead)
    lines = [line for part in clean(text).splitlines() or [""] for line in wrapped(part, width - len(lead))]
    for number, line in enumerate(lines):
        yield f"{blank if number else lead}{line}".rstrip()


def _chopped(word: str, width: int) -> list[str]:
    lines, line = [], ""
    for character in word:
        if cell_width(line + character) > width:
            lines.append(line)
            line = ""
        line += character
    return [*lines, line]
