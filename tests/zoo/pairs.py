"""Marian: one direction, and several targets behind ``>>xx<<``."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import sentencepiece
from transformers import MarianConfig, MarianMTModel, MarianTokenizer

from tests.zoo.common import EN, ENCODER_DECODER, FR, lines, save, seeded, train_spm


def build_marian(folder: Path) -> Path:
    """Marian with two sentencepiece models and a joint vocabulary, padding last."""
    return _build(folder, EN, FR, [])


def build_marian_multi(folder: Path) -> Path:
    """Marian with several target languages: the source starts with ``>>fra<<``."""
    return _build(folder, EN + FR, EN + FR, [">>fra<<", ">>eng<<", ">>deu<<", ">>por<<"])


def _build(folder: Path, source: list[str], target: list[str], codes: list[str]) -> Path:
    folder.mkdir(parents=True)
    vocabulary = {"</s>": 0, "<unk>": 1, **{code: 2 + index for index, code in enumerate(codes)}}
    for name, sentences in (("source", source), ("target", target)):
        model = train_spm(lines(sentences), folder / name, eos_id=0, unk_id=1, bos_id=-1, pad_id=-1)
        shutil.move(model, folder / f"{name}.spm")
        pieces = sentencepiece.SentencePieceProcessor(model_file=str(folder / f"{name}.spm"))
        for index in range(pieces.get_piece_size()):
            vocabulary.setdefault(pieces.id_to_piece(index), len(vocabulary))
    pad = vocabulary["<pad>"] = len(vocabulary)
    (folder / "vocab.json").write_text(json.dumps(vocabulary), encoding="utf-8")
    files = {"source_spm": folder / "source.spm", "target_spm": folder / "target.spm", "vocab": folder / "vocab.json"}
    tokenizer = MarianTokenizer(
        **{key: str(file) for key, file in files.items()}, source_lang="en", target_lang="fr", model_max_length=128
    )
    seeded()
    config = MarianConfig(
        vocab_size=len(vocabulary),
        scale_embedding=True,
        pad_token_id=pad,
        eos_token_id=0,
        decoder_start_token_id=pad,
        forced_eos_token_id=0,
        **ENCODER_DECODER,
    )
    model = MarianMTModel(config)
    model.generation_config.update(
        bad_words_ids=[[pad]], pad_token_id=pad, decoder_start_token_id=pad, eos_token_id=0, forced_eos_token_id=0
    )
    return save(model, tokenizer, folder)


BUILDERS = {"marian": build_marian, "marian-multi": build_marian_multi}
