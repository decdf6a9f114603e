"""BLEU of a model trained on damaged pairs as they are, against the same pairs cleaned; all else is equal.

    python benches/cleaned_training.py TRAIN.en TRAIN.fr VAL.en VAL.fr [--rows 5000] [--share 0.3] [--steps 1500]

Run from the project's root: the damage is that of the tests. All weights of the Marian starter are trained; held-out
rows are sound and judged greedily.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.data.clean.corrupt import corrupt

WHO, METRICS = ("base", "tuned"), ("bleu", "chrf")
SETTINGS = {
    "task": "translation",
    "model": {"name": "starter:marian-en-fr"},
    "adapter": {"type": "none"},
    "evaluation": {"max_new_tokens": 96, "bootstrap_samples": 0},
}


def main() -> None:
    """Print one line per arm."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("source", "target", "held_source", "held_target"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--rows", type=int, default=5000)
    parser.add_argument("--share", type=float, default=0.3)
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--arms", nargs="+", default=["raw", "strict", "light"])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder) / "raw.jsonl"
        sides = [read(path)[: options.rows] for path in (options.source, options.target)]
        rows = corrupt(list(zip(*sides, strict=True)), options.share, seed=1)
        write(raw, [row.pair for row in rows])
        held = Path(folder) / "held.jsonl"
        write(held, list(zip(read(options.held_source), read(options.held_target), strict=True)))
        for arm in options.arms:
            print(json.dumps({"arm": arm, **trained(raw, held, arm, options.steps)}), flush=True)


def read(path: Path) -> list[str]:
    """Return the lines of a file."""
    return path.read_text(encoding="utf-8").splitlines()


def write(path: Path, pairs: list[tuple[str, str]]) -> None:
    """Write pairs as training reads them."""
    rows = ({"source": source, "target": target} for source, target in pairs)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def trained(raw: Path, held: Path, arm: str, steps: int) -> dict[str, object]:
    """Train one arm; return rows, minutes of training and the scores of base and tuned."""
    data = raw.with_name(f"{arm}.jsonl")
    if arm != "raw":
        desktune("data", "clean", raw, "-o", data, "--preset", arm, "--source-lang", "en", "--target-lang", "fr")
    training = {
        "max_steps": steps, "per_device_train_batch_size": 32, "learning_rate": 1e-3, "warmup_ratio": 0.05,
        "eval_steps": 250, "save_steps": 250, "logging_steps": 50, "max_eval_samples": 200,
    }  # fmt: skip
    limits = {"max_source_length": 128, "max_target_length": 128}
    rows = {"train": str(data), "validation": str(held), "source_lang": "en", "target_lang": "fr"}
    run = raw.with_name(f"run-{arm}")
    config = raw.with_name(f"{arm}.json")
    whole = {**SETTINGS, "data": {**rows, **limits}, "training": training, "output": {"dir": str(run)}}
    config.write_text(json.dumps(whole), encoding="utf-8")
    began = time.monotonic()
    desktune("train", config)
    desktune("evaluate", run)
    scores = json.loads((run / "evaluation-validation.json").read_text(encoding="utf-8"))
    return {
        "rows": len(read(data)),
        "minutes": round((time.monotonic() - began) / 60, 1),
        **{f"{who} {name}": round(scores[who]["metrics"][name]["value"], 1) for who in WHO for name in METRICS},
        "tuned loss": round(scores["tuned"]["loss"], 3),
    }


def desktune(*words: object) -> None:
    """Run a verb. Its output goes to the standard error."""
    subprocess.run([sys.executable, "-m", "desktune", *map(str, words)], check=True, stdout=sys.stderr)


if __name__ == "__main__":
    main()
