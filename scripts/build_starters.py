"""Build desktune's embedded default: tiny pretrained models and sample data, from text this script generates.

One starter a process, one thread each, about three quarters of an hour on a shared core. The same seed gives the same
text, tokenizer and batches on any machine; weights may differ in the last bits with the processor and torch version::

    python scripts/build_starters.py --only marian-en-fr     # train, measure, try LoRA, write the card
    python scripts/build_starters.py --data                  # the sample data only
    python scripts/build_starters.py --only t5 --trial       # only LoRA again, on what is built
    python scripts/build_starters.py --only t5 --judge       # measure again what is built, then LoRA

Progress is saved every 2500 steps, so that a stop keeps something (``--judge --stop 5000`` then
measures what was kept).
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import torch
from transformers import AutoTokenizer

from starters import card, measure, samples, trial
from starters.llama import LlamaStarter
from starters.marian import MarianStarter
from starters.pretrain import Training, pretrain
from starters.starter import Starter, chunks, replay, unseen
from starters.t5 import T5Starter

OUT = Path(__file__).parents[1] / "src" / "desktune" / "starters"
STARTERS: dict[str, Starter] = {
    "marian-en-fr": MarianStarter("en", "fr"),
    "marian-fr-en": MarianStarter("fr", "en"),
    "t5": T5Starter(),
    "llama": LlamaStarter(),
}
QUICK_ROWS, JUDGED_ROWS = 200, 1000


def main() -> None:
    """Read the arguments and build."""
    given = _arguments()
    torch.set_num_threads(given.threads)
    print("sample rows:", samples.write(given.out / "data", given.seed))
    if given.data:
        return
    for name in [given.only] if given.only else list(STARTERS):
        starter, folder = STARTERS[name], given.out / name
        training = Training(given.steps or starter.steps, starter.rate, stop=given.stop)
        if given.judge or given.trial:
            tokenizer = AutoTokenizer.from_pretrained(folder)
            seen = replay(starter, tokenizer, given.seed, training)
        else:
            seen = build(starter, folder, training, given.seed)
        if given.judge:
            record(starter, folder, seen, training, given.minutes, given.seed)
        data, general = given.out / "data", unseen(starter, given.seed, seen, JUDGED_ROWS)
        tried = [trial.run(name, starter, folder, data, one, general, given.seed) for one in trial.TRIALS[name]]
        print(name, *tried, sep="\n", flush=True)
        card.add_figures(folder, {"trials": tried})
        card.write(name, starter, folder)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=list(STARTERS), help="which starter; all when left out")
    parser.add_argument("--steps", type=int, help="optimizer steps; the starter's own number when left out")
    parser.add_argument("--stop", type=int, help="end after so many steps, on the learning rate's plan for --steps")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--data", action="store_true", help="write the sample data only")
    parser.add_argument("--trial", action="store_true", help="only try LoRA on a built starter")
    parser.add_argument("--judge", action="store_true", help="measure a built starter again, then try LoRA")
    parser.add_argument("--minutes", type=float, default=0.0, help="with --judge: how long its training took")
    return parser.parse_args()


def build(starter: Starter, folder: Path, training: Training, seed: int) -> set[str]:
    """Train a starter, save it as bfloat16 with its figures; return the questions it has seen."""
    torch.manual_seed(seed)
    folder.mkdir(parents=True, exist_ok=True)
    starter.build_tokenizer(folder, seed)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model: Any = starter.build_model(tokenizer)
    seen: set[str] = set()

    def report(step: int, minutes: float) -> None:
        rows = unseen(starter, seed, seen, QUICK_ROWS)
        found = measure.answers(model, tokenizer, [row[0] for row in rows], starter.causal)
        print(f"step {step}, {minutes:.1f} minutes:", measure.scores(found, [row[1] for row in rows]), flush=True)
        for row, answer in zip(rows[:60], found, strict=False):
            if answer != row[1]:
                print("   ", *row, answer, sep=" | ", flush=True)
        model.save_pretrained(folder)

    rows = chunks(starter, tokenizer, seed, seen)
    minutes = pretrain(model, rows, lambda batch: starter.collate(tokenizer, batch), training, report)
    model.to(torch.bfloat16).save_pretrained(folder)
    record(starter, folder, seen, training, minutes, seed)
    return seen


def record(starter: Starter, folder: Path, seen: set[str], training: Training, minutes: float, seed: int) -> None:
    """Measure the saved folder on unseen rows and write figures.json."""
    model, tokenizer = measure.load(folder, starter.causal)
    rows = unseen(starter, seed, seen, JUDGED_ROWS)
    found = measure.answers(model, tokenizer, [row[0] for row in rows], starter.causal)
    figures = {
        "parameters": sum(weight.numel() for weight in model.parameters()),
        "seed": seed,
        "planned_steps": training.steps,
        "steps": training.stop or training.steps,
        "minutes": round(minutes, 1),
        "distinct_rows": len(seen),
        "unseen": {"rows": len(rows)} | measure.scores(found, [row[1] for row in rows]),
    }
    print(card.add_figures(folder, figures), flush=True)


if __name__ == "__main__":
    main()
