"""The Llama starter: short conversations, with a chat template whose assistant turns can be found again."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .pieces import train_pieces
from .pretrain import Row
from .starter import padded
from .tasks import conversation

_PIECES, _TOKENIZER_TALKS = 1400, 25_000
_ROLES = ["<|system|>", "<|user|>", "<|assistant|>"]
TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "{% if message['role'] == 'assistant' %}"
    "<|assistant|>{% generation %} {{ message['content'] }}<|end|>{% endgeneration %}"
    "{% else %}<|{{ message['role'] }}|> {{ message['content'] }}<|end|>{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
Turns = list[tuple[str, str]]


def messages(turns: Turns) -> list[dict[str, str]]:
    """Return turns as chat messages."""
    return [
        message
        for asked, answered in turns
        for message in ({"role": "user", "content": asked}, {"role": "assistant", "content": answered})
    ]


class LlamaStarter:
    """Llama in small: byte fallback, end of turn as EOS, a padding token of its own."""

    causal = True
    steps = 5000
    rate = 2e-3
    title = "short conversations in English"
    domain = (
        "one or two turns: put a sentence into another tense, the negative or the passive, answer a question on a "
        "sentence, opposites, plurals, what kind of thing something is, small sums, repeat made-up words"
    )

    def texts(self, seed: int) -> Iterator[Turns]:
        rng = random.Random(seed)
        while True:
            yield conversation(rng)

    def build_tokenizer(self, folder: Path, seed: int) -> None:
        from transformers import LlamaTokenizer

        rng = random.Random(seed)
        lines = [text for _ in range(_TOKENIZER_TALKS) for turn in conversation(rng) for text in turn]
        train_pieces(
            lines, folder / "tokenizer.model", _PIECES, model_type="bpe", byte_fallback=True,
            user_defined_symbols=[*_ROLES, "<|end|>", "<pad>"], unk_id=0, bos_id=1, eos_id=2, pad_id=-1,
        )  # fmt: skip
        tokenizer = LlamaTokenizer.from_pretrained(folder, add_bos_token=True, model_max_length=512)
        tokenizer.add_special_tokens(
            {"eos_token": "<|end|>", "pad_token": "<pad>", "additional_special_tokens": _ROLES}
        )
        tokenizer.chat_template = TEMPLATE
        tokenizer.padding_side = "left"
        tokenizer.save_pretrained(folder)

    def build_model(self, tokenizer: Any) -> torch.nn.Module:
        from transformers import LlamaConfig, LlamaForCausalLM

        config = LlamaConfig(
            vocab_size=(len(tokenizer) + 7) // 8 * 8, hidden_size=192, intermediate_size=384, num_hidden_layers=5,
            num_attention_heads=6, num_key_value_heads=6, max_position_embeddings=1024, tie_word_embeddings=True,
            bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )  # fmt: skip
        model = LlamaForCausalLM(config)
        model.generation_config.update(
            max_new_tokens=128,
            pad_token_id=tokenizer.pad_token_id,
            eos_token_id=tokenizer.eos_token_id,
            do_sample=False,
        )
        return model

    def encode(self, tokenizer: Any, texts: Sequence[Turns]) -> list[Row]:
        start, end = tokenizer.convert_tokens_to_ids("<|assistant|>"), tokenizer.eos_token_id
        rendered = tokenizer.apply_chat_template([messages(turns) for turns in texts], tokenize=False)
        rows = []
        for ids in tokenizer(rendered, add_special_tokens=False)["input_ids"]:
            labels, inside = [], False
            for token in ids:
                labels.append(token if inside else -100)
                inside = token == start or (inside and token != end)
            rows.append((ids, labels))
        return rows

    def collate(self, tokenizer: Any, rows: Sequence[Row]) -> dict[str, Tensor]:
        pad = tokenizer.pad_token_id
        ids, labels = padded([row[0] for row in rows], pad), padded([row[1] for row in rows], -100)
        return {"input_ids": ids, "attention_mask": (ids != pad).long(), "labels": labels}

    def question(self, text: Turns) -> str:
        return text[0][0]

    def answer(self, text: Turns) -> str:
        return text[0][1]

    def finite(self, text: Turns) -> bool:
        return text[0][0].startswith(
            ("What is", "Tell me what", "How much is", "Please work out", "Say it in the plural")
        )
