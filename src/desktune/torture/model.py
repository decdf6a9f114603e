"""What trials train: a few thousand random weights with a starter's tokenizer, and a starter's sample rows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from desktune import durable, starters
from desktune.config.schema import Config

STEPS, SAVE_EVERY, KEEP = 12, 2, 3
_ROWS = 48
KINDS: dict[str, tuple[str, str, dict[str, int]]] = {  # task → starter, sample data, what makes its config tiny
    "seq2seq": (
        "starter:t5",
        "dreams",
        {"d_model": 16, "d_ff": 32, "d_kv": 8, "num_heads": 2, "num_layers": 1, "num_decoder_layers": 1},
    ),
    "causal": (
        "starter:llama",
        "answers",
        {
            "hidden_size": 16,
            "intermediate_size": 32,
            "num_attention_heads": 2,
            "num_key_value_heads": 2,
            "head_dim": 8,
            "num_hidden_layers": 1,
        },
    ),
}


def build(task: str, folder: Path) -> None:
    """Write ``model-<task>`` and ``rows-<task>.jsonl`` below a folder."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM

    starter, sample, sizes = KINDS[task]
    source = starters.folder(starter)
    config = AutoConfig.from_pretrained(source)
    config.update({**sizes, "dtype": "float32"})
    torch.manual_seed(0)
    model = (AutoModelForSeq2SeqLM if task == "seq2seq" else AutoModelForCausalLM).from_config(config)
    with durable.staging(model_folder(task, folder)) as staged:
        model.save_pretrained(staged)
        for file in sorted(source.iterdir()):
            if file.suffix != ".md" and not (staged / file.name).exists():
                durable.copy_file(file, staged / file.name)
    lines = starters.sample(sample).read_text(encoding="utf-8").splitlines()[:_ROWS]
    durable.write_rows(folder / f"rows-{task}.jsonl", lines)


def model_folder(task: str, folder: Path) -> Path:
    """Where ``build`` writes the model."""
    return folder / f"model-{task}"


def config_of(task: str, adapter: str, folder: Path, run: Path, device: str) -> Config:
    """Return the config of one trial: twelve steps with dropout, six checkpoints, two validations.

    Args:
        task: A key of ``KINDS``.
        adapter: ``adapter.type``; "none" trains all weights.
        folder: Where ``build`` wrote.
        run: The run folder.
        device: ``model.device``.
    """
    said: dict[str, Any] = {
        "task": task,
        "model": {"name": str(model_folder(task, folder)), "device": device, "dtype": "float32"},
        "data": {"train": str(folder / f"rows-{task}.jsonl"), "validation": 0.15},
        "adapter": {"type": adapter},
        "training": {
            "max_steps": STEPS,
            "per_device_train_batch_size": 4,
            "learning_rate": 1e-2,
            "eval_steps": STEPS // 2,
            "save_steps": SAVE_EVERY,
            "save_total_limit": KEEP,
            "logging_steps": 1,
        },
        "evaluation": {"smoke_test": False, "metrics": []},
        "output": {"dir": str(run)},
    }
    return Config.model_validate(json.loads(json.dumps(said)))
