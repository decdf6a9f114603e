"""How many tokens fit: a conversation over the model's positions loses its oldest turns, never the question.

Positions are those of ``config.json``. T5 has relative ones and ALiBi models none: they have no limit here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from desktune.errors import DataError
from desktune.generate.decode import Decoding
from desktune.models.load import Bundle
from desktune.rows import Message

_RELATIVE = ("t5", "mt5", "umt5", "longt5")  # their n_positions is a habit of training, not a limit
_NAMES = ("max_position_embeddings", "n_positions")

EncodePrompt = Callable[[Sequence[Message]], Sequence[int]]


@dataclass(frozen=True)
class Fitted:
    """A prompt that leaves room for its answer."""

    prompt: Sequence[int]
    how: Decoding
    dropped: int = 0  # turns that the model does not see


def positions(bundle: Bundle) -> int | None:
    """Return how many tokens the model has positions for, or None where it has no limit."""
    config = bundle.located.config
    if config.get("model_type") in _RELATIVE:
        return None
    return next((config[name] for name in _NAMES if isinstance(config.get(name), int)), None)


def fit(bundle: Bundle, asked: Sequence[Message], encode: EncodePrompt, how: Decoding) -> Fitted:
    """Encode a conversation so that prompt and answer fit.

    Half of the positions at most are kept free for the answer; a system text stays.

    Raises:
        DataError: the last turn alone is too long.
    """
    limit, turns = positions(bundle), list(asked)
    prompt = encode(turns)
    if limit is None:
        return Fitted(prompt, how)
    if bundle.family.encoder_decoder:
        if len(prompt) > limit:
            raise _too_long(len(prompt), limit)
        return Fitted(prompt, _shorter(how, limit - 1))
    wanted = min(how.settings["max_new_tokens"], limit // 2)
    first = 1 if turns[0].role == "system" else 0
    while len(prompt) + wanted > limit and len(turns) > first + 1:
        del turns[first : first + 2]  # a question and its answer
        prompt = encode(turns)
    if len(prompt) >= limit:
        raise _too_long(len(prompt), limit)
    return Fitted(prompt, _shorter(how, limit - len(prompt)), len(asked) - len(turns))


def _shorter(how: Decoding, room: int) -> Decoding:
    """Return settings whose answer ends where the positions do."""
    limited = {
        name: min(how.settings[name], room) for name in ("max_new_tokens", "min_new_tokens") if name in how.settings
    }
    return replace(how, settings={**how.settings, **limited})


def _too_long(tokens: int, limit: int) -> DataError:
    return DataError(f"the text has {tokens:,} tokens, and the model has {limit:,} positions; write a shorter one")
