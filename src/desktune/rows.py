"""What travels between the stages: who reads this file knows the program.

::

    read ─▶ Example │ Reject      split ─▶ the same      template ─▶ Rendered      encode ─▶ Encoded │ Reject

A row keeps its ``Origin`` to the end, so that every trained token can be traced to the line it came from.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

IGNORE = -100  # label of a token that is context only; torch's cross_entropy skips it

RowKind = Literal["pair", "messages", "text"]
Task = Literal["seq2seq", "translation", "causal"]


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a row was read: ``line`` counts lines (text, JSON lines, CSV) or rows (JSON array, Parquet) from 1."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation.

    ``extra`` is JSON of what else a turn with tools has (tool_calls, name …). ``trained`` says whether it is trained;
    None: where the assistant speaks.
    """

    role: str
    content: str
    extra: str = ""
    trained: bool | None = None

    @property
    def counts(self) -> bool:
        """Whether the turn is trained on."""
        return self.role == "assistant" if self.trained is None else self.trained


@dataclass(frozen=True, slots=True)
class Example:
    """One row as read: a ``pair`` (source, target), a conversation (``messages``) or plain ``text``.

    ``fields`` holds every text field of the row by *its* name, for ``{name}`` in the template.
    """

    origin: Origin
    kind: RowKind
    source: str = ""
    target: str = ""
    messages: tuple[Message, ...] = ()
    text: str = ""
    source_lang: str | None = None
    target_lang: str | None = None
    id: str | None = None
    fields: tuple[tuple[str, str], ...] = ()
    tools: str = ""  # JSON of the tools that a conversation offers


@dataclass(frozen=True, slots=True)
class Reject:
    """A row that was read and is not used: ``reason`` is a short slug that is counted, ``detail`` says more."""

    origin: Origin
    reason: str
    detail: str = ""
    excerpt: str = ""


@dataclass(frozen=True, slots=True)
class Rendered:
    """A row as text: ``prompt`` is context, ``completion`` is what is trained.

    For conversations ``messages`` is kept, since the chat template decides which tokens are trained. For plain
    text the prompt is empty.
    """

    origin: Origin
    kind: RowKind
    prompt: str
    completion: str
    messages: tuple[Message, ...] = ()
    source_lang: str | None = None
    target_lang: str | None = None
    key: str = ""  # content hash: equal rows have equal keys
    tools: str = ""


@dataclass(frozen=True, slots=True)
class Encoded:
    """A row as token ids.

    Sequence-to-sequence: ``input_ids`` is the source, ``labels`` the target with its EOS.
    Causal: ``input_ids`` is the whole sequence and ``labels`` has the same length, ``IGNORE`` where a token is
    context. Labels are *not* shifted; the model (causal) or the collator (decoder inputs) shifts.
    ``prompt_length`` counts the tokens before the first trained one (causal; equals ``len(input_ids)`` otherwise):
    what generation is given. ``prompt`` and ``completion`` are the texts, for evaluation and display.
    """

    origin: Origin
    input_ids: tuple[int, ...]
    labels: tuple[int, ...]
    prompt_length: int
    prompt: str
    completion: str
    source_lang: str | None = None
    target_lang: str | None = None
    key: str = ""
    truncated: bool = False

    @property
    def trained_tokens(self) -> int:
        """Labels that count in the loss."""
        return sum(label != IGNORE for label in self.labels)
