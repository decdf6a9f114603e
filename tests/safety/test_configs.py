"""S2: nothing that a model's JSON files say imports code of a repository or opens a socket."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from desktune import durable
from desktune.config.schema import AdapterSection, ModelSection
from desktune.errors import AdapterError, DesktuneError, ModelNotFound
from desktune.models.adapters import attach
from desktune.models.load import locate
from desktune.models.save import save_model
from desktune.models.untrusted import sanitised
from tests.bundles import open_tiny

REMOTE = {
    "AutoConfig": "evil.Config",
    "AutoModelForSeq2SeqLM": "evil.Model",
    "AutoTokenizer": ["evil.Tok", "evil.Fast"],
}
ELSEWHERE = {name: f"somebody/evil--{value}" for name, value in REMOTE.items() if isinstance(value, str)}
KERNELS = [
    "somebody/kernel",
    "kernels-community/flash-attn",
    "somebody/kernel@main:attend",
    "flash_attention_2",
    "paged|x/y",
]
CONFIGS: dict[str, dict[str, Any]] = {
    "auto_map": {"auto_map": REMOTE},
    "auto_map elsewhere": {"auto_map": ELSEWHERE},
    "auto_map of a list": {"auto_map": ["evil.Tok", None]},
    "auto_map of a text": {"auto_map": "evil.Config"},
    "auto_map of a number": {"auto_map": 7},
    "auto_map and an unknown type": {"auto_map": REMOTE, "model_type": "evil"},
    "auto_map and no type": {"auto_map": REMOTE, "model_type": None},
    "unknown type": {"model_type": "evil"},
    "type with a path": {"model_type": "../evil"},
    "type of a module": {"model_type": "os"},
    "type as a list": {"model_type": ["t5"]},
    "architectures": {"architectures": ["EvilForSeq2SeqLM"], "auto_map": REMOTE},
    "architectures of nothing": {"architectures": 7},
    "custom_pipelines": {"custom_pipelines": {"text2text": {"impl": "evil.Pipe", "pt": ["AutoModel"]}}},
    "custom_generate": {"custom_generate": "somebody/evil"},
    "trust": {"trust_remote_code": True, "auto_map": REMOTE},
    "code revision": {"code_revision": "main", "auto_map": ELSEWHERE},
    "other weights": {"transformers_weights": "../evil.bin"},
    "gguf": {"gguf_file": "evil.gguf"},
    "name": {"_name_or_path": "somebody/evil", "_commit_hash": "0" * 40},
    "kernels": {"use_kernels": True, "kernel_config": {"kernel_mapping": {"RMSNorm": "somebody/kernel:Norm"}}},
    "quantized mxfp4": {"quantization_config": {"quant_method": "mxfp4"}},
    "quantized gptq": {"quantization_config": {"quant_method": "gptq", "bits": 4}},
    "quantized strange": {"quantization_config": {"quant_method": "somebody/evil"}},
    "quantized list": {"quantization_config": ["mxfp4"]},
    "timm": {"use_timm_backbone": True, "backbone": "resnet50", "use_pretrained_backbone": True},
    "backbone": {"backbone": "somebody/evil", "use_pretrained_backbone": True},
    "tokenizer class": {"tokenizer_class": "EvilTokenizer"},
    "tokenizer class of a module": {"tokenizer_class": "os.system"},
    "dtype of a module": {"torch_dtype": "os.system"},
    "dtype evil": {"dtype": "__import__('os')"},
    "compile": {"compile_config": {"backend": "evil"}},
    "negative": {"d_model": -1},
    "huge": {"vocab_size": 10**15},
    "layers": {"num_layers": 64},
    "text for number": {"d_model": "__import__('os').system('touch evil')"},
    "dunder": {"__class__": "evil", "__init__": "evil", "__reduce__": ["os.system", "ls"]},
    "method": {"save_pretrained": 7, "to_dict": "x", "from_dict": None},
    "labels": {"id2label": {"__class__": "evil"}, "label2id": 7},
    "sampling": {"task_specific_params": {"auto_map": REMOTE}},
    "nested": {"text_config": {"model_type": "evil", "auto_map": REMOTE}},
    "nested twice": {"encoder": {"decoder": {"auto_map": REMOTE, "attn_implementation": "somebody/kernel"}}},
    "nested list": {"layers": [{"auto_map": REMOTE}, {"_attn_implementation": "somebody/kernel"}]},
    "deep": {"text_config": json.loads('{"a":' * 90 + "1" + "}" * 90)},
    "other family": {"model_type": "encoder-decoder", "encoder": {"model_type": "evil", "auto_map": REMOTE}},
    **{
        f"{key} {value}": {key: value}
        for key in ("attn_implementation", "_attn_implementation", "_attn_implementation_internal")
        for value in KERNELS
    },
    "attention per part": {"attn_implementation": {"encoder": "somebody/kernel", "": "somebody/kernel"}},
    "experts": {"experts_implementation": "somebody/kernel"},
}  # fmt: skip
TOKENIZERS: dict[str, dict[str, Any]] = {
    "auto_map": {"auto_map": {"AutoTokenizer": ["evil.Tok", "evil.Fast"]}},
    "auto_map list": {"auto_map": ["evil.Tok", "evil.Fast"]},
    "auto_map elsewhere": {"auto_map": {"AutoTokenizer": ["somebody/evil--evil.Tok", None]}},
    "auto_map text": {"auto_map": "evil.Tok"},
    "auto_map and an unknown class": {"auto_map": {"AutoTokenizer": ["evil.Tok", None]}, "tokenizer_class": "EvilTok"},
    "class of a module": {"tokenizer_class": "os.system"},
    "processor": {"processor_class": "EvilProcessor", "auto_map": {"AutoProcessor": "evil.Processor"}},
    "files": {"tokenizer_file": "/etc/passwd", "vocab_file": "/etc/passwd", "name_or_path": "somebody/evil"},
    "added": {"added_tokens_decoder": {"0": {"content": "x", "__class__": "evil"}}},
    "backend": {"backend": "evil", "fix_mistral_regex": True},
}
_OPENED: list[list[str]] = []


def _hook(event: str, arguments: tuple) -> None:
    if _OPENED and event in ("socket.connect", "socket.getaddrinfo", "socket.sendto", "subprocess.Popen", "os.system"):
        _OPENED[-1].append(f"{event} {arguments}")


@pytest.fixture(scope="session")
def audit() -> None:
    sys.addaudithook(_hook)


@pytest.fixture
def guarded(audit: None, tiny_t5: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A model with code beside it; afterwards nothing was imported, no socket opened, although the hub is allowed."""
    import huggingface_hub.constants
    import transformers.utils.hub

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.delenv("HF_HUB_OFFLINE")
    assert transformers.utils.hub is not None
    folder = tmp_path / "model"
    shutil.copytree(tiny_t5, folder)
    code = f"import os\nos.mkdir({str(tmp_path / 'canary')!r})\nclass Config: pass\nModel = Tok = Fast = Config\n"
    for name in ("evil.py", "modeling_t5.py", "tokenization_t5.py", "custom_generate/generate.py"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(code, encoding="utf-8")
    monkeypatch.chdir(folder)
    opened: list[str] = []
    _OPENED.append(opened)
    yield folder
    _OPENED.remove(opened)
    assert opened == []
    assert not (tmp_path / "canary").exists()
    assert "evil" not in sys.modules
    assert not any(name.startswith("transformers_modules") for name in sys.modules)


def change(file: Path, keys: dict[str, Any]) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text(encoding="utf-8")), **keys}), encoding="utf-8")


def opened(folder: Path) -> str:
    """Open a model; returns what was left out of its config, or the name of the typed error."""
    try:
        return ", ".join(open_tiny(folder).located.dropped)
    except DesktuneError as error:
        return type(error).__name__


@pytest.mark.parametrize("name", CONFIGS)
def test_config_json(name: str, guarded: Path) -> None:
    change(guarded / "config.json", CONFIGS[name])
    result = opened(guarded)
    if name.startswith(
        ("auto_map of", "kernels", "nested t", "attn", "_attn", "attention", "timm", "custom", "other w")
    ):
        assert result
    written = sanitised(CONFIGS[name])[0]
    assert "evil." not in json.dumps({key: written[key] for key in written if key == "auto_map"})


@pytest.mark.parametrize("name", TOKENIZERS)
def test_tokenizer_config_json(name: str, guarded: Path, tmp_path: Path) -> None:
    change(guarded / "tokenizer_config.json", TOKENIZERS[name])
    if opened(guarded) == "":
        open_tiny(guarded).tokenizer.save_pretrained(tmp_path / "saved")
        assert "auto_map" not in json.loads((tmp_path / "saved/tokenizer_config.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("text", ["", "[]", "7", "{", "null", "[" * 5_000, '{"model_type": "t5"', "\xff\xfe{}"])
def test_a_config_that_is_none(text: str, guarded: Path) -> None:
    (guarded / "config.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(ModelNotFound, match="get the model's files again"):
        locate(ModelSection(name=str(guarded)))


def test_what_was_left_out_is_said_and_not_saved(guarded: Path, tmp_path: Path) -> None:
    change(guarded / "config.json", {"auto_map": REMOTE, "attn_implementation": "somebody/kernel"})
    bundle = open_tiny(guarded)
    assert bundle.located.dropped == ("auto_map", "attn_implementation")
    bundle.model.save_pretrained(tmp_path / "saved")
    saved = json.loads((tmp_path / "saved/config.json").read_text(encoding="utf-8"))
    assert "auto_map" not in saved
    assert "somebody" not in json.dumps(saved)
    assert bundle.model.config._attn_implementation in ("eager", "sdpa")


def test_an_adapter_in_the_place_of_a_base(guarded: Path) -> None:
    """transformers would load the base that the adapter names, from the hub."""
    (guarded / "adapter_config.json").write_text(
        json.dumps({"base_model_name_or_path": "somebody/evil", "peft_type": "LORA"}), encoding="utf-8"
    )
    with pytest.raises(ModelNotFound, match="is an adapter"):
        locate(ModelSection(name=str(guarded)))


@pytest.mark.parametrize(
    "keys",
    [
        {"megatron_config": {"a": 1}, "megatron_core": "evil"},
        {"auto_mapping": {"base_model_class": "Config", "parent_library": "evil"}},
        {"peft_type": "EVIL"},
        {"peft_type": 7},
        {"peft_type": "XLORA", "adapters": {"0": "somebody/evil"}},
        {"task_type": "evil"},
        {"layer_replication": [[0, 10**9]]},
        {"base_model_name_or_path": "somebody/evil"},
        {"r": "__import__('os')"},
    ],
    ids=str,
)
def test_adapter_config_json(keys: dict[str, Any], guarded: Path, tmp_path: Path) -> None:
    bundle = open_tiny(guarded, AdapterSection(r=2))
    with durable.staging(tmp_path / "adapter") as staged:
        save_model(bundle, staged)
    change(tmp_path / "adapter/adapter_config.json", keys)
    plain = open_tiny(guarded)
    if "base_model_name_or_path" in keys:  # the base is given; nothing is fetched
        attach(plain, tmp_path / "adapter")
    else:
        with pytest.raises(AdapterError):
            attach(plain, tmp_path / "adapter")
