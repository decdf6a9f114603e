"""LoRA on a starter with its sample data, for about a minute: does it learn the domain, does it keep the rest?"""

from __future__ import annotations

import json
import random
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from . import measure
from .pretrain import Training, factor
from .starter import Starter

HELD_OUT = 0.15
KEPT_ROWS = 300


@dataclass(frozen=True)
class Trial:
    """Sample, everyday sample to mix in (or none), settings; rank 16, alpha 32, all linear layers."""

    sample: str
    mixed: str = ""
    rate: float = 4e-3
    epochs: int = 20
    batch_rows: int = 16


TRIALS = {
    "marian-en-fr": [Trial("marine", epochs=12), Trial("marine", "everyday", epochs=12)],
    "marian-fr-en": [Trial("marine", epochs=12), Trial("marine", "everyday", epochs=12)],
    "t5": [Trial("dreams", epochs=22), Trial("dreams", "chores", epochs=18)],
    "llama": [Trial("answers"), Trial("answers", "talks", epochs=15)],
}


def pairs(name: str, sample: str, folder: Path) -> list[tuple[str, str]]:
    """Return a sample's (question, answer) pairs for a starter."""
    rows = [json.loads(line) for line in (folder / f"{sample}.jsonl").read_text(encoding="utf-8").splitlines()]
    if "messages" in rows[0]:
        return [(row["messages"][0]["content"], row["messages"][1]["content"]) for row in rows]
    if "input" in rows[0]:
        return [(row["input"], row["output"]) for row in rows]
    return [(row["source"], row["target"]) for row in rows if row["source_lang"] == name.split("-")[1]]


def run(
    name: str, starter: Starter, folder: Path, data: Path, trial: Trial, general: list[tuple[str, str]], seed: int
) -> dict[str, Any]:
    """Tune on 85 % of the sample; return scores of base and tuned model on the rest and on general text."""
    from peft import LoraConfig, get_peft_model

    rows = pairs(name, trial.sample, data)
    random.Random(seed).shuffle(rows)
    cut = round(HELD_OUT * len(rows))
    held, train = rows[:cut], rows[cut:]
    train += pairs(name, trial.mixed, data) if trial.mixed else []
    general = [row for row in general if row not in train]
    model, tokenizer = measure.load(folder, starter.causal)

    def judge(asked: list[tuple[str, str]]) -> dict[str, float]:
        found = measure.answers(model, tokenizer, [row[0] for row in asked], starter.causal)
        return measure.scores(found, [row[1] for row in asked])

    before, general_before = judge(held), judge(general[:KEPT_ROWS])["exact"]
    torch.manual_seed(seed)
    task = "CAUSAL_LM" if starter.causal else "SEQ_2_SEQ_LM"
    model = get_peft_model(model, LoraConfig(r=16, lora_alpha=32, target_modules="all-linear", task_type=task))
    began = time.monotonic()
    loss = _tune(model, starter, tokenizer, train, trial)
    seconds = time.monotonic() - began
    return {
        "settings": asdict(trial) | {"r": 16, "alpha": 32}, "rows": {"train": len(train), "held_out": len(held)},
        "seconds": round(seconds, 1), "loss": round(loss, 4), "base": before, "tuned": judge(held),
        "general_before": general_before, "general_after": judge(general[:KEPT_ROWS])["exact"],
    }  # fmt: skip


def _tune(model: Any, starter: Starter, tokenizer: Any, train: list[tuple[str, str]], trial: Trial) -> float:
    encoded = starter.encode(tokenizer, [[row] for row in train] if starter.causal else train)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=trial.rate, weight_decay=0.0)
    rng = random.Random(0)
    total = trial.epochs * -(-len(encoded) // trial.batch_rows)
    plan, step, value = Training(total, trial.rate, max(1, total // 20)), 0, 0.0
    model.train()
    for _ in range(trial.epochs):
        rng.shuffle(encoded)
        value = 0.0
        for start in range(0, len(encoded), trial.batch_rows):
            batch = starter.collate(tokenizer, encoded[start : start + trial.batch_rows])
            batch.pop("decoder_input_ids", None)
            for group in optimizer.param_groups:
                group["lr"] = trial.rate * factor(step, plan)
            loss = model(**batch).loss
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            step += 1
            value += loss.item() * trial.batch_rows / len(encoded)
    return value
