"""The T5 starter: English instructions with one right answer."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .pieces import train_pieces
from .pretrain import Row
from .starter import padded, shifted
from .tasks import prefixed

_PIECES, _TOKENIZER_PAIRS = 1200, 25_000


class T5Starter:
    """T5 1.0 in small, with sentencepiece and its hundred extra ids."""

    causal = False
    steps = 6000
    rate = 2e-3
    title = "instructions in English"
    domain = (
        "instructions with a prefix: `past:`, `future:`, `negate:`, `passive:`, `first person:`, "
        "`question: ... context: ...`, `opposite:`, `what is:`, `plural:`, `join with and:`, `repeat:`, `sum:`"
    )

    def texts(self, seed: int) -> Iterator[tuple[str, str]]:
        rng = random.Random(seed)
        while True:
            yield prefixed(rng)

    def build_tokenizer(self, folder: Path, seed: int) -> None:
        from transformers import T5Tokenizer

        rng = random.Random(seed)
        lines = [text for _ in range(_TOKENIZER_PAIRS) for text in prefixed(rng)]
        train_pieces(lines, folder / "spiece.model", _PIECES, pad_id=0, eos_id=1, unk_id=2, bos_id=-1)
        T5Tokenizer.from_pretrained(folder, model_max_length=512).save_pretrained(folder)

    def build_model(self, tokenizer: Any) -> torch.nn.Module:
        from transformers import T5Config, T5ForConditionalGeneration

        config = T5Config(
            vocab_size=(len(tokenizer) + 7) // 8 * 8, d_model=160, d_kv=32, d_ff=512, num_layers=3,
            num_decoder_layers=3, num_heads=5, dropout_rate=0.0, feed_forward_proj="relu", decoder_start_token_id=0,
            pad_token_id=0, eos_token_id=1, tie_word_embeddings=True,
        )  # fmt: skip
        model = T5ForConditionalGeneration(config)
        model.generation_config.update(
            num_beams=1, max_new_tokens=128, pad_token_id=0, decoder_start_token_id=0, eos_token_id=1
        )
        return model

    def encode(self, tokenizer: Any, texts: Sequence[tuple[str, str]]) -> list[Row]:
        sources = tokenizer([text[0] for text in texts])["input_ids"]
        return list(zip(sources, tokenizer([text[1] for text in texts])["input_ids"], strict=True))

    def collate(self, tokenizer: Any, rows: Sequence[Row]) -> dict[str, Tensor]:
        sources, labels = padded([row[0] for row in rows], 0), padded([row[1] for row in rows], -100)
        return {
            "input_ids": sources, "attention_mask": (sources != 0).long(),
            "decoder_input_ids": shifted(labels, 0, 0), "labels": labels,
        }  # fmt: skip

    def question(self, text: tuple[str, str]) -> str:
        return text[0]

    def answer(self, text: tuple[str, str]) -> str:
        return text[1]

    def finite(self, text: tuple[str, str]) -> bool:
        return text[0].startswith(("what is", "sum", "plural"))
