"""Changes of text that lose nothing a reader sees: Unicode, control characters, white space, line breaks."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping

from desktune.compat import require

# C0 and C1 controls but tab and line ends; soft hyphen, zero-width space, directional marks, byte order mark.
# The joiners U+200C and U+200D are kept: Persian, Indic scripts and emoji are written with them.
_UNSEEN = re.compile(
    "\x1b\\[[0-9;?]*[A-Za-z]|"  # colours of a terminal, whole
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\xad\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff]"
)
_BREAK = re.compile(r"[ \t]*(?:\r\n|[\n\r\x85\u2028\u2029])+[ \t]*")
_HYPHENATED = re.compile(r"(?<=[^\W\d_])-[ \t]*(?:\r\n|\n)[ \t]*(?=[^\W\d_])")
_SPACES = re.compile(r"[^\S\r\n\u00a0\u202f]{2,}|[^\S\r\n \u00a0\u202f]")

Change = Callable[[str], str]


def changes_of(limits: Mapping[str, object]) -> dict[str, Change]:
    """Return the changes that are on, in their order.

    Raises:
        MissingExtra: ``repair`` is on and ftfy is not installed.
    """
    found: dict[str, Change] = {}
    if limits["repair"]:
        found["repair"] = repairer()
    if limits["normalise"]:
        found["normalise"] = lambda text: text if text.isascii() else unicodedata.normalize("NFC", text)
    if limits["control"]:
        found["control"] = lambda text: _UNSEEN.sub("", text)
    if limits["linebreaks"] == "space":
        found["linebreaks"] = join_lines
    if limits["whitespace"]:
        found["whitespace"] = one_space
    return found


def repairer() -> Change:
    """Return ftfy's repair of mojibake only: quotes, ligatures and width stay as they are (ftfy, Speer 2019)."""
    require("ftfy", "data", "cleaning: repair")
    from ftfy import TextFixerConfig, fix_text

    config = TextFixerConfig(
        unescape_html="auto", fix_latin_ligatures=False, fix_character_width=False, uncurl_quotes=False,
        fix_line_breaks=False, normalization=None, explain=False,
    )  # fmt: skip
    return lambda text: text if text.isascii() and "&" not in text else fix_text(text, config)


def join_lines(text: str) -> str:
    """Write a text on one line; a word that was cut at the end of a line is put together."""
    return _BREAK.sub(" ", _HYPHENATED.sub("", text))


def one_space(text: str) -> str:
    """Collapse runs of white space; no-break spaces of French punctuation stay."""
    return _SPACES.sub(" ", text).strip()
