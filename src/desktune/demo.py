"""The embedded default from data to merged model, on a fresh machine without network.

The recipes are small on purpose: a tiny pretrained model, a few hundred rows of a domain it has never seen, LoRA, about
a minute. Everything goes through ``api``, as a person's own run would.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from desktune import api, starters
from desktune.config.schema import Config
from desktune.errors import UserError
from desktune.events import Emit, Note, Table, silent

ANSWERS = 3


@dataclass(frozen=True)
class Demo:
    """One task's starter, sample data and settings over the defaults."""

    model: str
    samples: tuple[str, ...]  # the domain, then rows of what the model knows already, so that it keeps that
    data: Mapping[str, Any]
    training: Mapping[str, Any]
    own: str  # what a person's own config would start from
    question: str  # a text of the domain


DEMOS: dict[str, Demo] = {
    "translation": Demo(
        model="starter:marian-en-fr",
        samples=("marine", "everyday"),
        data={"source_lang": "en", "target_lang": "fr"},
        training={"learning_rate": 4e-3, "num_train_epochs": 12},
        own="Helsinki-NLP/opus-mt-en-fr",
        question="The seals eat the cod near the coast.",
    ),
    "seq2seq": Demo(
        model="starter:t5",
        samples=("dreams", "chores"),
        data={},
        training={"learning_rate": 4e-3, "num_train_epochs": 24},
        own="google/flan-t5-base",
        question="I dreamed of a wolf in a dark forest, and I was afraid.",
    ),
    "causal": Demo(
        model="starter:llama",
        samples=("answers", "talks"),
        data={},
        training={"learning_rate": 6e-3, "num_train_epochs": 18},
        own="Qwen/Qwen3-0.6B",
        question="What is a tide pool?",
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
    samples = " and ".join(f"{one}.jsonl" for one in chosen.samples)
    emit(Note(f"desktune demo: LoRA on {chosen.model}, a tiny model that comes with desktune, with {samples}"))
    trained = api.train(_config(name, chosen), emit)
    api.evaluate(trained.run, emit)
    report = api.merge(trained.run, emit)
    emit(_answers(trained.run, chosen, emit))
    emit(Note(_next_commands(chosen, str(trained.run), str(report.folder))))


def _config(name: str, chosen: Demo) -> Config:
    """Return the demo's config: the defaults, the sample file, the task's settings."""
    training = {
        "per_device_train_batch_size": 16,
        "per_device_eval_batch_size": 32,
        "warmup_ratio": 0.05,
        "weight_decay": 0.0,
        "eval_steps": 100,
        "save_steps": 100,
        "logging_steps": 25,
    }
    return Config.model_validate(
        {
            "task": name,
            "model": {"name": chosen.model},
            "data": {"train": [str(starters.sample(one)) for one in chosen.samples], "validation": 0.15, **chosen.data},
            "adapter": {"lora_dropout": 0.0},  # too small a model and too short a run for it
            "training": {**training, **chosen.training},
            "evaluation": {"max_new_tokens": 96},
            "generation": {"max_new_tokens": 96, "num_beams": 1},
            "output": {"name": f"demo-{name}"},
        }
    )


def _answers(run: Path, chosen: Demo, emit: Emit) -> Table:
    """Ask base and tuned model held-out rows of the domain."""
    domain = str(starters.sample(chosen.samples[0]))
    rows = [row for row in api.held_out(run) if row.origin.file == domain][:ANSWERS]
    texts = [row.prompt for row in rows]
    before, after = (api.generate(run, texts, silent, tuned=tuned) for tuned in (False, True))
    cells = [(text, row.completion, one, two) for text, row, one, two in zip(texts, rows, before, after, strict=True)]
    return Table(
        "Three answers to rows that were not trained on", ("asked", "reference", "base", "tuned"), tuple(cells)
    )


def _next_commands(chosen: Demo, run: str, merged: str) -> str:
    return "\n".join(
        [
            "Next, with your own data (JSON, JSON lines, CSV, TSV, Parquet, or text line by line):",
            "  desktune init my-pairs.jsonl -o desktune.yaml   # a commented config fitted to your file and machine",
            "  desktune data show desktune.yaml                # what the model will be trained on, token by token",
            f"  desktune train desktune.yaml                    # model.name there: a real model such as {chosen.own}",
            "Or go on with this run:",
            f'  desktune generate {run} "{chosen.question}"',
            f"  desktune chat {run}",
            f"{merged} is a plain model folder for transformers.",
        ]
    )
