"""Everyday rows in the shape of the domain samples: mixed in, they keep a tuned starter from forgetting the rest.

They come from the grammars that the starters were trained on, with a seed of their own.
"""

from __future__ import annotations

import random

from .llama import messages
from .tasks import conversation, prefixed
from .translation import pair

PAIRS, TALKS, CHORES = 150, 150, 150


def everyday(seed: int) -> list[dict[str, str]]:
    """Return everyday sentences in both directions, with the fields of the marine rows."""
    rng = random.Random(seed + 555)
    made = []
    for number in range(PAIRS):
        en, fr = pair(rng)
        publication = f"2020/{number + 1:03d}"
        made.append({"source": en, "target": fr, "source_lang": "en", "pub_number": publication})
        made.append({"source": fr, "target": en, "source_lang": "fr", "pub_number": publication})
    return made


def chores(seed: int) -> list[dict[str, str]]:
    """Return everyday instructions with their answers, with the fields of the dreams."""
    rng = random.Random(seed + 555)
    return [{"input": asked, "output": answer} for asked, answer in (prefixed(rng) for _ in range(CHORES))]


def talks(seed: int) -> list[dict[str, list[dict[str, str]]]]:
    """Return everyday conversations of one turn, with the fields of the answers."""
    rng = random.Random(seed + 555)
    return [{"messages": messages(conversation(rng)[:1])} for _ in range(TALKS)]
