"""What ``encoding.py`` and its helpers say to each other, as bytes: JSON, and Arrow behind it. Never a pickle.

The names of no classes travel but those of our own errors, so that bytes can only become rows, rejects and a kit.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from desktune.data.encode import Kit
from desktune.errors import ConfigError, DataError, UserError
from desktune.families import Family
from desktune.rows import Example, Message, Origin, Reject

_LENGTH_BYTES = 8


@dataclass(frozen=True, slots=True)
class Answer:
    """What a helper says of a chunk: rejects and an Arrow batch, or the error that ended it."""

    rejects: list[Reject] = field(default_factory=list)
    special_text: int = 0
    error: UserError | None = None
    batch: bytes = b""


def rows_out(rows: Iterable[Example]) -> bytes:
    """Return rows as JSON."""
    return json.dumps([_flat(row) for row in rows]).encode("ascii")


def rows_in(data: bytes) -> list[Example]:
    """Return the rows that ``rows_out`` wrote."""
    return [_example(*flat) for flat in json.loads(data)]


def answer_out(answer: Answer) -> bytes:
    """Return an answer as the length of its JSON, the JSON, and the Arrow batch."""
    said = {
        "rejects": [(*_origin(one.origin), one.reason, one.detail, one.excerpt) for one in answer.rejects],
        "special_text": answer.special_text,
        "error": None if answer.error is None else _error_out(answer.error),
    }
    head = json.dumps(said).encode("ascii")
    return len(head).to_bytes(_LENGTH_BYTES, "big") + head + answer.batch


def answer_in(data: bytes) -> Answer:
    """Return the answer that ``answer_out`` wrote."""
    end = _LENGTH_BYTES + int.from_bytes(data[:_LENGTH_BYTES], "big")
    said = json.loads(data[_LENGTH_BYTES:end])
    rejects = [Reject(Origin(file, line), *words) for file, line, *words in said["rejects"]]
    error = None if said["error"] is None else _error_in(*said["error"])
    return Answer(rejects, said["special_text"], error, data[end:])


def kit_out(kit: Kit, folder: Path) -> dict[str, Any]:
    """Return a kit whose tokenizer was saved in ``folder``, as values for JSON."""
    kind = type(kit.tokenizer).__name__
    return {"tokenizer": str(folder), "class": kind, "family": dataclasses.asdict(kit.family), "task": kit.task}


def kit_in(said: dict[str, Any]) -> Kit:
    """Return the kit that ``kit_out`` wrote, by the tokenizer's own class: ``AutoTokenizer`` would import torch.

    Raises:
        AttributeError: transformers has no such class.
        OSError, ValueError: the folder has no such tokenizer.
    """
    import transformers

    values: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in said["family"].items()
    }
    tokenizer = getattr(transformers, said["class"]).from_pretrained(said["tokenizer"], local_files_only=True)
    return Kit.of(tokenizer, Family(**values), said["task"])


def _flat(row: Example) -> tuple[Any, ...]:
    messages = [(one.role, one.content, one.extra) for one in row.messages]
    return (
        *_origin(row.origin), row.kind, row.source, row.target, messages, row.text, row.source_lang, row.target_lang,
        row.id, row.fields, row.tools,
    )  # fmt: skip


def _example(file: str, line: int, kind: Any, source: str, target: str, *rest: Any) -> Example:
    messages, text, source_lang, target_lang, name, fields, tools = rest
    return Example(
        Origin(file, line), kind, source, target, tuple(Message(*one) for one in messages), text, source_lang,
        target_lang, name, tuple((key, value) for key, value in fields), tools,
    )  # fmt: skip


def _origin(origin: Origin) -> tuple[str, int]:
    return origin.file, origin.line


def _error_out(error: UserError) -> tuple[str, list[str]]:
    return type(error).__name__, error.faults if isinstance(error, ConfigError) else [str(error)]


def _error_in(name: str, texts: list[str]) -> UserError:
    if name == ConfigError.__name__:
        return ConfigError(texts)
    return (DataError if name == DataError.__name__ else UserError)("\n".join(texts))
