"""Tiny random models with real tokenizers of their kind, made from config classes: a second or two each."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path

import sentencepiece
import torch
from transformers import (
    AutoTokenizer,
    LlamaConfig,
    LlamaForCausalLM,
    LlamaTokenizer,
    MarianConfig,
    MarianMTModel,
    MarianTokenizer,
    T5Config,
    T5ForConditionalGeneration,
    T5Tokenizer,
)

CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "{% if message['role'] == 'assistant' %}<|assistant|>"
    "{% generation %} {{ message['content'] }}</s>{% endgeneration %}"
    "{% else %}<|{{ message['role'] }}|> {{ message['content'] }}</s>{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
_EN = [
    "the dog sees a cat",
    "my house is red",
    "a bird sings near the river",
    "two men open the door",
    "she reads 12 books today",
]
_FR = [
    "le chien voit un chat",
    "ma maison est rouge",
    "un oiseau chante près de la rivière",
    "deux hommes ouvrent la porte",
    "elle lit 12 livres",
]


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
    prefix.with_suffix(".vocab").unlink()
    return prefix.with_suffix(".model")


def build_t5(folder: Path) -> Path:
    """T5 v1.0 with spiece.model."""
    folder.mkdir(parents=True)
    train_spm(lines(_EN + _FR), folder / "spiece", pad_id=0, eos_id=1, unk_id=2, bos_id=-1)
    tokenizer = T5Tokenizer.from_pretrained(folder)
    torch.manual_seed(0)
    config = T5Config(
        vocab_size=len(tokenizer),
        d_model=32,
        d_kv=8,
        d_ff=64,
        num_layers=2,
        num_heads=4,
        dropout_rate=0.1,
        decoder_start_token_id=0,
    )
    T5ForConditionalGeneration(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def build_marian(folder: Path) -> Path:
    """Marian with two sentencepiece models and a joint vocabulary, padding last."""
    folder.mkdir(parents=True)
    vocabulary = {"</s>": 0, "<unk>": 1}
    for name, sentences in (("source", _EN), ("target", _FR)):
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
    torch.manual_seed(0)
    config = MarianConfig(
        vocab_size=len(vocabulary),
        d_model=32,
        encoder_layers=2,
        decoder_layers=2,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=64,
        decoder_ffn_dim=64,
        max_position_embeddings=128,
        scale_embedding=True,
        pad_token_id=pad,
        eos_token_id=0,
        decoder_start_token_id=pad,
        forced_eos_token_id=0,
    )
    model = MarianMTModel(config)
    model.generation_config.update(
        bad_words_ids=[[pad]], pad_token_id=pad, decoder_start_token_id=pad, eos_token_id=0, forced_eos_token_id=0
    )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def build_llama(folder: Path) -> Path:
    """Llama with tokenizer.model, a chat template with generation marks, and no padding token."""
    folder.mkdir(parents=True)
    train_spm(
        lines(_EN),
        folder / "tokenizer",
        model_type="bpe",
        vocab_size=420,
        byte_fallback=True,
        user_defined_symbols=["<|user|>", "<|assistant|>", "<|system|>"],
        unk_id=0,
        bos_id=1,
        eos_id=2,
        pad_id=-1,
    )
    tokenizer = LlamaTokenizer.from_pretrained(folder, add_bos_token=True)
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|user|>", "<|assistant|>", "<|system|>"]})
    tokenizer.chat_template = CHAT_TEMPLATE
    tokenizer.save_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=128,
        bos_token_id=1,
        eos_token_id=2,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


BUILDERS = {"t5": build_t5, "marian": build_marian, "llama": build_llama}
