"""Write the sample data files."""

from __future__ import annotations

import json
from pathlib import Path

from . import samples_answers, samples_dreams, samples_general, samples_marine

SAMPLES = {
    "marine": samples_marine.rows,
    "dreams": samples_dreams.rows,
    "answers": samples_answers.rows,
    "everyday": samples_general.everyday,
    "talks": samples_general.talks,
    "chores": samples_general.chores,
}


def write(folder: Path, seed: int) -> dict[str, int]:
    """Write a file of JSON lines for each sample; return the number of rows of each."""
    folder.mkdir(parents=True, exist_ok=True)
    counts = {}
    for name, rows in SAMPLES.items():
        made = rows(seed)
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in made)
        (folder / f"{name}.jsonl").write_text(text, encoding="utf-8")
        counts[name] = len(made)
    return counts
