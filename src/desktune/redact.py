"""Secrets → ``(hidden)`` in whatever is printed, logged or kept: the last layer, below which nobody has to think of it.

A secret is the value of an environment variable that is named like one, a word of the shape of a known token, or who
logs in at an address. Texts without any come back as they were.
"""

from __future__ import annotations

import functools
import json
import os
import re

HIDDEN = "(hidden)"
_NAME = re.compile(
    r"(?:(?:^|_)(?:token|key|apikey|secret|password|passwd|credentials?)|_(?:pass|pwd|pat)|^(?:pgpassword|sshpass))$",
    re.IGNORECASE,
)
SHORTEST = 8  # a shorter value is a word, and would hide it everywhere
_SHAPES = re.compile(
    r"\b(?:hf_[A-Za-z0-9]{16,}|api_org_[A-Za-z0-9]{16,}|sk-(?=[\w-]*\d)[\w-]{20,}|gh[pousr]_[A-Za-z0-9]{16,}"
    r"|github_pat_\w{16,}|AKIA[A-Z0-9]{12,}|xox[abpr]-[A-Za-z0-9-]{10,}|wandb_v\d_\w{16,})"
    r"|(?<=://)(?!git@)[^/@\s?#]+@|(?<=[Bb]earer )(?=[\w.~+/=-]*\d)[\w.~+/=-]{16,}"
)


def is_secret(name: str) -> bool:
    """Whether a variable or key of this name holds a secret."""
    return _NAME.search(name) is not None


def redact(text: str) -> str:
    """Return a text without secrets."""
    values = tuple(value for name, value in os.environ.items() if len(value) >= SHORTEST and is_secret(name))
    if values:
        text = _pattern(values).sub(HIDDEN, text)
    return _SHAPES.sub(lambda found: HIDDEN + ("@" if found.group().endswith("@") else ""), text)


@functools.lru_cache(maxsize=8)
def _pattern(values: tuple[str, ...]) -> re.Pattern[str]:
    forms = {form for value in values for form in (value, repr(value)[1:-1], json.dumps(value)[1:-1])}
    return re.compile("|".join(re.escape(form) for form in sorted(forms, key=len, reverse=True)))
