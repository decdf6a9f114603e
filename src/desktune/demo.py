"""The embedded default from data to merged model, on a fresh machine without network.

The recipes are small on purpose: a tiny pretrained model, a few hundred rows of a domain it has never seen, LoRA, about
a minute. Everything goes through ``api``, as a person's own run would.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from desktune import api, starters
from desktune.config.schema import Config
from desktune.errors import UserError
from desktune.events import Emit, Note, Table

ANSWERS = 3


@dataclass(frozen=True)
class Demo:
    """One task's starter, sample data and settings over the defaults."""

    model: str
    sample: str
    data: Mapping[str, Any]
    training: Mapping[str, Any]
    own: str  # what a person's own config would start from


DEMOS: dict[str, Demo] = {
    "translation": Demo(
        model="starter:marian-en-fr",
        sample="marine",
        data={"source_lang": "en", "target_lang": "fr"},
        training={"learning_rate": 4e-3, "num_train_epochs": 20, "per_device_train_batch_size": 16},
        own="Helsinki-NLP/opus-mt-en-fr",
    ),
    "seq2seq": Demo(
        model="starter:t5",
        sample="dreams",
        data={},
        training={"learning_rate": 4e-3, "num_train_epochs": 20, "per_device_train_batch_size": 16},
        own="google/flan-t5-base",
    ),
    "causal": Demo(
        model="starter:llama",
        sample="answers",
        data={},
        training={"learning_rate": 3e-3, "num_train_epochs": 20, "per_device_train_batch_size": 16},
        own="Qwen/Qwen3-0.6B",
    ),
}


def demo(task: str | None, emit: Emit) -> None:
    """Train, evaluate, merge and ask, on the embedded default of a task (translation when None).

    Raises:
        UserError: no demo of that name.
    """
    name = task or "translation"
    if name not in DEMOS:
        raise UserError(f"--task {name}: there is no such demo; allowed: {', '.join(DEMOS)}")
    chosen = DEMOS[name]
    sample = starters.sample(chosen.sample)
    emit(Note(f"desktune demo: LoRA on {chosen.model}, a tiny model that comes with desktune, with {sample.name}"))
    trained = api.train(_config(name, chosen), emit)
    api.evaluate(trained.run, emit)
    report = api.merge(trained.run, emit)
    emit(_answers(trained.run, emit))
    emit(Note(_next_commands(chosen, str(trained.run), str(report.folder))))


def _config(name: str, chosen: Demo) -> Config:
    """Return the demo's config: the defaults, the sample file, the task's settings."""
    training = {"eval_strategy": "epoch", "save_strategy": "epoch", "logging_steps": 20, "warmup_ratio": 0.05}
    return Config.model_validate(
        {
            "task": name,
            "model": {"name": chosen.model},
            "data": {"train": str(starters.sample(chosen.sample)), "validation": 0.15, **chosen.data},
            "training": {**training, **chosen.training},
            "evaluation": {"max_new_tokens": 96},
            "generation": {"max_new_tokens": 96, "num_beams": 1},
            "output": {"name": f"demo-{name}"},
        }
    )


def _answers(run: Any, emit: Emit) -> Table:
    """Ask base and tuned model the same held-out rows."""
    rows = api.held_out(run)[:ANSWERS]
    texts = [row.prompt for row in rows]
    before = api.generate(run, texts, emit, tuned=False)
    after = api.generate(run, texts, emit)
    cells = [(text, row.completion, one, two) for text, row, one, two in zip(texts, rows, before, after, strict=True)]
    return Table(
        "Three answers to rows that were not trained on", ("asked", "reference", "base", "tuned"), tuple(cells)
    )


def _next_commands(chosen: Demo, run: str, merged: str) -> str:
    row = json.dumps({"input": "...", "output": "..."})
    return "\n".join(
        [
            "Next, with your own data (a file of rows like " + row + "):",
            "  desktune init my-pairs.jsonl -o desktune.yaml   # a commented config fitted to your file and machine",
            f"  # model.name: {chosen.own} is the usual start for this task",
            "  desktune data show desktune.yaml                # what the model will be trained on, token by token",
            "  desktune train desktune.yaml",
            "Or go on with this run:",
            f'  desktune generate {run} "your text"',
            f"  desktune chat {run}",
            f"  {merged} is a plain model folder for transformers",
        ]
    )
