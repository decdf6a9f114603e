"""Texts, tokenizers and sizes that the tiny models share."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import sentencepiece
import torch
from tokenizers import ByteLevelBPETokenizer
from transformers import PreTrainedModel

EN = [
    "the dog sees a cat",
    "my house is red",
    "a bird sings near the river",
    "two men open the door",
    "she reads 12 books today",
]
FR = [
    "le chien voit un chat",
    "ma maison est rouge",
    "un oiseau chante près de la rivière",
    "deux hommes ouvrent la porte",
    "elle lit 12 livres",
]
ENCODER_DECODER: dict[str, Any] = {
    "d_model": 32,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 64,
    "decoder_ffn_dim": 64,
    "max_position_embeddings": 128,
}
DECODER: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 128,
}


def lines(sentences: list[str], seed: int = 0) -> list[str]:
    """Return a few hundred shuffled variants of some sentences, to train a tokenizer on."""
    rng = random.Random(seed)
    words = sorted({word for sentence in sentences for word in sentence.split()})
    return [" ".join(rng.choices(words, k=rng.randint(3, 9))) for _ in range(400)] + sentences * 3


def train_spm(text: list[str], prefix: Path, **options: object) -> Path:
    """Train a small sentencepiece model; returns the .model file."""
    settings = {
        "vocab_size": 120,
        "model_type": "unigram",
        "hard_vocab_limit": False,
        "character_coverage": 1.0,
        "minloglevel": 2,
    }
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(text), model_prefix=str(prefix), **{**settings, **options}
    )
    Path(f"{prefix}.vocab").unlink()
    return Path(f"{prefix}.model")


def train_bytes(folder: Path, specials: list[str]) -> None:
    """Train a small byte-level BPE (vocab.json and merges.txt), the special tokens first."""
    trainer = ByteLevelBPETokenizer()
    trainer.train_from_iterator(lines(EN + FR), vocab_size=360, special_tokens=specials, show_progress=False)
    trainer.save_model(str(folder))


def save(model: PreTrainedModel, tokenizer: Any, folder: Path) -> Path:
    """Save both; the weights are drawn from a seed before."""
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def seeded() -> None:
    """Start the random state from the same place for every model."""
    torch.manual_seed(0)
