"""Build desktune's embedded default: tiny pretrained models and sample data, from text this script generates.

One starter a process, one thread each::

    python scripts/build_starters.py --only marian-en-fr --minutes 20 --threads 1 --seed 7
    python scripts/build_starters.py --data
    python scripts/build_starters.py --only t5 --trial

``--minutes`` ends by the clock; ``--steps`` (written into figures.json) repeats a build. Progress is saved every few
minutes, so a stop keeps something.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import torch
from starters import card, measure, sample_data, trial
from starters.pretrain import Budget, pretrain
from starters.recipes import RECIPES, Recipe

OUT = Path(__file__).parents[1] / "src" / "desktune" / "starters"
QUICK, FULL = 150, 1000


def main() -> None:
    """Read the arguments and build."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=sorted(RECIPES), help="which starter; all when left out")
    parser.add_argument("--minutes", type=float, default=30.0, help="training time of each starter")
    parser.add_argument("--steps", type=int, help="train exactly so many steps instead")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--data", action="store_true", help="write the sample data only")
    parser.add_argument("--trial", action="store_true", help="only try LoRA on a built starter and add its figures")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    if given.data:
        sample_data.write(given.out / "data", given.seed)
        return
    for name in [given.only] if given.only else sorted(RECIPES):
        if not given.trial:
            build(name, given.out / name, Budget(given.minutes, given.steps), given.seed)
        if name in trial.TRIALS:
            card.add_figures(given.out / name, {"trial": trial.run(name, RECIPES[name], given.out, given.seed)})
        card.write(name, RECIPES[name], given.out / name)


def build(name: str, folder: Path, budget: Budget, seed: int) -> None:
    """Train one starter, save it as bfloat16 and write what it can do on unseen text."""
    recipe = RECIPES[name]
    folder.mkdir(parents=True, exist_ok=True)
    recipe.tokenizer(folder, seed)
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    torch.manual_seed(seed)
    model = recipe.model(tokenizer)
    unseen = recipe.unseen(seed, FULL)

    def report(step: int, rows: int, loss: float, minutes: float) -> bool:
        found = measure.answers(model, tokenizer, [recipe.ask(row) for row in unseen[:QUICK]], recipe.causal)
        exact = measure.scores(found, [row[1] for row in unseen[:QUICK]])["exact"]
        print(f"{name} {minutes:5.1f} min step {step} rows {rows} loss {loss:.4f} exact {exact}", flush=True)
        for row, answer in zip(unseen[:QUICK], found, strict=True):
            if answer != row[1]:
                print(f"    wrong: {row[0]!r} -> {answer!r}, not {row[1]!r}", flush=True)
                break
        save(model, folder)
        return False

    counts = pretrain(model, recipe.stream(tokenizer, folder, seed), recipe.kind(tokenizer), budget, report)
    save(model, folder)
    figures = {"seed": seed, "params": sum(p.numel() for p in model.parameters()), "training": counts}
    card.add_figures(folder, figures | {"unseen": judge(recipe, folder, seed)})


def judge(recipe: Recipe, folder: Path, seed: int) -> dict[str, float]:
    """Return the scores of the saved folder on unseen rows."""
    model, tokenizer = measure.load(folder, recipe.causal)
    unseen = recipe.unseen(seed, FULL)
    found = measure.answers(model, tokenizer, [recipe.ask(row) for row in unseen], recipe.causal)
    return {"rows": len(unseen)} | measure.scores(found, [row[1] for row in unseen])


def save(model: torch.nn.Module, folder: Path) -> None:
    """Save a bfloat16 copy of the model as safetensors; the model in training stays as it is."""
    kept = {name: weight.detach().clone() for name, weight in model.state_dict().items()}
    model.to(torch.bfloat16).save_pretrained(folder)
    model.to(torch.float32).load_state_dict(kept)


if __name__ == "__main__":
    main()
