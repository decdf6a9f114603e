"""Models whose language tokens stand in both texts: M2M100, NLLB, mBART, mBART-50."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import sentencepiece
from transformers import (
    M2M100Config,
    M2M100ForConditionalGeneration,
    M2M100Tokenizer,
    MBart50Tokenizer,
    MBartConfig,
    MBartForConditionalGeneration,
    MBartTokenizer,
    NllbTokenizer,
)
from transformers.models.m2m_100.tokenization_m2m_100 import FAIRSEQ_LANGUAGE_CODES
from transformers.models.nllb.tokenization_nllb import FAIRSEQ_LANGUAGE_CODES as NLLB_CODES

from tests.zoo.common import EN, ENCODER_DECODER, FR, lines, save, seeded, train_spm


def build_m2m100(folder: Path) -> Path:
    """M2M100: ``__fr__`` before source and target; the decoder starts with ``</s>``; random layers are dropped."""
    folder.mkdir(parents=True)
    train_spm(lines(EN + FR), folder / "sentencepiece.bpe", model_type="bpe", vocab_size=300)
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(folder / "sentencepiece.bpe.model"))
    names = ["<s>", "<pad>", "</s>", "<unk>", *(pieces.id_to_piece(i) for i in range(3, pieces.get_piece_size()))]
    (folder / "vocab.json").write_text(json.dumps({name: index for index, name in enumerate(names)}), encoding="utf-8")
    tokenizer = M2M100Tokenizer(
        str(folder / "vocab.json"),
        str(folder / "sentencepiece.bpe.model"),
        additional_special_tokens=[f"__{code}__" for code in FAIRSEQ_LANGUAGE_CODES["m2m100"]],
    )
    seeded()
    size = len(names) + len(FAIRSEQ_LANGUAGE_CODES["m2m100"]) + 8
    return save(M2M100ForConditionalGeneration(_m2m_config(size)), tokenizer, folder)


def build_nllb(folder: Path) -> Path:
    """NLLB: the model class of M2M100, codes like ``fra_Latn``."""
    folder.mkdir(parents=True)
    train_spm(lines(EN + FR), folder / "sentencepiece.bpe", model_type="bpe", vocab_size=300)
    tokenizer = NllbTokenizer.from_pretrained(folder, extra_special_tokens=list(NLLB_CODES))
    seeded()
    return save(M2M100ForConditionalGeneration(_m2m_config(len(tokenizer))), tokenizer, folder)


def build_mbart(folder: Path) -> Path:
    """mBART-25: the language stands *after* ``</s>``, and starts the decoder."""
    folder.mkdir(parents=True)
    train_spm(lines(EN + FR), folder / "sentencepiece.bpe")
    tokenizer = MBartTokenizer.from_pretrained(folder)
    seeded()
    return save(MBartForConditionalGeneration(_mbart_config(len(tokenizer))), tokenizer, folder)


def build_mbart50(folder: Path) -> Path:
    """mBART-50: the language stands before both texts; the decoder starts with ``</s>``."""
    folder.mkdir(parents=True)
    train_spm(lines(EN + FR), folder / "sentencepiece.bpe")
    tokenizer = MBart50Tokenizer.from_pretrained(folder)
    seeded()
    config = _mbart_config(len(tokenizer), decoder_start_token_id=2)
    return save(MBartForConditionalGeneration(config), tokenizer, folder)


def _m2m_config(vocab_size: int) -> M2M100Config:
    return M2M100Config(
        vocab_size=vocab_size,
        pad_token_id=1,
        bos_token_id=0,
        eos_token_id=2,
        decoder_start_token_id=2,
        scale_embedding=True,
        **ENCODER_DECODER,
    )


def _mbart_config(vocab_size: int, **options: Any) -> MBartConfig:
    return MBartConfig(
        vocab_size=vocab_size,
        pad_token_id=1,
        bos_token_id=0,
        eos_token_id=2,
        scale_embedding=True,
        normalize_before=True,
        normalize_embedding=True,
        **{**ENCODER_DECODER, **options},
    )


BUILDERS = {"m2m100": build_m2m100, "nllb": build_nllb, "mbart": build_mbart, "mbart50": build_mbart50}
