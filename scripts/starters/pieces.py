"""Sentencepiece models as the real families have them: every letter a piece, digits apart, text kept as it is."""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path

from sentencepiece import SentencePieceTrainer

ALPHABET = "".join(chr(code) for code in range(33, 127)) + "àâäæçéèêëîïôöœùûüÿÀÂÄÆÇÉÈÊËÎÏÔÖŒÙÛÜŸñÑáíóúß’‘“”«»–—…°²³±×€%"


def train_pieces(lines: Iterable[str], path: Path, size: int, **options: object) -> None:
    """Train a sentencepiece model (unigram unless said otherwise) and write it."""
    model = io.BytesIO()
    settings: dict[str, object] = {
        "model_type": "unigram", "character_coverage": 1.0, "required_chars": ALPHABET, "split_digits": True,
        "normalization_rule_name": "identity", "num_threads": 1, "minloglevel": 2,
    }  # fmt: skip
    SentencePieceTrainer.train(
        sentence_iterator=iter(lines), model_writer=model, vocab_size=size, **(settings | options)
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(model.getvalue())
