"""A whole run of one family on 200 rows: trained, evaluated, merged, and asked by plain transformers, both ways.

The rows are word-by-word translations; families that are told languages get both directions in one file. The figures go
into ``docs/families.md`` (``python scripts/family_runs.py``) and are asserted by ``test_family_runs.py``.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from desktune import load
from desktune.api import evaluate, generate, merge, train

WORDS = {
    "the": "le", "dog": "chien", "sees": "voit", "a": "un", "cat": "chat", "my": "ma", "house": "maison",
    "is": "est", "red": "rouge", "bird": "oiseau", "near": "près", "river": "rivière", "two": "deux", "men": "hommes",
    "open": "ouvrent", "door": "porte", "she": "elle", "reads": "lit", "books": "livres",
}  # fmt: skip
CODES = {  # how a config says the two languages of the families that are told them
    "m2m100": ("en", "fr"),
    "nllb": ("eng_Latn", "fra_Latn"),
    "mbart": ("en_XX", "fr_XX"),
    "mbart50": ("en_XX", "fr_XX"),
    "marian-multi": ("eng", "fra"),
    "madlad": ("en", "fr"),
}
ROWS, TEXTS = 200, 10

FRESH = """
import json, sys, torch, transformers
torch.set_num_threads(1)
folder, kind, asked = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
model = getattr(transformers, kind).from_pretrained(folder, dtype=torch.float32).eval()
tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
answers = []
for text, source, settings in asked:
    if source:
        tokenizer.src_lang = source
    if tokenizer.chat_template:
        talk = [{"role": "user", "content": text.rstrip()}]
        inputs = tokenizer.apply_chat_template(talk, add_generation_prompt=True, return_dict=True, return_tensors="pt")
    else:
        inputs = tokenizer(text, return_tensors="pt")
    inputs.pop("token_type_ids", None)
    out = model.generate(**inputs, **settings, num_beams=1, do_sample=False, max_new_tokens=40)
    new = out[0] if kind.endswith("Seq2SeqLM") else out[0, inputs["input_ids"].shape[1] :]
    answers.append(tokenizer.decode(new, skip_special_tokens=True).strip())
print(json.dumps(answers))
"""


@dataclass(frozen=True)
class FamilyRun:
    """What was reached. Shares are 0 to 1."""

    family: str
    chrf: tuple[float, float]  # base, tuned
    loss: tuple[float, float]
    right_language: Mapping[str, float]  # direction → share of answers whose words are of the target language
    equal_texts: int  # of the merge proof
    proof_rows: int
    plain_equal: float  # share of answers of plain transformers that equal ours


def pairs(count: int, seed: int) -> list[tuple[str, str]]:
    """Return sentences with their word-by-word translation, all different."""
    rng, found = random.Random(seed), {}
    while len(found) < count:
        words = rng.choices(sorted(WORDS), k=rng.randint(3, 6))
        found[" ".join(words)] = " ".join(WORDS[word] for word in words)
    return list(found.items())


def family_run(name: str, base: Path, folder: Path, **training: Any) -> FamilyRun:
    """Train, evaluate, merge and ask one family; ``folder`` is new."""
    folder.mkdir(parents=True)
    codes = CODES.get(name)
    write_rows(folder / "rows.jsonl", both=codes is not None)
    config = write_config(folder, base, codes, training)
    run = train(load(config).config).run
    report = evaluate(run)
    proof = merge(run)
    directions = {"en → fr": (0, 1), "fr → en": (1, 0)} if codes else {"en → fr": (0, 1)}
    right, equal = {}, []
    for label, (source, target) in directions.items():
        texts = [pair[source] for pair in pairs(TEXTS, seed=99)]
        told = (codes[source], codes[target]) if codes else (None, None)
        ours = generate(run, texts, settings={"num_beams": 1, "max_new_tokens": 40}, languages=told)
        plain = ask_plain(name, proof.folder, texts, told, both=codes is not None)
        right[label] = sum(in_language(text, target) for text in ours) / len(ours)
        equal += [one == other for one, other in zip(ours, plain, strict=True)]
    return FamilyRun(
        name,
        (report.base.metrics["chrf"].value, report.tuned.metrics["chrf"].value),
        (report.base.loss, report.tuned.loss),
        right,
        proof.equal_texts,
        proof.rows,
        sum(equal) / len(equal),
    )


def write_rows(path: Path, *, both: bool) -> None:
    """Write 200 rows; with ``both``, half of them from French to English."""
    rows = []
    for index, (english, french) in enumerate(pairs(ROWS, seed=1)):
        turned = both and index % 2 == 1
        source, target = (french, english) if turned else (english, french)
        rows.append({"source": source, "target": target, "source_lang": "fr" if turned else "en"})
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def write_config(folder: Path, base: Path, codes: tuple[str, str] | None, training: Mapping[str, Any]) -> Path:
    """Write the config of a run; rows say ``en`` and ``fr``, whatever the tokenizer calls them."""
    data: dict[str, Any] = {"train": str(folder / "rows.jsonl"), "validation": 20}
    if codes is not None:
        data |= {"source_lang": codes[0], "target_lang": codes[1], "both_directions": True}
    config = {
        "model": {"name": str(base), "device": "cpu"},
        "data": data,
        "adapter": {"type": "none"},
        "training": {
            "max_steps": 250,
            "per_device_train_batch_size": 20,
            "learning_rate": 5e-3,
            "weight_decay": 0.0,
            "eval_strategy": "no",
            "save_strategy": "no",
            "load_best_model_at_end": False,
            **training,
        },
        "evaluation": {"max_new_tokens": 40, "smoke_test": False, "metrics": ["chrf", "exact_match"]},
        "output": {"dir": str(folder / "run")},
    }
    path = folder / "desktune.yaml"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    return path


def ask_plain(
    name: str, folder: Path, texts: Sequence[str], told: tuple[str | None, str | None], *, both: bool
) -> list[str]:
    """Ask a merged folder in a fresh process that knows nothing of desktune."""
    source, target = told
    prefix = {"marian-multi": f">>{target}<< ", "madlad": f"<2{target}> "}.get(name, "")
    in_source = bool(prefix)
    description = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    causal = not description.get("is_encoder_decoder")
    settings = told_settings(folder, target) if both and not in_source and target else {}
    asked = [(prefix + text + ("\n" if causal else ""), None if in_source else source, settings) for text in texts]
    kind = "AutoModelForCausalLM" if causal else "AutoModelForSeq2SeqLM"
    command = [sys.executable, "-W", "ignore", "-c", FRESH, str(folder), kind, json.dumps(asked)]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def told_settings(folder: Path, target: str) -> dict[str, int]:
    """Return what a user of plain transformers passes to ``generate`` for a target language."""
    from transformers import AutoTokenizer, MBartTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    token = f"__{target}__" if type(tokenizer).__name__ == "M2M100Tokenizer" else target
    key = "decoder_start_token_id" if isinstance(tokenizer, MBartTokenizer) else "forced_bos_token_id"
    return {key: tokenizer.convert_tokens_to_ids(token)}


def in_language(text: str, target: int) -> bool:
    """Whether most words of an answer are of a language: 0 English, 1 French."""
    known = set(WORDS.values()) if target else set(WORDS)
    words = text.split()
    return bool(words) and sum(word in known for word in words) > len(words) / 2
