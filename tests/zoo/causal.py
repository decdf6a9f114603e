"""Causal models: OPT, GPT-2, Llama, Qwen3, Gemma."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from transformers import (
    AutoTokenizer,
    Gemma2Config,
    Gemma2ForCausalLM,
    GemmaTokenizer,
    GPT2Config,
    GPT2LMHeadModel,
    GPT2Tokenizer,
    LlamaConfig,
    LlamaForCausalLM,
    LlamaTokenizer,
    OPTConfig,
    OPTForCausalLM,
    Qwen2Tokenizer,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from tests.zoo.common import DECODER, EN, FR, lines, save, seeded, train_bytes, train_spm

CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "{% if message['role'] == 'assistant' %}<|assistant|>"
    "{% generation %} {{ message['content'] }}</s>{% endgeneration %}"
    "{% else %}<|{{ message['role'] }}|> {{ message['content'] }}</s>{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
ROLES = ["<|user|>", "<|assistant|>", "<|system|>"]
CHATML = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def build_llama(folder: Path) -> Path:
    """Llama with tokenizer.model, a chat template with generation marks, and no padding token."""
    folder.mkdir(parents=True)
    train_spm(
        lines(EN),
        folder / "tokenizer",
        model_type="bpe",
        vocab_size=420,
        byte_fallback=True,
        user_defined_symbols=ROLES,
        unk_id=0,
        bos_id=1,
        eos_id=2,
        pad_id=-1,
    )
    tokenizer = LlamaTokenizer.from_pretrained(folder, add_bos_token=True)
    tokenizer.add_special_tokens({"additional_special_tokens": ROLES})
    tokenizer.chat_template = CHAT_TEMPLATE
    tokenizer.save_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    seeded()
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        intermediate_size=64,
        num_key_value_heads=2,
        bos_token_id=1,
        eos_token_id=2,
        **DECODER,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


def build_opt(folder: Path) -> Path:
    """OPT: GPT-2's bytes, ``</s>`` opens every text and ends it, no chat template."""
    folder.mkdir(parents=True)
    train_bytes(folder, ["<s>", "<pad>", "</s>", "<unk>"])
    tokenizer = GPT2Tokenizer.from_pretrained(
        folder, bos_token="</s>", eos_token="</s>", unk_token="</s>", pad_token="<pad>", add_bos_token=True
    )
    seeded()
    config = OPTConfig(
        vocab_size=_eights(len(tokenizer)),
        ffn_dim=64,
        word_embed_proj_dim=32,
        pad_token_id=1,
        bos_token_id=2,
        eos_token_id=2,
        **DECODER,
    )
    return save(OPTForCausalLM(config), tokenizer, folder)


def build_gpt2(folder: Path) -> Path:
    """GPT-2: Conv1D layers, one special token for everything, no padding token."""
    folder.mkdir(parents=True)
    train_bytes(folder, ["<|endoftext|>"])
    tokenizer = GPT2Tokenizer.from_pretrained(folder)
    seeded()
    config = GPT2Config(
        vocab_size=len(tokenizer), n_positions=128, n_embd=32, n_layer=2, n_head=4, bos_token_id=0, eos_token_id=0
    )
    return save(GPT2LMHeadModel(config), tokenizer, folder)


def build_qwen3(folder: Path) -> Path:
    """Qwen3: ChatML without generation marks; ``<|im_end|>`` ends a turn, ``<|endoftext|>`` pads."""
    folder.mkdir(parents=True)
    train_bytes(folder, ["<|endoftext|>", "<|im_start|>", "<|im_end|>"])
    tokenizer = Qwen2Tokenizer.from_pretrained(folder, eos_token="<|im_end|>", pad_token="<|endoftext|>")
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|im_start|>", "<|im_end|>"]})
    tokenizer.chat_template = CHATML
    seeded()
    config = Qwen3Config(
        vocab_size=_eights(len(tokenizer)),
        intermediate_size=64,
        num_key_value_heads=2,
        head_dim=8,
        tie_word_embeddings=True,
        bos_token_id=0,
        eos_token_id=2,
        **DECODER,
    )
    return save(Qwen3ForCausalLM(config), tokenizer, folder)


def build_gemma(folder: Path) -> Path:
    """Gemma 2: soft-capped logits, sliding windows, tied and scaled embeddings."""
    tokenizer = gemma_tokenizer(folder)
    seeded()
    config = Gemma2Config(
        vocab_size=len(tokenizer),
        intermediate_size=64,
        num_key_value_heads=2,
        head_dim=8,
        query_pre_attn_scalar=8,
        sliding_window=64,
        pad_token_id=0,
        eos_token_id=1,
        bos_token_id=2,
        **DECODER,
    )
    return save(Gemma2ForCausalLM(config), tokenizer, folder)


def gemma_tokenizer(folder: Path) -> Any:
    """Return Gemma's tokenizer (BPE with bytes, ``<bos>`` first) trained on a few lines."""
    folder.mkdir(parents=True)
    train_spm(
        lines(EN + FR),
        folder / "tokenizer",
        model_type="bpe",
        vocab_size=460,
        byte_fallback=True,
        pad_id=0,
        eos_id=1,
        bos_id=2,
        unk_id=3,
        pad_piece="<pad>",
        eos_piece="<eos>",
        bos_piece="<bos>",
        user_defined_symbols=["<mask>", "<start_of_turn>", "<end_of_turn>"],
    )
    return GemmaTokenizer.from_pretrained(folder, add_bos_token=True)


def _eights(size: int) -> int:
    return (size + 7) // 8 * 8


BUILDERS = {
    "llama": build_llama,
    "opt": build_opt,
    "gpt2": build_gpt2,
    "qwen3": build_qwen3,
    "gemma": build_gemma,
}
