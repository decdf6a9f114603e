"""What is worth a word about rows that are kept: signs nobody sees, copies, addresses and keys, one target for all.

Nothing is changed or left out here; it is counted for the ledger, or said once.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable

from desktune.config.faults import shown
from desktune.config.schema import DataSection
from desktune.data.clean.language import in_script, script_of
from desktune.errors import DataError
from desktune.events import Emit, Warn
from desktune.rows import Example

_SAMPLE = 2_000  # first rows whose script is looked at
_OTHER_SCRIPT = 0.2  # share of the sample from which on another script is said
_FEW_ROWS = 5  # fewer equal targets may well be meant
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f]")
_UNSEEN = re.compile("[\xad\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff]")
_MAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_KEY = re.compile(
    r"\b(?:ghp_|gho_|github_pat_|hf_|sk-|xox[abp]-|glpat-)[\w-]{16,}|\bAKIA[0-9A-Z]{16}\b|\bAIza[\w-]{35}"
    r"|\beyJ[\w-]{8,}\.eyJ[\w-]{8,}|-----BEGIN [A-Z ]*PRIVATE KEY-----"
)
_KEY_STARTS = ("ghp_", "gho_", "github_pat_", "hf_", "sk-", "xox", "glpat-", "AKIA", "AIza", "eyJ", "-----BEGIN ")


def _has_key(text: str) -> bool:
    return any(start in text for start in _KEY_STARTS) and _KEY.search(text) is not None


_KINDS: tuple[tuple[str, Callable[[str], bool]], ...] = (
    ("control characters", lambda text: not text.isprintable() and _CONTROL.search(text) is not None),
    ("invisible or bidi signs", lambda text: not text.isascii() and _UNSEEN.search(text) is not None),
    ("decomposed letters (not NFC)", lambda text: not unicodedata.is_normalized("NFC", text)),
    ("an e-mail address", lambda text: "@" in text and _MAIL.search(text) is not None),
    ("a key or token", _has_key),
)


class Remarks:
    """Looks at rows as they pass."""

    def __init__(self, section: DataSection) -> None:
        self.counts: Counter[str] = Counter()
        self._section = section
        self._ids: dict[str, str] | None = {} if "id" in section.fields else None
        self._rows, self._target, self._constant = 0, "", True
        self._looked_at: Counter[str] = Counter()
        self._other: Counter[str] = Counter()

    def see(self, row: Example) -> None:
        """Look at one row. Raises DataError for an id that stood before, where ``data.fields`` names the ids."""
        self._check_id(row)
        text = _text_of(row)
        self.counts.update(kind for kind, found in _KINDS if found(text))
        self._rows += 1
        if row.kind != "pair":
            self._constant = False
            return
        self.counts.update(["a target that is the source"] if row.source.strip() == row.target.strip() else [])
        self._target = self._target if self._rows > 1 else row.target
        self._constant = self._constant and row.target == self._target
        if self._rows <= _SAMPLE:
            self._look_at_scripts(row)

    def tell(self, key: str, emit: Emit) -> None:
        """Warn of what all the rows of a key of ``data:`` have in common."""
        if self._constant and self._rows >= _FEW_ROWS:
            emit(Warn(f"data.{key}: all {self._rows:,} rows have the same target ({_said(self._target)})"))
        for side, looked_at in self._looked_at.items():
            other = self._other[side]
            if other >= _OTHER_SCRIPT * looked_at and looked_at >= _FEW_ROWS:
                code = self._section.source_lang if side == "sources" else self._section.target_lang
                emit(
                    Warn(
                        f"data.{key}: {other:,} of {looked_at:,} {side} are not in the script of {code}; "
                        "look whether the files or the languages are mixed up"
                    )
                )

    def _check_id(self, row: Example) -> None:
        if self._ids is None or row.id is None:
            return
        before = self._ids.setdefault(row.id, str(row.origin))
        if before != str(row.origin):
            raise DataError(
                f"{row.origin}: the id {_said(row.id)} stands in {before} too; "
                "give each row its own, or take id out of data.fields"
            )

    def _look_at_scripts(self, row: Example) -> None:
        if self._section.both_directions:
            return
        sides = (("sources", row.source, row.source_lang), ("targets", row.target, row.target_lang))
        configured = {"sources": self._section.source_lang, "targets": self._section.target_lang}
        for side, text, own in sides:
            code = own or configured[side]
            score = in_script(text, script_of(code)) if code else None
            if score is not None:
                self._looked_at[side] += 1
                self._other[side] += score < 0.5


def _text_of(row: Example) -> str:
    if row.kind == "messages":
        return "\n".join(message.content for message in row.messages)
    return f"{row.source}\n{row.target}" if row.kind == "pair" else row.text


def _said(text: str) -> str:
    return shown(text).removeprefix("the text ")
