"""The embedded default: tiny pretrained models and sample data that come with the package. Torch-free.

A starter is an ordinary Hugging Face folder; ``starter:NAME`` is a model name like a hub id. All of it was made by
``scripts/build_starters.py`` from text that this script generates; each folder's README.md has the measured figures.
"""

from __future__ import annotations

from pathlib import Path

from desktune.errors import ModelNotFound

STARTERS: dict[str, str] = {
    "starter:t5": "T5: English instructions (tense, questions on a context, opposites ...)",
    "starter:marian-en-fr": "Marian: English to French, everyday sentences",
    "starter:marian-fr-en": "Marian: French to English, everyday sentences",
    "starter:llama": "Llama: short conversations, with a chat template",
}
SAMPLES: dict[str, str] = {
    "marine": "marine science in English and French (source, target, source_lang, pub_number)",
    "dreams": "dreams and what they stand for (input, output)",
    "answers": "questions on the seashore and on sailing (messages)",
    "everyday": "everyday sentences with the fields of marine; trained with it, they keep a model from forgetting",
    "chores": "everyday instructions with the fields of dreams, for the same purpose",
    "talks": "everyday conversations with the fields of answers, for the same purpose",
}
_HERE = Path(__file__).parent


def folder(name: str) -> Path:
    """Return the folder of a starter.

    Raises:
        ModelNotFound: no starter of that name.
    """
    if name not in STARTERS:
        raise ModelNotFound(f"{name}: there is no such starter; allowed: {', '.join(STARTERS)}")
    return _HERE / name.removeprefix("starter:")


def sample(name: str) -> Path:
    """Return a sample data file (JSON lines).

    Raises:
        ModelNotFound: no sample of that name.
    """
    if name not in SAMPLES:
        raise ModelNotFound(f"{name}: there is no such sample data; allowed: {', '.join(SAMPLES)}")
    return _HERE / "data" / f"{name}.jsonl"
