"""Merging with its proof: plain transformers answers like base and adapter; a wrong merge gets no name."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tests.bundles import FAMILIES, open_tiny, text_rows

from desktune import durable
from desktune.config.schema import AdapterSection
from desktune.errors import AdapterError, MergeMismatch, ModelMismatch, RunError
from desktune.models.save import check_partner, save_model
from desktune.ship import merge as merging
from desktune.ship.merge import merge

FRESH = """
import json, sys, torch, transformers
folder, kind, rows = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
model = getattr(transformers, kind).from_pretrained(folder, dtype=torch.float32).eval()
with torch.no_grad():
    outs = [model(input_ids=torch.tensor([ids]), labels=torch.tensor([labels])) for ids, labels in rows]
    sums = [out.logits.double().sum().item() for out in outs]
print(json.dumps(sums))
"""


def save_run(folder: Path, run: Path, adapter: AdapterSection) -> Path:
    """Save an adapter with weights that are not zero, as training would."""
    bundle = open_tiny(folder, adapter)
    with durable.staging(run / "model") as staged:
        save_model(bundle, staged)
    return run / "model"


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("kind", ["lora", "dora", "rslora"])
def test_merged_answers_like_the_adapter(family: str, kind: str, tiny_folders: dict[str, Path], tmp_path: Path) -> None:
    adapter = AdapterSection(type=kind, r=4)
    tuned = save_run(tiny_folders[family], tmp_path, adapter)
    base = open_tiny(tiny_folders[family])
    rows = text_rows(base)
    report = merge(base, tuned, tmp_path / "x_merged", rows, lambda event: None)
    assert report.equal_texts == report.rows == len(rows)
    assert report.largest_difference < 2e-5 * max(1, report.largest_logit)
    assert durable.verify(report.folder) == []
    for name in open_tiny(tiny_folders[family]).family.tokenizer_files:
        assert (report.folder / name).read_bytes() == (tiny_folders[family] / name).read_bytes()
    config = json.loads((report.folder / "config.json").read_text(encoding="utf-8"))
    assert config["dtype"] == "float32"
    assert not (report.folder / "adapter_config.json").exists()


@pytest.mark.parametrize("family", FAMILIES)
def test_fresh_process_with_plain_transformers(family: str, tiny_folders: dict[str, Path], tmp_path: Path) -> None:
    tuned = save_run(tiny_folders[family], tmp_path, AdapterSection(r=4))
    adapted = open_tiny(tiny_folders[family], AdapterSection(r=4))
    adapted.model.eval()
    rows = text_rows(adapted)
    merge(open_tiny(tiny_folders[family]), tuned, tmp_path / "x_merged", rows, lambda event: None)
    plain = json.dumps([[row.input_ids, row.labels] for row in rows])
    command = [sys.executable, "-c", FRESH, str(tmp_path / "x_merged"), adapted.family.auto_class, plain]
    found = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    for row, value in zip(rows, found, strict=True):
        with torch.no_grad():
            logits = adapted.model(input_ids=torch.tensor([row.input_ids]), labels=torch.tensor([row.labels])).logits
        assert value == pytest.approx(logits.double().sum().item(), rel=1e-5, abs=1e-2)


def test_full_weights_are_proved_too(tiny_folders: dict[str, Path], tmp_path: Path) -> None:
    bundle = open_tiny(tiny_folders["t5"])
    base = open_tiny(tiny_folders["t5"])
    with torch.no_grad():
        bundle.model.shared.weight.add_(0.1)
    with durable.staging(tmp_path / "model") as staged:
        save_model(bundle, staged)
    report = merge(base, tmp_path / "model", tmp_path / "x_merged", text_rows(base), lambda event: None)
    assert report.largest_difference == 0.0


def test_a_merge_that_answers_otherwise_gets_no_name(
    tiny_folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One weight of the merged file is changed between writing and the proof."""
    tuned = save_run(tiny_folders["t5"], tmp_path, AdapterSection(r=4))
    base = open_tiny(tiny_folders["t5"])
    honest = merging.save_tokenizer

    def tamper(tokenizer: object, located: object, folder: Path) -> None:
        honest(tokenizer, located, folder)  # type: ignore[arg-type]
        from safetensors.torch import load_file, save_file

        weights = load_file(folder / "model.safetensors")
        weights["encoder.block.0.layer.0.SelfAttention.q.weight"][0] += 1.0
        save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})

    monkeypatch.setattr(merging, "save_tokenizer", tamper)
    with pytest.raises(MergeMismatch, match="nothing was written"):
        merge(base, tuned, tmp_path / "x_merged", text_rows(base), lambda event: None)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model"]


@pytest.mark.parametrize("adapter", [AdapterSection(r=4), None], ids=["adapter", "all-weights"])
def test_weights_that_are_no_numbers_are_refused(
    adapter: AdapterSection | None, tiny_folders: dict[str, Path], tmp_path: Path
) -> None:
    """NaN is neither larger nor smaller than any tolerance, and NaN models answer alike."""
    bundle = open_tiny(tiny_folders["t5"], adapter)
    with torch.no_grad():
        names = dict(bundle.model.named_parameters())
        next(weight for name, weight in names.items() if adapter is None or "lora_B" in name).fill_(float("nan"))
    with durable.staging(tmp_path / "model") as staged:
        save_model(bundle, staged)
    base = open_tiny(tiny_folders["t5"])
    with pytest.raises(MergeMismatch, match="not numbers"):
        merge(base, tmp_path / "model", tmp_path / "x_merged", text_rows(base), lambda event: None)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model"]


@pytest.mark.parametrize("value", [1.0, float("nan")])
def test_few_kept_logits_still_tell(
    value: float, tiny_folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One place of each row is kept, as for many rows of a large vocabulary."""
    monkeypatch.setattr(merging, "PROOF_LOGITS", 1)
    tuned = save_run(tiny_folders["t5"], tmp_path, AdapterSection(r=4))
    base = open_tiny(tiny_folders["t5"])
    rows = text_rows(base)
    assert merge(base, tuned, tmp_path / "good", rows, lambda event: None).equal_texts == len(rows)
    base = open_tiny(tiny_folders["t5"])
    real = merging._write

    def tampered(together: object, tuned: Path, staged: Path) -> None:
        from safetensors.torch import load_file, save_file

        real(together, tuned, staged)  # type: ignore[arg-type]
        weights = load_file(staged / "model.safetensors")
        weights["decoder.final_layer_norm.weight"][0] += value
        save_file(weights, staged / "model.safetensors", metadata={"format": "pt"})

    monkeypatch.setattr(merging, "_write", tampered)
    with pytest.raises(MergeMismatch, match="does not answer like"):
        merge(base, tuned, tmp_path / "bad", rows, lambda event: None)
    assert not (tmp_path / "bad").exists()


def test_a_masked_token_is_no_difference(tiny_folders: dict[str, Path], tmp_path: Path) -> None:
    """Minus infinity in the logits of base and merged model alike."""
    bundle, base = open_tiny(tiny_folders["marian"]), open_tiny(tiny_folders["marian"])
    with torch.no_grad():
        bundle.model.final_logits_bias[0, 5] = -torch.inf
    with durable.staging(tmp_path / "model") as staged:
        save_model(bundle, staged)
    report = merge(base, tmp_path / "model", tmp_path / "x_merged", text_rows(base), lambda event: None)
    assert report.largest_difference == 0.0
    assert 0 < report.largest_logit < 100


def test_no_rows_no_proof_no_merge(tiny_folders: dict[str, Path], tmp_path: Path) -> None:
    tuned = save_run(tiny_folders["t5"], tmp_path, AdapterSection(r=4))
    with pytest.raises(RunError, match="no rows to prove"):
        merge(open_tiny(tiny_folders["t5"]), tuned, tmp_path / "x_merged", [], lambda event: None)


def test_an_adapter_names_its_base_and_not_this_machine(tiny_folders: dict[str, Path], tmp_path: Path) -> None:
    """A hub base by its id; a folder stays, since nothing else leads there. The card is no form with holes in it."""
    bundle = open_tiny(tiny_folders["t5"], AdapterSection(r=4))
    named = {}
    for name in ("google/some-t5", str(tiny_folders["t5"])):
        with durable.staging(tmp_path / "model", replace=True) as staged:
            save_model(replace(bundle, located=replace(bundle.located, name=name)), staged)
        settings = json.loads((tmp_path / "model/adapter_config.json").read_text(encoding="utf-8"))
        named[name] = settings["base_model_name_or_path"]
    assert all(name == found for name, found in named.items())
    card = (tmp_path / "model/README.md").read_text(encoding="utf-8")
    assert card.startswith("# Adapter for ")
    assert "Needed" not in card


@pytest.mark.parametrize("text", ["{", "{}", "[]"])
def test_a_broken_description_is_one_clear_error(text: str, tiny_folders: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "desktune.json").write_text(text, encoding="utf-8")
    with pytest.raises(RunError, match="desktune verify"):
        check_partner(tmp_path, open_tiny(tiny_folders["t5"]).located)


def test_another_base_is_refused(tiny_folders: dict[str, Path], tmp_path: Path) -> None:
    """Same shapes, other weights: only the hash tells."""
    tuned = save_run(tiny_folders["t5"], tmp_path, AdapterSection(r=4))
    other = open_tiny(tiny_folders["t5"])
    with torch.no_grad():
        other.model.shared.weight.add_(0.01)
    folder = tmp_path / "other"
    folder.mkdir()
    other.model.save_pretrained(folder)
    other.tokenizer.save_pretrained(folder)
    base = open_tiny(folder)
    with pytest.raises(ModelMismatch, match="was trained from"):
        merge(base, tuned, tmp_path / "x_merged", text_rows(base), lambda event: None)


def test_existing_folder_stays(tiny_folders: dict[str, Path], tmp_path: Path) -> None:
    tuned = save_run(tiny_folders["t5"], tmp_path, AdapterSection(r=4))
    base = open_tiny(tiny_folders["t5"])
    (tmp_path / "x_merged").mkdir()
    with pytest.raises(RunError, match="exists already"):
        merge(base, tuned, tmp_path / "x_merged", text_rows(base), lambda event: None)
    assert merge(base, tuned, tmp_path / "x_merged", text_rows(base), lambda event: None, replace=True).equal_texts == 5


def test_adapter_of_another_shape_is_refused(tiny_folders: dict[str, Path], tmp_path: Path) -> None:
    from desktune.models.adapters import attach

    tuned = save_run(tiny_folders["t5"], tmp_path, AdapterSection(r=4))
    with pytest.raises(AdapterError, match="does not have|another base"):
        attach(open_tiny(tiny_folders["marian"]), tuned)
