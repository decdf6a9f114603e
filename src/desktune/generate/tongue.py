"""The languages of a conversation: what the next text is in, and what it is answered in (``/lang en fr``)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from desktune.languages import Direction
from desktune.rows import Message

Resolve = Callable[[str | None, str | None], Direction]
Encode = Callable[[Sequence[Message], Direction], Sequence[int]]


class Tongue:
    """A direction that can be changed, and the encoding of messages in it.

    Args:
        directions: Those that were trained; the first one is spoken until another is set.
        resolve: Codes as a person writes them → the tokenizer's.
        encode: Messages and a direction → token ids.
    """

    def __init__(self, directions: Sequence[Direction], resolve: Resolve, encode: Encode) -> None:
        self._directions, self._resolve, self._encode = directions, resolve, encode
        self.direction: Direction = directions[0] if directions else (None, None)

    @property
    def told(self) -> bool:
        """Whether the model is told languages at all."""
        return any(target for _, target in self._directions)

    def encode(self, messages: Sequence[Message]) -> Sequence[int]:
        """Return messages as token ids in the present direction."""
        return self._encode(messages, self.direction)

    def turn(self, words: str) -> str:
        """Set the direction from ``en fr``, or ``fr`` for the target alone; return what to show.

        Raises:
            UserError: a code that the tokenizer does not know, or a direction that is not clear.
        """
        if not self.told:
            return "this model is not told languages"
        if words:
            *source, target = words.replace("→", " ").split()
            self.direction = self._resolve(source[0] if source else None, target)
        return f"{self.direction[0] or 'any language'} → {self.direction[1]}"
