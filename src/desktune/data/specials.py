"""Text in the data that spells a special token (``</s>``, ``<|im_end|>``) gets a space after its first sign.

A tokenizer would turn it into the special token itself: an end of sentence in the middle of a source, or a forged turn
of a conversation. ``split_special_tokens`` of transformers does not help where the token is also a piece of the
vocabulary (T5: ``</s>`` stays id 1). Only values are changed, never the template.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

from desktune.languages import Languages
from desktune.rows import Example


@dataclass(frozen=True)
class Specials:
    """The special tokens of a tokenizer, those of languages too, as one pattern, longest first; None without any."""

    pattern: re.Pattern[str] | None

    @classmethod
    def of(cls, tokenizer: Any, languages: Languages | None = None, opening: str = "") -> Specials:
        """Return the special tokens of a tokenizer; ``opening`` is a pattern that counts at the beginning of a text."""
        added = {str(token) for token in tokenizer.added_tokens_decoder.values() if token.special}
        codes = set(languages.tokens.values()) if languages is not None else set()
        texts = sorted({*map(str, tokenizer.all_special_tokens), *added, *codes}, key=lambda text: (-len(text), text))
        known = [re.escape(text) for text in texts if len(text) > 1]
        known += [f"^{opening}"] if opening else []
        return cls(re.compile("|".join(known)) if known else None)

    def clean(self, text: str) -> str:
        """Return the text without special tokens in it."""
        if self.pattern is None or self.pattern.search(text) is None:
            return text
        return self.pattern.sub(lambda match: f"{match.group()[0]} {match.group()[1:]}", text)

    def clean_example(self, example: Example) -> Example:
        """Return the row without special tokens in its values; the same object when there was nothing to do."""
        texts = (example.source, example.target, example.text, *(value for _, value in example.fields))
        contents = (text for message in example.messages for text in (message.content, message.extra))
        if self.pattern is None or not any(self.pattern.search(text) for text in (*texts, *contents, example.tools)):
            return example
        return replace(
            example,
            source=self.clean(example.source),
            target=self.clean(example.target),
            text=self.clean(example.text),
            messages=tuple(
                replace(message, content=self.clean(message.content), extra=self.clean(message.extra))
                for message in example.messages
            ),
            tools=self.clean(example.tools),
            fields=tuple((name, self.clean(value)) for name, value in example.fields),
        )
