"""A folder in which trainings are started as forked children. Imports nothing heavy."""

from __future__ import annotations

import json
import time
from pathlib import Path

from tests.train.forks import Child, start

KINDS = {
    "seq2seq-lora": ("t5", "lora"),
    "seq2seq-full": ("t5", "none"),
    "causal-lora": ("llama", "lora"),
    "causal-full": ("llama", "none"),
    "translation-lora": ("marian", "lora"),
}
SETTINGS = [
    *("training.max_steps=8", "training.eval_steps=4", "training.save_steps=3", "training.logging_steps=2"),
    *("training.per_device_train_batch_size=4", "training.gradient_accumulation_steps=2"),
    *("training.tokens_per_batch=60", "training.learning_rate=0.01", "evaluation.smoke_test=false"),
    *("evaluation.guard_samples=2", "evaluation.max_new_tokens=4", "adapter.r=4", "adapter.lora_dropout=0.1"),
]


class Bench:
    """A folder with rows and tiny models, in which runs are started."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        rows = [
            {"input": f"{who} {does} {number}", "output": f"{number} {was}"}
            for number in range(8)
            for who, does, was in (
                ("the dog", "sees a cat", "un chat"),
                ("my house", "is red", "rouge"),
                ("a bird near the river", "sings", "chante"),
                ("two men", "walk", "marchent deux"),
            )
        ]
        (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        (folder / "desktune.yaml").write_text("data: {train: rows.jsonl, validation: 4}\n", encoding="utf-8")

    def model(self, family: str) -> Path:
        """Build a tiny model (in a child: building trains nothing, but loads much)."""
        target = self.folder / f"tiny-{family}"
        if not target.exists():
            from tests.tiny import BUILDERS

            BUILDERS[family](target)
        return target

    def words(self, kind: str, output: str, *more: str) -> list[str]:
        """Return the words of a training."""
        family, adapter = KINDS[kind]
        model = f"model.name={self.model(family)}"
        return ["train", "desktune.yaml", model, f"adapter.type={adapter}", *SETTINGS, f"output.dir={output}", *more]

    def start(self, words: list[str], name: str) -> Child:
        """Start a training."""
        return start(words, self.folder / f"{name}.log", self.folder)

    def straight(self, kind: str, *more: str) -> tuple[Path, float]:
        """Return a run that nobody stops, and the seconds it took."""
        name = f"straight-{kind}"
        child = self.start(self.words(kind, name, *more), name)
        if child.wait() != 0:
            raise RuntimeError(child.said())
        return self.folder / name, time.monotonic() - child.started
