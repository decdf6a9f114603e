"""Finding and loading models: starters, folders, .bin weights, and what is refused."""

from __future__ import annotations

import fnmatch
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.bundles import FAMILIES, open_tiny

from desktune.config.schema import AdapterSection, Config, ModelSection
from desktune.errors import AdapterError, ModelNotFound
from desktune.events import Decision, Event, Note
from desktune.families import lookup
from desktune.models.adapters import linear_names, make_trainable
from desktune.models.load import Placement, load_base, load_tokenizer, locate
from desktune.plan import resolve

CPU = Placement(torch.device("cpu"), torch.float32)
TARGETS = {
    "t5": ["k", "o", "q", "v", "wi", "wo"],
    "marian": ["fc1", "fc2", "k_proj", "out_proj", "q_proj", "v_proj"],
    "llama": ["down_proj", "gate_proj", "k_proj", "o_proj", "q_proj", "up_proj", "v_proj"],
}


@pytest.mark.parametrize("family", FAMILIES)
def test_pickled_weights_are_converted_once_and_load_equal(
    family: str, tiny_folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder with only pytorch_model.bin, as many OPUS-MT repositories are."""
    monkeypatch.setenv("DESKTUNE_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "old"
    shutil.copytree(tiny_folders[family], folder)
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    (tmp_path / "zipfile.py").write_text("raise SystemExit(0)\n", encoding="utf-8")  # what a stranger left there
    monkeypatch.chdir(tmp_path)
    located = locate(ModelSection(name=str(folder)))
    said: list[Event] = []
    resolve(Config(model=ModelSection(name=str(folder))), said.append)
    assert any(isinstance(one, Note) and f"{folder} has pickled weights (.bin) only" in one.text for one in said)
    assert located.folder.is_relative_to(tmp_path / "cache")
    bundle = load_base(located, load_tokenizer(located), located.family.task, CPU)
    for mine, other in zip(bundle.model.parameters(), open_tiny(tiny_folders[family]).model.parameters(), strict=True):
        assert torch.equal(mine, other)
    assert locate(ModelSection(name=str(folder))) == located


@pytest.mark.parametrize("weights", ["model.safetensors", "pytorch_model.bin"])
def test_a_hub_model_is_fetched_without_what_is_not_needed(
    weights: str, tiny_folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only a repository without safetensors is asked for its pickles; nothing else is ever fetched."""
    monkeypatch.setenv("DESKTUNE_CACHE", str(tmp_path / "cache"))
    hub, here = tmp_path / "hub", tmp_path / "here"
    shutil.copytree(tiny_folders["t5"], hub)
    here.mkdir()
    torch.save(load_file(hub / "model.safetensors"), hub / "pytorch_model.bin")
    (hub / "tf_model.h5").touch()
    if weights == "pytorch_model.bin":
        (hub / "model.safetensors").unlink()

    def snapshot(name: str, revision: str | None, allow_patterns: list[str]) -> str:
        for file in hub.iterdir():
            if any(fnmatch.fnmatch(file.name, pattern) for pattern in allow_patterns):
                shutil.copy(file, here / file.name)
        return str(here)

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot)
    located = locate(ModelSection(name="somebody/tiny"))
    assert located.weights_hash == locate(ModelSection(name=str(located.folder))).weights_hash
    fetched = {path.name for path in here.iterdir()} & {"model.safetensors", "pytorch_model.bin", "tf_model.h5"}
    assert fetched == {weights}


def test_a_pickle_with_code_is_refused(
    tiny_folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DESKTUNE_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "bad"
    shutil.copytree(tiny_folders["t5"], folder)
    (folder / "model.safetensors").unlink()
    canary = tmp_path / "canary"
    torch.save(Canary(canary), folder / "pytorch_model.bin")
    with pytest.raises(ModelNotFound, match="refused"):
        locate(ModelSection(name=str(folder)))
    assert not canary.exists()


class Canary:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return (Path.touch, (self.path,))


def test_missing_weights_are_refused(tiny_folders: dict[str, Path], tmp_path: Path) -> None:
    """transformers would fill them with random numbers and go on."""
    folder = tmp_path / "holes"
    shutil.copytree(tiny_folders["llama"], folder)
    weights = load_file(folder / "model.safetensors")
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    located = locate(ModelSection(name=str(folder)))
    with pytest.raises(ModelNotFound, match=r"missing.*up_proj"):
        load_base(located, load_tokenizer(located), "causal", CPU)


def test_dtype_is_ours_not_the_checkpoints(tiny_folders: dict[str, Path], tmp_path: Path) -> None:
    folder = tmp_path / "half"
    shutil.copytree(tiny_folders["llama"], folder)
    halved = {name: tensor.half() for name, tensor in load_file(folder / "model.safetensors").items()}
    save_file(halved, folder / "model.safetensors", metadata={"format": "pt"})
    located = locate(ModelSection(name=str(folder)))
    bundle = load_base(located, load_tokenizer(located), "causal", CPU)
    assert {parameter.dtype for parameter in bundle.model.parameters()} == {torch.float32}


def test_padding_token_is_not_eos_where_there_is_another(tiny_folders: dict[str, Path]) -> None:
    bundle = open_tiny(tiny_folders["llama"])
    assert bundle.tokenizer.pad_token_id not in (None, bundle.tokenizer.eos_token_id)
    assert len(bundle.tokenizer) == bundle.model.get_input_embeddings().num_embeddings


@pytest.mark.parametrize("family", FAMILIES)
def test_all_linear_and_attention(family: str, tiny_folders: dict[str, Path]) -> None:
    assert linear_names(open_tiny(tiny_folders[family]).model) == TARGETS[family]
    events: list[Event] = []
    attention = AdapterSection(r=2, target_modules="attention")
    bundle = make_trainable(open_tiny(tiny_folders[family]), attention, 1, events.append)
    adapted = {
        name.split(".lora_A")[0].rpartition(".")[2] for name, _ in bundle.model.named_modules() if ".lora_A." in name
    }
    assert adapted == set(bundle.family.attention)
    said = events[0]
    assert isinstance(said, Decision)
    trained = sum(parameter.numel() for parameter in bundle.model.parameters() if parameter.requires_grad)
    assert f"{trained:,} of" in said.reason
    assert bundle.model.active_peft_config.task_type == bundle.family.peft_task_type


def test_targets_that_match_nothing(tiny_folders: dict[str, Path]) -> None:
    with pytest.raises(AdapterError, match=r"q_porj.*did you mean 'q_proj'"):
        make_trainable(
            open_tiny(tiny_folders["marian"]), AdapterSection(target_modules=["q_porj"]), 1, lambda event: None
        )


def test_a_family_outside_the_table_is_inferred_aloud() -> None:
    found = lookup({"model_type": "newformer", "is_encoder_decoder": True})
    assert (found.encoder_decoder, found.auto_class, found.task) == (True, "AutoModelForSeq2SeqLM", "seq2seq")
    assert "newformer" in found.inferred
    assert not lookup({"model_type": "t5"}).inferred


@pytest.mark.parametrize("name", ["starter:t6", "./nowhere", "somebody/nowhere"])
def test_names_that_lead_nowhere(name: str) -> None:
    with pytest.raises(ModelNotFound, match="starter:t5|no such folder"):
        locate(ModelSection(name=name))
