"""figures.json and README.md of a starter's folder, written from what was measured."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from .starter import Starter


def add_figures(folder: Path, more: dict[str, Any]) -> dict[str, Any]:
    """Put figures into the folder's figures.json beside those already there; return all of them."""
    path = folder / "figures.json"
    figures = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    figures |= more
    path.write_text(json.dumps(figures, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return figures


def write(name: str, starter: Starter, folder: Path) -> None:
    """Write the card."""
    figures = add_figures(folder, {})
    unseen = figures["unseen"]
    text = _CARD.format(
        name=name,
        title=starter.title,
        domain=starter.domain,
        loader="AutoModelForCausalLM" if starter.causal else "AutoModelForSeq2SeqLM",
        trials=_trials(figures["trials"]) if "trials" in figures else "",
        **{key: value for key, value in figures.items() if key not in ("unseen", "trial", "trials")},
        **unseen,
    )
    (folder / "README.md").write_text(text, encoding="utf-8")


def _trials(trials: list[dict[str, Any]]) -> str:
    first = trials[0]
    rows = [_side("base", first["base"], first["general_before"])]
    for trial in trials:
        settings = trial["settings"]
        mixed = f" with `{settings['mixed']}.jsonl`" if settings["mixed"] else ""
        who = f"tuned{mixed}, {settings['epochs']} epochs of {trial['rows']['train']} rows, {trial['seconds']:.0f} s"
        rows.append(_side(who, trial["tuned"], trial["general_after"]))
    settings = first["settings"]
    return _TRIAL.format(table="\n".join(rows), held_out=first["rows"]["held_out"], **settings)


def _side(who: str, domain: dict[str, float], general: float) -> str:
    return f"| {who} | {domain['exact']} % | {domain['bleu']} | {domain['chrf']} | {general} % |"


_CARD = """---
license: apache-2.0
library_name: transformers
---

# starter:{name}

A tiny pretrained model ({title}), made by this project from text that it generates. It is there to be
fine-tuned in a minute and to show that a pipeline works, not to be used as it is.

General domain: {domain}.

| | |
| --- | --- |
| parameters | {parameters:,}, stored as bfloat16 safetensors |
| trained on | {distinct_rows:,} different generated rows, {steps} steps, {minutes} minutes on one shared CPU core |
| seed | {seed} |
| exact match on unseen general rows | {exact} % of {rows} (greedy, weights as stored) |
| BLEU and chrF++ there | {bleu} and {chrf} |

{trials}Limits: it knows a few hundred words. Anything outside its small grammar it has to spell, and before it is
tuned it does so badly. It holds no knowledge of the world and no text of other people.

`{loader}.from_pretrained(folder)` and `AutoTokenizer.from_pretrained(folder)` load it. It is built again by
`python scripts/build_starters.py --only {name} --steps {planned_steps} --stop {steps} --seed {seed}`.
"""

_TRIAL = """## After LoRA on `{sample}.jsonl`

Rank {r}, alpha {alpha}, all linear layers, learning rate {rate}, {batch_rows} rows a batch, on one shared CPU core;
measured on {held_out} held-out rows of the sample and, in the last column, on general rows (exact match):

| | exact match | BLEU | chrF++ | general |
| --- | --- | --- | --- | --- |
{table}

Tuned on one narrow sample alone, so small a model forgets much of the rest; everyday rows mixed in keep it.

"""
