"""Tokens added to the vocabulary: one id in, the same text out, only their rows trained, the merge proved."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import peft
import pytest
import torch
import transformers
from tests.bundles import text_rows
from transformers import AutoTokenizer

from desktune import durable
from desktune.batches.collate import collate, shape_of
from desktune.cli.main import run
from desktune.config.schema import AdapterSection, EvaluationSection, ModelSection, TrainingSection
from desktune.data.encode import Kit
from desktune.data.store import EncodedSet
from desktune.errors import AdapterError
from desktune.events import Event, Warn
from desktune.models.adapters import attach, make_trainable
from desktune.models.load import Bundle, Placement, load_base, load_tokenizer, locate
from desktune.models.save import save_model
from desktune.models.vocabulary import add_tokens, new_ids
from desktune.rows import Encoded
from desktune.ship.merge import merge
from desktune.train.loop import Loop, Recipe, TrainingRows

Zoo = Callable[[str], Path]
NEW = ["<drug>", "zyx ab"]
CPU = Placement(torch.device("cpu"), torch.float32)
LORA, FULL = AdapterSection(r=4, new_tokens=NEW), AdapterSection(type="none", new_tokens=NEW)
GROWING = ["t5", "t5-v1.1", "marian", "llama", "m2m100", "mbart50", "bart", "gpt2", "qwen3", "gemma"]


def grown(folder: Path, placement: Placement = CPU) -> Bundle:
    located = locate(ModelSection(name=str(folder)))
    tokenizer = load_tokenizer(located)
    add_tokens(tokenizer, NEW)
    return load_base(located, tokenizer, located.family.task, placement)


def rows_of(bundle: Bundle) -> list[Encoded]:
    """The usual pairs with a new token before the last id of source and labels."""
    ids = new_ids(bundle.tokenizer, NEW)
    found = []
    for index, row in enumerate(text_rows(bundle)):
        token = ids[index % 2]
        inputs = (*row.input_ids[:-1], token, row.input_ids[-1])
        found.append(replace(row, input_ids=inputs, labels=(*row.labels[:-1], token, row.labels[-1])))
    return found


def head_is_tied(model: torch.nn.Module) -> bool:
    return model.get_output_embeddings().weight is model.get_input_embeddings().weight  # type: ignore[operator]


def changed_rows(after: torch.Tensor, before: torch.Tensor) -> list[int]:
    return [index for index in range(len(before)) if not torch.equal(after[index], before[index])]


def trained(bundle: Bundle, section: AdapterSection, run_folder: Path) -> Bundle:
    bundle = make_trainable(bundle, section, 1, lambda event: None)
    rows = TrainingRows(EncodedSet.from_rows(rows_of(bundle)), None)
    settings = TrainingSection(max_steps=4, learning_rate=3e-2, eval_strategy="no", save_strategy="no", warmup_steps=0)
    Loop(bundle, rows, Recipe(settings, EvaluationSection(), 4096, None), run_folder, lambda event: None).run()
    bundle.model.eval()
    return bundle


@pytest.mark.parametrize("name", GROWING)
def test_untrained_rows_are_the_mean_and_change_no_other_logit(name: str, zoo: Zoo) -> None:
    """The grown model and the one with the adapter's wrappers around it, against the model as it was."""
    located = locate(ModelSection(name=str(zoo(name))))
    plain = load_base(located, load_tokenizer(located), located.family.task, CPU)
    bundle = grown(zoo(name))
    batch = collate(text_rows(plain)[:2], shape_of(plain.family, plain.tokenizer, located.config))
    batch.pop("labels")
    old, ids = plain.model.get_input_embeddings().weight, new_ids(bundle.tokenizer, NEW)
    assert head_is_tied(bundle.model) == head_is_tied(plain.model)
    with torch.no_grad():
        wanted = plain.model(**batch).logits
        found = bundle.model(**batch).logits
        adapted = make_trainable(bundle, LORA, 1, lambda event: None).model.eval()(**batch).logits
    assert torch.allclose(found[..., : len(old)], wanted, atol=1e-6)
    assert torch.allclose(adapted, found, atol=1e-6)
    if min(ids) >= len(old):
        again = grown(zoo(name)).model.get_input_embeddings().weight
        assert torch.allclose(again[ids], old.mean(dim=0).expand(len(ids), -1), atol=1e-6)


@pytest.mark.parametrize("name", ["t5", "t5-v1.1", "marian", "llama"])
def test_adapter_trains_only_the_new_rows_and_merges(name: str, zoo: Zoo, tmp_path: Path) -> None:
    base = grown(zoo(name)).model
    before, head, tied = base.get_input_embeddings().weight, base.get_output_embeddings().weight, head_is_tied(base)
    bundle = trained(grown(zoo(name)), LORA, tmp_path)
    rows, ids = rows_of(bundle), new_ids(bundle.tokenizer, NEW)
    with durable.staging(tmp_path / "model") as staged:
        save_model(bundle, staged)
    weights = (tmp_path / "model/adapter_model.safetensors").stat().st_size
    assert weights < before.nbytes + sum(p.nbytes for p in bundle.model.parameters() if p.requires_grad)
    again = attach(grown(zoo(name)), tmp_path / "model")
    batch = collate(rows, shape_of(bundle.family, bundle.tokenizer, bundle.located.config))
    batch.pop("labels")
    with torch.no_grad():
        assert torch.equal(again.model(**batch).logits, bundle.model(**batch).logits)
    report = merge(grown(zoo(name)), tmp_path / "model", tmp_path / "x_merged", rows, lambda event: None)
    assert report.equal_texts == len(rows)
    located = locate(ModelSection(name=str(report.folder)))
    merged = load_base(located, load_tokenizer(located), bundle.task, CPU).model
    assert changed_rows(merged.get_input_embeddings().weight, before) == ids
    assert changed_rows(merged.get_output_embeddings().weight, head) == ids
    assert head_is_tied(merged) == tied
    tokenizer = AutoTokenizer.from_pretrained(report.folder)
    assert [tokenizer(f"a {text} b")["input_ids"].count(index) for text, index in zip(NEW, ids, strict=True)] == [1, 1]
    assert [str(tokenizer.decode([index])).strip() for index in ids] == NEW


@pytest.mark.parametrize("name", ["t5", "marian", "llama"])
def test_plain_peft_loads_such_an_adapter(name: str, zoo: Zoo, tmp_path: Path) -> None:
    """On the base as transformers loads it, grown at random: every new row is in the adapter."""
    bundle = trained(grown(zoo(name)), LORA, tmp_path)
    with durable.staging(tmp_path / "model") as staged:
        save_model(bundle, staged)
    model = getattr(transformers, bundle.family.auto_class).from_pretrained(zoo(name))
    model.resize_token_embeddings(len(AutoTokenizer.from_pretrained(tmp_path / "model")))
    plain = peft.PeftModel.from_pretrained(model, tmp_path / "model").eval()
    batch = collate(rows_of(bundle), shape_of(bundle.family, bundle.tokenizer, bundle.located.config))
    batch.pop("labels")
    with torch.no_grad():
        assert torch.allclose(plain(**batch).logits, bundle.model(**batch).logits, atol=1e-6)


@pytest.mark.parametrize("name", ["t5-v1.1", "marian"])
def test_all_weights_with_new_tokens(name: str, zoo: Zoo, tmp_path: Path) -> None:
    """T5 v1.1 keeps its own head through growing, training and merging; Marian's start row stays zero."""
    base = grown(zoo(name))
    pad = base.tokenizer.pad_token_id
    with torch.no_grad():
        base.model.get_input_embeddings().weight[pad].zero_()
    bundle = trained(base, FULL, tmp_path)
    if name == "marian":
        assert torch.count_nonzero(bundle.model.get_input_embeddings().weight[pad]) == 0
    with durable.staging(tmp_path / "model") as staged:
        save_model(bundle, staged)
    report = merge(grown(zoo(name)), tmp_path / "model", tmp_path / "x_merged", rows_of(bundle), lambda event: None)
    assert report.largest_difference == 0.0
    located = locate(ModelSection(name=str(report.folder)))
    merged = load_base(located, load_tokenizer(located), bundle.task, CPU).model
    assert head_is_tied(merged) == (name == "marian")


def test_rows_of_a_bfloat16_base_are_trained_in_float32(zoo: Zoo) -> None:
    bundle = grown(zoo("llama"), replace(CPU, dtype=torch.bfloat16))
    model = make_trainable(bundle, LORA, 1, lambda event: None).model
    assert {parameter.dtype for parameter in model.parameters() if parameter.requires_grad} == {torch.float32}
    assert any("trainable_tokens_delta" in name for name, one in model.named_parameters() if one.requires_grad)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("t5", "</s>", "in the vocabulary already"),
        ("gpt2", "Ünï", "cannot take it: it writes it as"),
        ("bart", "naïve", "cannot take it"),
    ],
)
def test_tokens_that_cannot_be_added(name: str, text: str, said: str, zoo: Zoo) -> None:
    """A byte-level tokenizer writes letters beyond ASCII of an added token as broken bytes."""
    tokenizer = load_tokenizer(locate(ModelSection(name=str(zoo(name)))))
    with pytest.raises(AdapterError, match=said):
        add_tokens(tokenizer, [text])


def test_models_that_cannot_grow_are_refused(zoo: Zoo) -> None:
    with pytest.raises(AdapterError, match="cannot grow together"):
        grown(zoo("bert2bert"))


@pytest.mark.parametrize(("name", "warned"), [("t5", True), ("marian", True), ("llama", False)])
def test_lost_spaces_are_said(name: str, warned: bool, zoo: Zoo) -> None:
    events: list[Event] = []
    make_trainable(grown(zoo(name)), LORA, 1, events.append)
    assert any(isinstance(event, Warn) and "without the space" in event.text for event in events) == warned


def test_new_tokens_change_the_identity(zoo: Zoo) -> None:
    bundle = grown(zoo("t5"))
    plain = load_tokenizer(bundle.located)
    hashes = {Kit.of(one, bundle.family, bundle.task).tokenizer_hash for one in (bundle.tokenizer, plain)}
    again = load_tokenizer(bundle.located)
    add_tokens(again, NEW)
    assert len(hashes) == 2
    assert Kit.of(again, bundle.family, bundle.task).tokenizer_hash in hashes


@pytest.mark.parametrize("name", ["t5", "marian", "llama"])
def test_the_whole_way_with_new_tokens(
    name: str, zoo: Zoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Train, stop, resume, evaluate, merge, generate; another list of tokens is another tokenizer."""
    monkeypatch.chdir(tmp_path)
    rows = [{"input": f"the dog <drug> sees {n}", "output": f"a zyx ab cat {n}"} for n in range(20)]
    Path("pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    Path("desktune.yaml").write_text(
        f"model: {{name: {zoo(name)}}}\ndata: {{train: pairs.jsonl}}\n"
        f"adapter: {{r: 4, new_tokens: {json.dumps(NEW)}}}\noutput: {{dir: runs/one}}\n"
        "training: {max_steps: 4, eval_steps: 2, save_steps: 2, per_device_train_batch_size: 4}\n"
        "evaluation: {max_new_tokens: 6}\ngeneration: {max_new_tokens: 6, num_beams: 1}\n",
        encoding="utf-8",
    )
    assert run(["train", "desktune.yaml"]) == 0
    weights = Path("runs/one/model/adapter_model.safetensors").read_bytes()
    for gone in ("model", "checkpoints/step-000004"):
        durable.remove_folder(Path("runs/one") / gone)
    Path("runs/one/status.json").unlink()
    assert run(["train", "desktune.yaml", "--resume"]) == 0
    assert Path("runs/one/model/adapter_model.safetensors").read_bytes() == weights
    for verb in ("evaluate", "merge", "verify"):
        assert run([verb, "runs/one"]) == 0
    assert run(["generate", "runs/one", "the dog <drug>"]) == 0
    Path("runs/one/config.yaml").write_text(
        Path("runs/one/config.yaml").read_text(encoding="utf-8").replace("zyx ab", "zyx abc"), encoding="utf-8"
    )
    capsys.readouterr()
    assert run(["evaluate", "runs/one"]) == 2
    assert "the tokenizer are not those" in " ".join(capsys.readouterr().err.split())
