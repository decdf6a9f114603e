"""``data.template`` → text: ``{name}`` is put in by one pass over the template, so a value is never looked at again.

``str.format`` would run attribute access and format widths out of a template, and a second pass would expand braces
that stand in the data; neither exists here.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass

from desktune.errors import DataError, nearest
from desktune.rows import Example, Message, Reject, Rendered

_PIECE = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")


@dataclass(frozen=True, slots=True)
class Template:
    """A template cut into pieces: (literal text, name of the field that follows or None)."""

    text: str
    pieces: tuple[tuple[str, str | None], ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Fields that the template reads."""
        return tuple(name for _, name in self.pieces if name is not None)


def compile_template(text: str) -> Template:
    """Cut a template into pieces; ``{{`` and ``}}`` are braces.

    Raises:
        DataError: a brace that is not closed, or that closes nothing, or an empty ``{}``.
    """
    pieces: list[tuple[str, str | None]] = []
    literal, end = "", 0
    for match in _PIECE.finditer(text):
        literal += text[end : match.start()]
        end = match.end()
        found, name = match.group(), match.group(1)
        if found in ("{{", "}}"):
            literal += found[0]
        elif name is None or not name.strip():
            raise DataError(
                f"data.template: {found!r} at character {match.start() + 1}; write {{source}}, a brace is written twice"
            )
        else:
            pieces.append((literal, name.strip()))
            literal = ""
    pieces.append((literal + text[end:], None))
    return Template(text, tuple(pieces))


def render(example: Example, template: Template) -> Rendered | Reject:
    """Return the row as the model reads it, with its content hash.

    Raises:
        DataError: the template names a field that the row does not have.
    """
    if example.kind == "messages":
        return _conversation(example)
    if example.kind == "text":
        return _keyed(example, "", example.text)
    prompt = fill(template, {**dict(example.fields), "source": example.source}, str(example.origin))
    if not prompt.strip():
        return Reject(example.origin, "empty-source", "the template gives an empty text")
    return _keyed(example, prompt, example.target)


def fill(template: Template, values: dict[str, str], place: str) -> str:
    """Put values into a template. Raises DataError for a name that ``values`` does not have."""
    parts = []
    for literal, name in template.pieces:
        parts.append(literal)
        if name is not None:
            if name not in values:
                raise DataError(
                    f"data.template: no text field {name!r} at {place}; fields that exist: "
                    f"{', '.join(values)}{nearest(name, list(values))}"
                )
            parts.append(values[name])
    return "".join(parts)


def _conversation(example: Example) -> Rendered:
    """Render the turns before the first trained answer as prompt and it as completion, for people and evaluation."""
    first = next(i for i, message in enumerate(example.messages) if message.role == "assistant" and message.counts)
    prompt = "\n".join(message.content for message in example.messages[:first])
    answer = example.messages[first]
    return _keyed(example, prompt, answer.content or answer.extra, example.messages)


def _keyed(example: Example, prompt: str, completion: str, messages: tuple[Message, ...] = ()) -> Rendered:
    content = [
        example.kind,
        prompt,
        completion,
        [[message.role, message.content] for message in messages],
        example.source_lang,
        example.target_lang,
    ]
    content += [[message.extra for message in messages], example.tools] if _uses_tools(example) else []
    key = hashlib.sha256(json.dumps(content, ensure_ascii=False).encode("utf-8")).hexdigest()
    return Rendered(
        example.origin, example.kind, prompt, completion, messages, example.source_lang, example.target_lang, key,
        example.tools,
    )  # fmt: skip


def _uses_tools(example: Example) -> bool:
    return example.tools != "" or any(message.extra for message in example.messages)
