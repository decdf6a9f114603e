"""What the proofs measure, family by family: losses, weights and gradients against transformers and TRL.

All in float32 without dropout. ``scripts/prove.py`` writes the figures into ``docs/proof.md``; tests assert them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors.torch import load_file
from tests.bundles import DIRECTIONS, open_tiny
from tests.proof.family_run import pairs

from desktune import durable
from desktune.batches.collate import collate, shape_of
from desktune.batches.order import micro_batches
from desktune.config.schema import (
    AdapterSection,
    DataSection,
    EvaluationSection,
    GenerationSection,
    TrainingSection,
)
from desktune.data.encode import Kit, encode
from desktune.data.store import EncodedSet
from desktune.events import Event, Step
from desktune.generate.decode import decode, decoding
from desktune.models.adapters import make_trainable
from desktune.models.load import Bundle, weights_hash
from desktune.models.save import save_model
from desktune.rows import Encoded, Origin, Rendered
from desktune.ship.merge import merge
from desktune.train.checkpoint import named_trained
from desktune.train.loop import Loop, Recipe, TrainingRows
from desktune.train.optim import build_optimizer
from desktune.train.processes import ONE, Processes
from desktune.train.reference import Reference

ROWS, STEPS = 200, 20
FULL, LORA = AdapterSection(type="none"), AdapterSection(r=8, lora_alpha=16, lora_dropout=0.0)
TRAINING: dict[str, Any] = {
    "max_steps": STEPS,
    "per_device_train_batch_size": 4,
    "gradient_accumulation_steps": 2,
    "learning_rate": 1e-3,
    "logging_steps": 1,
    "eval_strategy": "no",
    "save_strategy": "no",
}

PLAIN = """
import json, sys, torch, transformers
torch.set_num_threads(1)
folder, kind, rows = sys.argv[1], sys.argv[2], json.loads(sys.stdin.read())
model = getattr(transformers, kind).from_pretrained(folder, dtype=torch.float32).eval()
logits, texts = [], []
with torch.inference_mode():
    for inputs, prompt, settings in rows:
        inputs = {name: torch.tensor([ids]) for name, ids in inputs.items()}
        logits.append(model(**inputs, use_cache=False).logits[0])
        ids = torch.tensor([prompt])
        settings |= {"num_beams": 1, "do_sample": False, "max_new_tokens": 24}
        out = model.generate(ids, attention_mask=torch.ones_like(ids), **settings)
        texts.append(out[0].tolist())
torch.save(logits, sys.argv[3])
print(json.dumps(texts))
"""


@dataclass(frozen=True)
class Against:
    """Ours against the reference over the same steps."""

    loss: float  # largest relative difference of a step's loss
    weights: float  # ‖ΔW − ΔW′‖ / ‖ΔW‖


@dataclass(frozen=True)
class Merged:
    """A merged folder in plain transformers against base and adapter."""

    logit: float  # largest difference
    largest: float  # largest logit
    greedy: float  # share of equal greedy texts


def rows_of(bundle: Bundle) -> list[Encoded]:
    """Return 200 encoded rows of text."""
    kit = Kit.of(bundle.tokenizer, bundle.family, bundle.task)
    told = DIRECTIONS[type(bundle.tokenizer).__name__] if kit.languages else (None, None)
    rendered = (
        Rendered(Origin("rows", number), "pair", *pair, source_lang=told[0], target_lang=told[1])
        for number, pair in enumerate(pairs(ROWS, seed=1), 1)
    )
    return [row for row in encode(rendered, kit, DataSection()) if isinstance(row, Encoded)]


def opened(folder: Path, adapter: AdapterSection) -> Bundle:
    """Open a tiny model for training, with every kind of dropout off."""
    bundle = make_trainable(open_tiny(folder), adapter, 1, lambda event: None)
    for module in bundle.model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
        for name, value in vars(module).items():
            if "dropout" in name and isinstance(value, float):
                setattr(module, name, 0.0)
    return bundle


def against_reference(folder: Path, adapter: AdapterSection, **training: Any) -> Against:
    """Train 20 steps by our loop and by the reference from the same weights."""
    section = TrainingSection(**{**TRAINING, **training})
    found = [_trained(folder, adapter, section, engine) for engine in ("desktune", "hf")]
    (ours, moved), (theirs, other) = found
    loss = max(abs(one - two) / abs(two) for one, two in zip(ours, theirs, strict=True))
    difference = torch.linalg.vector_norm(moved - other) / torch.linalg.vector_norm(other)
    return Against(loss, float(difference))


def decay_apart(folder: Path, adapter: AdapterSection) -> list[str]:
    """Return the trained weights that decay in our optimizer and not in transformers' Trainer, or the other way."""
    model: Any = opened(folder, adapter).model
    groups = build_optimizer(named_trained(model), TrainingSection(weight_decay=0.5)).param_groups
    ours = {id(weight) for group in groups if group["weight_decay"] for weight in group["params"]}
    theirs = set(transformers.Trainer.get_decay_parameter_names(None, model))  # type: ignore[arg-type]
    return [name for name, weight in named_trained(model) if (id(weight) in ours) != (name in theirs)]


def _trained(
    folder: Path, adapter: AdapterSection, section: TrainingSection, engine: str
) -> tuple[list[float], torch.Tensor]:
    bundle = opened(folder, adapter)
    before = _flat(bundle)
    rows = TrainingRows(EncodedSet.from_rows(rows_of(bundle)), None)
    recipe, events = Recipe(section, EvaluationSection(), 100_000, None), list[Event]()
    with tempfile.TemporaryDirectory() as scratch:
        if engine == "hf":
            reference = Reference(bundle, rows, recipe, events.append)
            reference.run()
            losses = reference.losses
        else:
            Loop(bundle, rows, recipe, Path(scratch), events.append).run()
            losses = [event.loss for event in events if isinstance(event, Step)]
    return losses, _flat(bundle) - before


def _flat(bundle: Bundle) -> torch.Tensor:
    return torch.cat([weight.detach().flatten().double() for _, weight in named_trained(bundle.model)])


def gradient_spread(folder: Path) -> float:
    """Return the largest relative difference between gradients of one step over 64 rows, cut nine ways."""
    return _spread(nine_gradients(folder))


def gradient_spread_of_two(folder: Path, scratch: Path) -> float:
    """Return the same between one process and two (torchrun, gloo), nine gradients each."""
    scratch.mkdir(parents=True, exist_ok=True)
    command = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", "-m", "tests.proof.two"]
    root = Path(__file__).parents[2]
    subprocess.run(
        [sys.executable, "-W", "ignore", *command, str(folder), str(scratch / "two.pt")],
        cwd=root,
        env={**os.environ, "PYTHONPATH": f"{root}{os.pathsep}{root / 'src'}", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        check=True,
    )
    return _spread([*nine_gradients(folder), *torch.load(scratch / "two.pt", weights_only=True)])


def nine_gradients(folder: Path, processes: Processes = ONE) -> list[torch.Tensor]:
    """Return the gradient of one step over 64 rows for 3 accumulation settings x 3 sizes of micro-batches."""
    gradients = []
    for rows, accumulation in ((64, 1), (16, 4), (8, 8)):
        for budget in (100_000, 160, 1):
            bundle = opened(folder, FULL)
            options = {
                "per_device_train_batch_size": rows // processes.world_size,
                "gradient_accumulation_steps": accumulation,
            }
            loop = Loop(
                bundle,
                TrainingRows(EncodedSet.from_rows(rows_of(bundle)), None),
                Recipe(TrainingSection(**{**TRAINING, **options}), EvaluationSection(), budget, None, processes),
                Path("unused"),
                lambda event: None,
            )
            _, step = loop.order.rows_of(0)
            loop._gradient(micro_batches(step, loop.input_lengths, loop.label_lengths, budget))
            gradients.append(_gradient(bundle))
    return gradients


def _spread(gradients: list[torch.Tensor]) -> float:
    first = gradients[0]
    return max(float(torch.linalg.vector_norm(one - first) / torch.linalg.vector_norm(first)) for one in gradients)


def _gradient(bundle: Bundle) -> torch.Tensor:
    found = (weight.grad for _, weight in named_trained(bundle.model))
    return torch.cat([one.flatten().double() for one in found if one is not None])


def merged(folder: Path, scratch: Path) -> Merged:
    """Merge an adapter whose weights are not zero, and ask plain transformers in a fresh process."""
    adapted = open_tiny(folder, LORA)
    adapted.model.eval()
    with durable.staging(scratch / "model") as staged:
        save_model(adapted, staged)
    rows = rows_of(adapted)[:20]
    report = merge(open_tiny(folder), scratch / "model", scratch / "x_merged", rows, lambda event: None)
    asked = [_asked(adapted, row) for row in rows]
    kind = adapted.family.auto_class
    command = [sys.executable, "-W", "ignore", "-c", PLAIN, str(report.folder), kind, str(scratch / "logits.pt")]
    shown = subprocess.run(command, input=json.dumps(asked), capture_output=True, text=True, check=True).stdout
    logits = torch.load(scratch / "logits.pt", weights_only=True)
    with torch.inference_mode():
        wanted = [
            adapted.model(**{name: torch.tensor([ids]) for name, ids in inputs.items()}, use_cache=False).logits[0]
            for inputs, _, _ in asked
        ]
    how = decoding(GenerationSection(num_beams=1, max_new_tokens=24))
    prompts, targets = [row.input_ids[: row.prompt_length] for row in rows], [row.target_lang for row in rows]
    ours = decode(adapted, prompts, how, targets=targets)
    texts = [_text(adapted, ids, row) for ids, row in zip(json.loads(shown), rows, strict=True)]
    return Merged(
        max(float((one - two).abs().max()) for one, two in zip(logits, wanted, strict=True)),
        max(float(one.abs().max()) for one in wanted),
        sum(one == two for one, two in zip(ours, texts, strict=True)) / len(rows),
    )


def _asked(bundle: Bundle, row: Encoded) -> tuple[dict[str, list[int]], list[int], dict[str, int]]:
    batch = collate([row], shape_of(bundle.family, bundle.tokenizer, bundle.located.config))
    batch.pop("labels")
    settings = bundle.languages.settings(row.target_lang) if bundle.languages and row.target_lang else {}
    settings = {**settings, "pad_token_id": int(bundle.tokenizer.pad_token_id)}
    return {name: one[0].tolist() for name, one in batch.items()}, list(row.input_ids[: row.prompt_length]), settings


def _text(bundle: Bundle, ids: list[int], row: Encoded) -> str:
    new = ids if bundle.family.encoder_decoder else ids[row.prompt_length :]
    return bundle.tokenizer.decode(new, skip_special_tokens=True).strip()


def saved_twice(folder: Path, scratch: Path) -> bool:
    """Whether base and adapter are the same bytes after save → load → save."""
    return all(_same(first, second) for first, second in _saved(folder, scratch))


def _saved(folder: Path, scratch: Path) -> Iterator[tuple[Path, Path]]:
    import peft

    base = open_tiny(folder)
    base.model.save_pretrained(scratch / "base1")
    kind = type(base.model)
    kind.from_pretrained(scratch / "base1", dtype=torch.float32).save_pretrained(scratch / "base2")
    yield scratch / "base1", scratch / "base2"
    open_tiny(folder, LORA).model.save_pretrained(scratch / "one")
    again = peft.PeftModel.from_pretrained(open_tiny(folder).model, scratch / "one")
    again.save_pretrained(scratch / "two")
    yield scratch / "one", scratch / "two"


def _same(one: Path, other: Path) -> bool:
    return weights_hash(one) == weights_hash(other) and bool(load_file(next(one.glob("*.safetensors"))))
