"""What every starter has: its text, its tokenizer, its model, and how it is asked. One file per kind implements it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from .pretrain import Row, Training, batches_of

CHUNK = 4000  # rows made, encoded and sorted at a time


class Starter(Protocol):
    """A starter to build. A ``text`` is one generated example: a pair, or the turns of a conversation."""

    title: str
    domain: str
    causal: bool
    steps: int
    rate: float

    def texts(self, seed: int) -> Iterator[Any]:
        """Yield generated examples without end."""
        ...

    def build_tokenizer(self, folder: Path, seed: int) -> None:
        """Train the tokenizer and write its files."""
        ...

    def build_model(self, tokenizer: Any) -> torch.nn.Module:
        """Return the untrained model."""
        ...

    def encode(self, tokenizer: Any, texts: Sequence[Any]) -> list[Row]:
        """Return token ids and labels."""
        ...

    def collate(self, tokenizer: Any, rows: Sequence[Row]) -> dict[str, Tensor]:
        """Return the padded batch [rows, tokens]."""
        ...

    def question(self, text: Any) -> str:
        """Return what is put to the model; also what decides whether a text was seen in training."""
        ...

    def answer(self, text: Any) -> str:
        """Return the one right answer."""
        ...

    def finite(self, text: Any) -> bool:
        """Say whether the text is of a task with so few questions that none stays unseen."""
        ...


def padded(rows: Sequence[list[int]], fill: int) -> Tensor:
    """Return rows padded at the right [rows, tokens]."""
    width = max(map(len, rows))
    return torch.tensor([row + [fill] * (width - len(row)) for row in rows])


def shifted(labels: Tensor, start: int, pad: int) -> Tensor:
    """Return decoder inputs: the labels one step later, behind the start token [rows, tokens]."""
    inputs = torch.full_like(labels, start)
    inputs[:, 1:] = labels[:, :-1]
    inputs[inputs == -100] = pad
    return inputs


def chunks(starter: Starter, tokenizer: Any, seed: int, seen: set[str]) -> Iterator[list[Row]]:
    """Yield chunks of encoded training rows and note their questions in ``seen``."""
    texts = starter.texts(seed + 1)
    while True:
        chunk = [next(texts) for _ in range(CHUNK)]
        seen.update(starter.question(text) for text in chunk)
        yield starter.encode(tokenizer, chunk)


def replay(starter: Starter, tokenizer: Any, seed: int, training: Training) -> set[str]:
    """Return the questions that a finished training has seen, by making its batches again."""
    seen: set[str] = set()
    made = batches_of(chunks(starter, tokenizer, seed, seen), training.batch_tokens)
    deque(islice(made, training.stop or training.steps), maxlen=0)
    return seen


def unseen(starter: Starter, seed: int, seen: set[str], count: int) -> list[tuple[str, str]]:
    """Return distinct (question, answer) pairs that no training row asked."""
    texts = starter.texts(seed + 999)
    found: dict[str, str] = {}
    while len(found) < count:
        text = next(texts)
        question = starter.question(text)
        if question not in seen and not starter.finite(text):
            found[question] = starter.answer(text)
    return list(found.items())
