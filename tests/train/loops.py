"""Loops on tiny models, and runs that end in the middle and go on: what the tests of resume and honesty share."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from safetensors.torch import load_file

from desktune.config.schema import AdapterSection, EvaluationSection, ModelSection, TrainingSection
from desktune.data.store import EncodedSet
from desktune.events import Event, Step
from desktune.models.adapters import make_trainable
from desktune.models.load import Bundle, Placement, load_base, load_tokenizer, locate
from desktune.rows import IGNORE, Encoded, Origin
from desktune.train import checkpoint
from desktune.train.loop import Loop, Recipe, TrainingRows

ADAPTERS = {"full": AdapterSection(type="none"), "lora": AdapterSection(r=4, lora_dropout=0.1)}
FAMILIES = {"seq2seq": "t5", "translation": "marian", "causal": "llama"}
OPTIMIZERS, SCHEDULES = ("adamw", "adafactor", "sgd"), ("linear", "cosine", "constant")
_opened: dict[tuple[Path, str], Bundle] = {}


class Killed(BaseException):
    """What stands for the end of a process inside one: nothing below catches it."""


def bundle_of(folder: Path, adapter: str) -> Bundle:
    """Return a model as it is before its first step; loaded once, copied for every run."""
    if (folder, adapter) not in _opened:
        located = locate(ModelSection(name=str(folder)))
        tokenizer = load_tokenizer(located)
        bundle = load_base(located, tokenizer, located.family.task, Placement(torch.device("cpu"), torch.float32))
        _opened[folder, adapter] = make_trainable(bundle, ADAPTERS[adapter], 1, lambda event: None)
    return copy.deepcopy(_opened[folder, adapter])


def rows_for(bundle: Bundle, count: int, seed: int = 0) -> EncodedSet:
    """Random token ids of many lengths; causal rows mask their first half."""
    random = torch.Generator().manual_seed(seed)
    rows = []
    for number in range(count):
        low = 10  # above all special tokens
        source = torch.randint(low, 60, (int(torch.randint(2, 12, (1,), generator=random)),), generator=random).tolist()
        target = torch.randint(low, 60, (int(torch.randint(2, 8, (1,), generator=random)),), generator=random).tolist()
        origin = Origin("rows.jsonl", number + 1)
        if bundle.family.encoder_decoder:
            rows.append(Encoded(origin, tuple(source), tuple(target), len(source), "", ""))
        else:
            labels = (*[IGNORE] * len(source), *target)
            rows.append(Encoded(origin, (*source, *target), labels, len(source), "", ""))
    return EncodedSet.from_rows(rows)


def make_loop(bundle: Bundle, run: Path, events: list[Event] | None = None, **training: Any) -> Loop:
    """Return a loop over 20 rows: 2 and a half steps of 8 rows make an epoch, each in several micro-batches."""
    settings: dict[str, Any] = {
        "max_steps": 8,
        "save_steps": 3,
        "eval_steps": 2,
        "logging_steps": 2,
        "per_device_train_batch_size": 4,
        "gradient_accumulation_steps": 2,
        "learning_rate": 1e-2,
        "load_best_model_at_end": False,
        **training,
    }
    rows = TrainingRows(rows_for(bundle, 20), rows_for(bundle, 5, seed=9))
    emit = (lambda event: None) if events is None else events.append
    evaluation = EvaluationSection(guard_samples=0)
    return Loop(bundle, rows, Recipe(TrainingSection(**settings), evaluation, 50, None), run, emit)


@contextlib.contextmanager
def calls_of(module: ModuleType, name: str, before: Callable[[int], None]) -> Iterator[None]:
    """Call ``before(number)`` ahead of every call that goes through a module's name in the block."""
    honest = module.__dict__[name]
    count = 0

    def called(*arguments: Any, **named: Any) -> Any:
        nonlocal count
        count += 1
        before(count)
        return honest(*arguments, **named)

    setattr(module, name, called)
    try:
        yield
    finally:
        setattr(module, name, honest)


def tensors(run: Path, step: int) -> dict[str, torch.Tensor]:
    """Return weights and optimizer of a checkpoint."""
    folder = checkpoint.folder_of(run, step)
    return {**load_file(folder / checkpoint.WEIGHTS), **load_file(folder / checkpoint.OPTIMIZER)}


def same_tensors(run: Path, other: Path, step: int) -> bool:
    """Whether two runs hold the same bits at a step, and the same position."""
    mine, theirs = tensors(run, step), tensors(other, step)
    states = {(checkpoint.folder_of(one, step) / checkpoint.STATE).read_bytes() for one in (run, other)}
    return (
        mine.keys() == theirs.keys() and len(states) == 1 and all(torch.equal(mine[key], theirs[key]) for key in mine)
    )


def figures(events: list[Event]) -> list[tuple[int, float, float, float]]:
    """Return what the log's lines say, without the clock."""
    return [
        (event.step, event.loss, event.learning_rate, event.grad_norm) for event in events if isinstance(event, Step)
    ]
