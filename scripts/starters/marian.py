"""The Marian starters: two sentencepieces, one vocabulary, padding last, as the OPUS-MT models have it."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from sentencepiece import SentencePieceProcessor
from torch import Tensor

from .pieces import train_pieces
from .pretrain import Row
from .starter import padded, shifted
from .translation import pair

_PIECES, _TOKENIZER_PAIRS = 1200, 30_000


class MarianStarter:
    """One direction of English-French."""

    causal = False
    steps = 7000  # what ships was stopped early, see the cards
    rate = 1.5e-3
    domain = (
        "everyday sentences: people, animals, things, places and food; present, past and future; negation, passive, "
        "comparison, relative clauses, *il y a*; made-up names, numbers and units, which are copied"
    )

    def __init__(self, source: str, target: str) -> None:
        self.source, self.target = source, target
        self.title = {"en": "English", "fr": "French"}[source] + " to " + {"en": "English", "fr": "French"}[target]

    def texts(self, seed: int) -> Iterator[tuple[str, str]]:
        rng = random.Random(seed)
        while True:
            en, fr = pair(rng)
            yield (en, fr) if self.source == "en" else (fr, en)

    def build_tokenizer(self, folder: Path, seed: int) -> None:
        from transformers import MarianTokenizer

        sample = list(islice(self.texts(seed), _TOKENIZER_PAIRS))
        vocab = {"</s>": 0, "<unk>": 1}
        for side, name in enumerate(("source", "target")):
            path = folder / f"{name}.spm"
            train_pieces([text[side] for text in sample], path, _PIECES, pad_id=-1, bos_id=-1, eos_id=0, unk_id=1)
            spm = SentencePieceProcessor(model_file=str(path))
            for index in range(spm.get_piece_size()):
                vocab.setdefault(spm.id_to_piece(index), len(vocab))
        while (len(vocab) + 1) % 8:
            vocab[f"<unused{len(vocab)}>"] = len(vocab)
        vocab["<pad>"] = len(vocab)
        (folder / "vocab.json").write_text(json.dumps(vocab, ensure_ascii=False), encoding="utf-8")
        tokenizer = MarianTokenizer(
            source_spm=str(folder / "source.spm"), target_spm=str(folder / "target.spm"),
            vocab=str(folder / "vocab.json"), source_lang=self.source, target_lang=self.target, model_max_length=512,
        )  # fmt: skip
        tokenizer.save_pretrained(folder)

    def build_model(self, tokenizer: Any) -> torch.nn.Module:
        from transformers import MarianConfig, MarianMTModel

        size, pad = len(tokenizer), tokenizer.pad_token_id
        config = MarianConfig(
            vocab_size=size, decoder_vocab_size=size, d_model=160, encoder_layers=3, decoder_layers=3,
            encoder_attention_heads=5, decoder_attention_heads=5, encoder_ffn_dim=512, decoder_ffn_dim=512, dropout=0.0,
            attention_dropout=0.0, activation_dropout=0.0, activation_function="swish", max_position_embeddings=512,
            scale_embedding=True, pad_token_id=pad, eos_token_id=0, decoder_start_token_id=pad, forced_eos_token_id=0,
            bos_token_id=None, static_position_embeddings=True, share_encoder_decoder_embeddings=True,
            tie_word_embeddings=True,
        )  # fmt: skip
        model = MarianMTModel(config)
        with torch.no_grad():
            model.get_input_embeddings().weight[pad].zero_()
        model.generation_config.update(
            num_beams=1, max_length=None, max_new_tokens=128, bad_words_ids=[[pad]], forced_eos_token_id=0,
            pad_token_id=pad, decoder_start_token_id=pad, eos_token_id=0,
        )  # fmt: skip
        return model

    def encode(self, tokenizer: Any, texts: Sequence[tuple[str, str]]) -> list[Row]:
        vocab = tokenizer.get_vocab()

        def ids(spm: Any, side: int) -> list[list[int]]:
            cut = spm.encode([text[side] for text in texts], out_type=str)
            return [[vocab.get(piece, 1) for piece in pieces] + [0] for pieces in cut]

        return list(zip(ids(tokenizer.spm_source, 0), ids(tokenizer.spm_target, 1), strict=True))

    def collate(self, tokenizer: Any, rows: Sequence[Row]) -> dict[str, Tensor]:
        pad = tokenizer.pad_token_id
        sources, labels = padded([row[0] for row in rows], pad), padded([row[1] for row in rows], -100)
        return {
            "input_ids": sources, "attention_mask": (sources != pad).long(),
            "decoder_input_ids": shifted(labels, pad, pad), "labels": labels,
        }  # fmt: skip

    def question(self, text: tuple[str, str]) -> str:
        return text[0]

    def answer(self, text: tuple[str, str]) -> str:
        return text[1]

    def finite(self, text: tuple[str, str]) -> bool:
        return False
