"""Python files that come with a model: refused by default, run and said where the config says so."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from transformers import dynamic_module_utils

from desktune.cli.main import run
from desktune.config.schema import ModelSection
from desktune.errors import ModelNotFound
from desktune.models.load import locate

CONFIGURATION = """
from transformers import LlamaConfig
class StrangeConfig(LlamaConfig):
    model_type = "strange"
"""
MODELING = """
from transformers import LlamaForCausalLM
from .configuration_strange import StrangeConfig
class StrangeForCausalLM(LlamaForCausalLM):
    config_class = StrangeConfig
"""
AUTO_MAP = {
    "AutoConfig": "configuration_strange.StrangeConfig",
    "AutoModelForCausalLM": "modeling_strange.StrangeForCausalLM",
}
Out = pytest.CaptureFixture[str]


@pytest.fixture
def strange(tiny_llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A model of a type that transformers does not know, with its own code; nothing of it stays imported."""
    monkeypatch.setattr(dynamic_module_utils, "HF_MODULES_CACHE", str(tmp_path / "modules"))
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "strange"
    shutil.copytree(tiny_llama, folder)
    said = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    said |= {"model_type": "strange", "architectures": ["StrangeForCausalLM"], "auto_map": AUTO_MAP}
    (folder / "config.json").write_text(json.dumps(said), encoding="utf-8")
    (folder / "configuration_strange.py").write_text(CONFIGURATION, encoding="utf-8")
    (folder / "modeling_strange.py").write_text(MODELING, encoding="utf-8")
    rows = "".join(f'{{"input": "the dog sees {number}", "output": "chat {number}"}}\n' for number in range(12))
    Path("rows.jsonl").write_text(rows, encoding="utf-8")
    Path("desktune.yaml").write_text("data: {train: rows.jsonl}\n", encoding="utf-8")
    yield folder
    for name in [name for name in sys.modules if name.startswith("transformers_modules")]:
        del sys.modules[name]


def words(folder: Path, *more: str) -> list[str]:
    return [
        "desktune.yaml", f"model.name={folder}", "output.dir=one", "training.max_steps=2", "training.eval_steps=2",
        "evaluation.smoke_test=false", "evaluation.max_new_tokens=4", "evaluation.bootstrap_samples=0", *more,
    ]  # fmt: skip


TRUST = "model.trust_remote_code=true"


def test_by_default_it_is_refused_with_the_key_that_allows_it(strange: Path, capsys: Out) -> None:
    (strange / "modeling_strange.py").write_text("raise SystemExit(9)\n", encoding="utf-8")
    assert run(["train", *words(strange)]) == 2
    assert "model.trust_remote_code: true" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("adapter", ["lora", "none"])
def test_the_whole_way_with_trusted_code(strange: Path, adapter: str, capsys: Out) -> None:
    assert run(["train", *words(strange, TRUST, f"adapter.type={adapter}")]) == 0
    captured = capsys.readouterr()
    said = " ".join((captured.out + captured.err).split())
    assert "configuration_strange.py, modeling_strange.py of" in said
    assert "with all your rights" in said
    assert run(["evaluate", "one"]) == 0
    assert run(["merge", "one"]) == 0
    assert run(["generate", "one", "the dog"]) == 0
    (strange / "modeling_strange.py").write_text(MODELING + "\nx = 1\n", encoding="utf-8")
    assert run(["evaluate", "one"]) == 2
    assert "base weights" in capsys.readouterr().err


def test_other_code_is_another_model_and_code_elsewhere_is_not_covered(strange: Path) -> None:
    trusting = ModelSection(name=str(strange), trust_remote_code=True)
    before = locate(trusting).weights_hash
    (strange / "modeling_strange.py").write_text(MODELING + "\n", encoding="utf-8")
    assert locate(trusting).weights_hash != before
    (strange / "tokenizer_config.json").write_text('{"auto_map": {"AutoTokenizer": ["a/b--c.T", null]}}')
    with pytest.raises(ModelNotFound, match="code of another repository"):
        locate(trusting)
