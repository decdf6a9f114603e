"""T5 in its forms: v1.0, v1.1 (FLAN), mT5, ByT5, MADLAD's ``<2xx>`` prefixes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from transformers import (
    ByT5Tokenizer,
    MT5Config,
    MT5ForConditionalGeneration,
    T5Config,
    T5ForConditionalGeneration,
    T5Tokenizer,
)

from tests.zoo.common import EN, FR, lines, save, seeded, train_spm

SIZES: dict[str, Any] = {
    "d_model": 32,
    "d_kv": 8,
    "d_ff": 64,
    "num_layers": 2,
    "num_heads": 4,
    "dropout_rate": 0.1,
    "decoder_start_token_id": 0,
}
V1_1: dict[str, Any] = {**SIZES, "feed_forward_proj": "gated-gelu", "tie_word_embeddings": False}


def build_t5(folder: Path) -> Path:
    """T5 v1.0 with spiece.model."""
    tokenizer = _tokenizer(folder)
    seeded()
    return save(T5ForConditionalGeneration(T5Config(vocab_size=len(tokenizer), **SIZES)), tokenizer, folder)


def build_t5_v1_1(folder: Path) -> Path:
    """T5 v1.1, the form of FLAN-T5: gated GELU, and a head of its own that is not scaled."""
    tokenizer = _tokenizer(folder)
    seeded()
    return save(_untied(T5ForConditionalGeneration(T5Config(vocab_size=len(tokenizer), **V1_1))), tokenizer, folder)


def build_mt5(folder: Path) -> Path:
    """The multilingual T5: its own model type, the tokenizer class of T5."""
    tokenizer = _tokenizer(folder, extra_ids=0)
    seeded()
    config = MT5Config(vocab_size=len(tokenizer), **V1_1)
    return save(_untied(MT5ForConditionalGeneration(config)), tokenizer, folder)


def build_byt5(folder: Path) -> Path:
    """T5 on bytes: no file of pieces."""
    folder.mkdir(parents=True)
    tokenizer = ByT5Tokenizer()
    seeded()
    config = T5Config(vocab_size=384, tokenizer_class="ByT5Tokenizer", **V1_1)
    return save(_untied(T5ForConditionalGeneration(config)), tokenizer, folder)


def build_madlad(folder: Path) -> Path:
    """MADLAD-400: T5 v1.1 whose source starts with the target language, ``<2fr>``."""
    tokenizer = _tokenizer(folder, extra_ids=0, user_defined_symbols=["<2en>", "<2fr>", "<2de>", "<2pt>"])
    seeded()
    return save(_untied(T5ForConditionalGeneration(T5Config(vocab_size=len(tokenizer), **V1_1))), tokenizer, folder)


def _tokenizer(folder: Path, extra_ids: int = 100, **options: Any) -> T5Tokenizer:
    folder.mkdir(parents=True)
    train_spm(lines(EN + FR), folder / "spiece", pad_id=0, eos_id=1, unk_id=2, bos_id=-1, **options)
    return T5Tokenizer.from_pretrained(folder, extra_ids=extra_ids)


def _untied(model: Any) -> Any:
    """Give the head weights of its own, as the published v1.1 checkpoints have."""
    model.lm_head.weight = type(model.lm_head.weight)(model.lm_head.weight.detach().clone().normal_(std=0.5))
    return model


BUILDERS = {
    "t5": build_t5,
    "t5-v1.1": build_t5_v1_1,
    "mt5": build_mt5,
    "byt5": build_byt5,
    "madlad": build_madlad,
}
