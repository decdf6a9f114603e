"""A commented config fitted to a data file and to this machine, and a project folder to put it in.

Every guess is written down as a guess, with a value of the first row beside it, so that a person can see at once
whether it is right.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from desktune import durable
from desktune.config.emit import to_yaml
from desktune.config.sample import Sample, look, look_at_pair
from desktune.errors import UserError
from desktune.hardware import Machine, pick_device, pick_dtype

_GIB = 2**30
_EXAMPLE_CHARACTERS = 60
_CHARACTERS_PER_TOKEN = 3  # on the safe side: English takes about 4, scripts beyond Latin fewer
_STEPS_OF_SHORT_EPOCHS = 200  # under so many steps an epoch is the natural unit for validation

_STARTERS = {"causal": "starter:llama", "seq2seq": "starter:t5"}
_STARTER_PAIRS = {("en", "fr"): "starter:marian-en-fr", ("fr", "en"): "starter:marian-fr-en"}


@dataclass(frozen=True)
class _Choice:
    """What is suggested for a sample: task, model from the hub, and the starter that works offline."""

    task: str
    model: str
    starter: str
    why: str


def init_config(data: Path | Sequence[Path], machine: Machine) -> str:
    """Return the text of a config for a file of rows, or for two line-parallel text files.

    Raises:
        DataError: the file is missing, empty, or holds nothing that looks like rows.
        UserError: another number of files.
    """
    paths = [data] if isinstance(data, Path) else list(data)
    if len(paths) not in (1, 2):
        raise UserError(
            f"desktune init: {len(paths)} files; name one file of rows, or two line-parallel text files (a.en b.fr)"
        )
    sample = look(paths[0]) if len(paths) == 1 else look_at_pair(paths)
    choice = _choose(sample)
    parts = [
        _head(paths, sample, machine),
        [f"task: {choice.task}", ""],
        _model(choice, machine),
        _data(paths, sample, choice),
        _adapter(),
        _training(sample, machine),
        _answers(sample, choice),
        ["output:", f"  name: {to_yaml(_run_name(paths[0]))}  # the run is runs/<name>-<timestamp>"],
    ]
    return "\n".join(line for part in parts for line in part) + "\n"


def init_project(folder: Path) -> None:
    """Write a project folder: config/, data/raw, data/processed, models/, .env.example, .gitignore, README.md.

    Raises:
        UserError: a file that would be written exists already; nothing is written then.
        RunError: the place is not writable.
    """
    taken = [name for name in _PROJECT_FILES if (folder / name).exists()]
    if taken:
        raise UserError(f"{folder}: {', '.join(taken)} exists already; nothing was written. Name another folder")
    for name, text in _PROJECT_FILES.items():
        durable.make_folder((folder / name).parent)
        durable.write_text(folder / name, text)


def _choose(sample: Sample) -> _Choice:
    source, target = sample.languages
    if sample.usual_task == "translation" and source and target:
        pair = (source.lower()[:2], target.lower()[:2])
        model = f"Helsinki-NLP/opus-mt-{pair[0]}-{pair[1]}"
        return _Choice(
            "translation", model, _STARTER_PAIRS.get(pair, "starter:t5"), f"rows are texts in {source} and {target}"
        )
    if sample.usual_task == "causal":
        what = {"messages": "rows are conversations", "text": "rows are plain text"}.get(
            sample.shape, "rows are questions and answers"
        )
        return _Choice("causal", "Qwen/Qwen3-0.6B", _STARTERS["causal"], what)
    return _Choice("seq2seq", "google/flan-t5-base", _STARTERS["seq2seq"], "rows are inputs and outputs")


def _head(paths: Sequence[Path], sample: Sample, machine: Machine) -> list[str]:
    names = " and ".join(_shown(str(path)) for path in paths)
    gpu = machine.cuda[0][0] if machine.cuda else "Apple's GPU" if machine.mps else "GPUs not looked for"
    return [
        f"# Written by desktune init for {names}: {sample.kind}, about {sample.estimated_rows:,} rows",
        f"# ({sample.rows} of them were looked at), on a machine with {machine.cores} cores,",
        f"# {machine.memory_bytes / _GIB:.0f} GiB of memory, {gpu}. Lines marked 'guess' are worth a look.",
        "# Check it: desktune check FILE --full   See the rows: desktune data show FILE   Train: desktune train FILE",
        "",
    ]


def _model(choice: _Choice, machine: Machine) -> list[str]:
    dtype, device = "decided for your model", "the GPU when torch sees one (desktune doctor)"
    if machine.cuda or machine.mps:
        device, _ = pick_device("auto", machine)
        dtype, _ = pick_dtype("auto", device, here=machine)
    return [
        "model:",
        f"  name: {to_yaml(choice.model)}  # guess: {choice.why}",
        f"  # name: {choice.starter}  # comes with desktune and works offline: tiny, to try the way",
        f"  dtype: auto  # here: {dtype}",
        f"  device: auto  # here: {device}",
        "",
    ]


def _data(paths: Sequence[Path], sample: Sample, choice: _Choice) -> list[str]:
    lines = ["data:", f"  train: {to_yaml(_train(paths, sample))}"]
    lines += _validation(sample)
    if sample.encoding != "utf-8":
        lines.append(f"  encoding: {sample.encoding}  # guess: the file is not UTF-8")
    if sample.shape == "translation":
        lines.append("  format: translation")
    lines += _fields(sample)
    if sample.shape != "messages" and choice.task != "translation":
        lines += _template(sample, choice)
    lines += _languages(sample)
    if choice.task == "causal":
        both = _tokens(sample.source_characters + sample.target_characters, 2048)
        lines.append(f"  max_length: {both}  # tokens of prompt and answer; 99 % of the rows seen stay under it")
    else:
        source_tokens = _tokens(sample.source_characters, 512)
        lines.append(f"  max_source_length: {source_tokens}  # tokens; 99 % of the rows seen stay under it")
        lines.append(f"  max_target_length: {_tokens(sample.target_characters, 512)}")
    return [*lines, "  overlong: drop  # drop (counted), truncate or error", ""]


def _train(paths: Sequence[Path], sample: Sample) -> str | dict[str, str]:
    if len(paths) == 1:
        return str(paths[0])
    source, target = sample.languages
    return {source or "source": str(paths[0]), target or "target": str(paths[1])}


def _validation(sample: Sample) -> list[str]:
    if sample.estimated_rows >= 10_000:
        return ["  validation: 500  # rows held out"]
    if sample.estimated_rows < 5:
        return ["  validation: 1  # row held out; with so few rows this shows the way, no more"]
    return ["  validation: 0.1  # share of the rows held out; equal rows never straddle"]


def _fields(sample: Sample) -> list[str]:
    lines = []
    for theirs, value in sample.examples.items():
        ours = next((mine for mine, name in sample.fields.items() if name == theirs), theirs)
        cut = value if len(value) <= _EXAMPLE_CHARACTERS else value[: _EXAMPLE_CHARACTERS - 2] + " …"
        role = "" if sample.shape == "parallel" else f"{ours}, "
        lines.append(
            f"  # guess: {role}first row of {_shown(theirs)}: {json.dumps(cut, ensure_ascii=not cut.isprintable())}"
        )
    if sample.fields:
        lines.append(f"  fields: {to_yaml(dict(sample.fields))}  # ours: theirs")
    return lines


def _template(sample: Sample, choice: _Choice) -> list[str]:
    if sample.shape == "text":
        return []
    hint = "a model with a chat template gets it as the user's turn"
    if choice.task == "seq2seq":
        hint = "an instruction in front of it helps T5"
    return [f"  # what the model reads; any field of the row as {{name}}; {hint}", '  template: "{source}"']


def _languages(sample: Sample) -> list[str]:
    source, target = sample.languages
    if not source:
        return []
    counts = sample.language_counts or {}
    lines = [f"  source_lang: {to_yaml(source)}"]
    if len(counts) > 1:
        seen = ", ".join(f"{code} {count}" for code, count in counts.items())
        lines.insert(0, f"  # guess: most rows seen ({seen}); rows in another language are left out and counted")
    lines.append(f"  target_lang: {to_yaml(target)}" if target else "  # target_lang: not in the rows; write its code")
    if len(counts) > 1:
        lines.append("  # both_directions: true   # M2M100, NLLB, mBART: one model for both ways")
    return lines


def _adapter() -> list[str]:
    return [
        "adapter:",
        "  type: lora  # lora, dora, rslora, or none to train all weights",
        "  r: 16  # rank; lora_alpha is usually 1 to 4 times as much",
        "  lora_alpha: 32",
        "  lora_dropout: 0.05",
        "",
    ]


def _training(sample: Sample, machine: Machine) -> list[str]:
    rows, accumulation, why = _batch(machine)
    steps = max(1, sample.estimated_rows // (rows * accumulation))
    step = f"a step is {rows * accumulation} rows; an epoch about {steps:,} steps"
    lines = [
        "training:",
        "  num_train_epochs: 3",
        f"  per_device_train_batch_size: {rows}  # {why}",
        f"  gradient_accumulation_steps: {accumulation}  # {step}",
        "  learning_rate: 2e-4",
        "  lr_scheduler_type: cosine",
        "  warmup_ratio: 0.03",
        f"  per_device_eval_batch_size: {rows}",
    ]
    if steps < _STEPS_OF_SHORT_EPOCHS:
        lines += ["  eval_strategy: epoch", "  save_strategy: epoch"]
    else:
        every = max(50, steps // 100 * 10)
        lines += [f"  eval_steps: {every}", f"  save_steps: {every}"]
    return [*lines, "  early_stopping_patience: 3  # validations without improvement", ""]


def _batch(machine: Machine) -> tuple[int, int, str]:
    """Return rows per micro-batch and accumulation for steps of 16 rows, by the memory that trains."""
    if machine.cuda:
        gib = machine.cuda[0][1] / _GIB
        where = f"{gib:.0f} GiB on the GPU"
    else:
        gib = machine.memory_bytes / _GIB / 4  # shared with everything else
        where = f"{machine.memory_bytes / _GIB:.0f} GiB of memory"
    rows = 16 if gib >= 20 else 8 if gib >= 7 else 4 if gib >= 3.5 else 2
    return rows, 16 // rows, where


def _answers(sample: Sample, choice: _Choice) -> list[str]:
    long = sample.target_characters if choice.task != "causal" or sample.shape == "pair" else 768
    tokens = _tokens(long, 512)
    return [
        f"evaluation: {{max_new_tokens: {tokens}}}",
        "generation:",
        f"  max_new_tokens: {tokens}",
        f"  num_beams: {1 if choice.task == 'causal' else 4}",
        "",
    ]


def _tokens(characters: int, most: int) -> int:
    """Return a length in tokens for texts of so many characters: a multiple of 32, from 64 to ``most``."""
    wanted = characters // _CHARACTERS_PER_TOKEN + 8
    return min(most, max(64, -(-wanted // 32) * 32))


def _run_name(path: Path) -> str:
    plain = "".join(sign if sign.isascii() and (sign.isalnum() or sign in "-_") else "-" for sign in path.stem)
    return plain.strip("-")[:60] or "run"


def _shown(text: str) -> str:
    """Return a name that cannot leave its comment line."""
    return text if text.isprintable() else ascii(text)


_README = """\
# A desktune project

- `config/` configs, one per experiment
- `data/raw/` your rows as they came; nothing writes here
- `data/processed/` what you make of them
- `models/` finished models (runs themselves go to `runs/`)

Put a file of rows into `data/raw`, then:

    desktune init data/raw/pairs.json -o config/first.yaml
    desktune check config/first.yaml --full
    desktune data show config/first.yaml
    desktune train config/first.yaml
    desktune evaluate latest
    desktune merge latest
"""

_GITIGNORE = """\
.env
runs/
models/*
!models/.gitkeep
data/raw/*
!data/raw/.gitkeep
data/processed/*
!data/processed/.gitkeep
"""

_ENV_EXAMPLE = """\
# Copy to .env and fill in what you need; .env is not committed. Tokens never go into a config.
# HF_TOKEN=
# WANDB_API_KEY=
# WANDB_MODE=offline
"""

_PROJECT_FILES: Mapping[str, Any] = {
    "README.md": _README,
    ".gitignore": _GITIGNORE,
    ".env.example": _ENV_EXAMPLE,
    "config/.gitkeep": "",
    "data/raw/.gitkeep": "",
    "data/processed/.gitkeep": "",
    "models/.gitkeep": "",
}
