"""What the JSON files of a model may say: numbers and names of its own, nothing that leads to code or elsewhere.

A config can name code of a repository (``auto_map``), an attention kernel of the Hub, or a file elsewhere. Such keys
are taken out before transformers sees them, at any depth, and said; what makes no sense without them is refused.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from desktune.errors import ModelNotFound

CODE_KEYS = frozenset({
    "auto_map", "custom_pipelines", "custom_generate", "trust_remote_code", "code_revision",  # code of a repository
    "attn_implementation", "_attn_implementation", "_attn_implementation_internal", "_attn_implementation_autoset",
    "experts_implementation", "_experts_implementation", "_experts_implementation_internal",
    "use_kernels", "kernel_config",  # code of the Hub
    "transformers_weights", "gguf_file",  # another file in the place of the weights
    "use_timm_backbone", "use_pretrained_backbone", "backbone", "backbone_config", "backbone_kwargs",  # fetched weights
    "megatron_config", "auto_mapping",  # of adapters: modules to import
})  # fmt: skip
_HARMLESS = (None, False, "eager", "sdpa")  # what transformers itself writes under some of them
_MOST_JSON_BYTES = 1 << 26
_REVISION = re.compile(r"(?!\.)[\w.+@-]{1,100}", re.ASCII)
_SHARD = re.compile(r"[\w.-]+\.safetensors", re.ASCII)


def read_json(file: Path) -> dict[str, Any]:
    """Return a JSON object that came with a model.

    Raises:
        ModelNotFound: it is too large, no JSON, or no object.
    """
    try:
        if file.stat().st_size > _MOST_JSON_BYTES:
            raise ModelNotFound(f"{file}: larger than {_MOST_JSON_BYTES >> 20} MiB, which no such file is")
        value = json.loads(file.read_bytes().decode("utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelNotFound(
            f"{file}: is no JSON that can be read ({str(error)[:100]}); get the model's files again"
        ) from error
    if not isinstance(value, dict):
        raise ModelNotFound(f"{file}: holds {type(value).__name__}, an object is due; get the model's files again")
    return value


def sanitised(config: Mapping[str, Any], place: str = "", *, trusted: bool = False) -> tuple[dict[str, Any], list[str]]:
    """Return a config without the keys that lead to code, and the names of those that said something.

    Args:
        config: Of a model.
        place: What stands before a key's name in what is returned.
        trusted: Leave ``auto_map`` (``check_code`` has looked at it).
    """
    kept: dict[str, Any] = {}
    dropped: list[str] = []
    for key, value in config.items():
        if trusted and key == "auto_map" and not place:
            kept[key] = value
        elif key in CODE_KEYS:
            dropped += [place + key] if not isinstance(value, str | bool | None) or value not in _HARMLESS else []
        elif isinstance(value, Mapping):
            kept[key], inner = sanitised(value, f"{place}{key}.")
            dropped += inner
        elif isinstance(value, list):
            kept[key] = [sanitised(one)[0] if isinstance(one, Mapping) else one for one in value]
        else:
            kept[key] = value
    return kept, dropped


def check_model(folder: Path, config: Mapping[str, Any]) -> None:
    """Make sure that a folder of a base model is read as what it is.

    Raises:
        ModelNotFound: it is an adapter, is quantized by something that fetches kernels, has no type, or its index
            names files that are not its own.
    """
    if (folder / "adapter_config.json").is_file():
        raise ModelNotFound(
            f"{folder}: is an adapter, not a model; name the base it was trained from, or a run with desktune merge"
        )
    if not isinstance(config.get("model_type"), str):
        raise ModelNotFound(f"{folder / 'config.json'}: has no model_type, which says what the weights are")
    quantization = config.get("quantization_config")
    method = quantization.get("quant_method") if isinstance(quantization, Mapping) else None
    if quantization is not None and method != "bitsandbytes":
        raise ModelNotFound(f"{folder}: its weights are quantized ({method}); take the model they were made from")
    for index in sorted(folder.glob("*.safetensors.index.json")):
        _check_index(index)


def check_code(folder: Path) -> None:
    """Make sure that code which is trusted is the model's own. Raises ModelNotFound for that of another repository."""
    for file in sorted(folder.glob("*config.json")):
        said = json.dumps(read_json(file).get("auto_map"))
        if "--" in said:
            raise ModelNotFound(
                f"{file}: auto_map names code of another repository ({said[:100]}), which model.trust_remote_code does "
                "not cover; put its Python files beside the model and name them there"
            )


def check_revision(revision: str | None) -> None:
    """Raise ModelNotFound for a revision that is none: the hub's cache makes a file of that name."""
    if revision is not None and not all(_REVISION.fullmatch(part) for part in revision.split("/")):
        raise ModelNotFound(f"model.revision: {revision[:100]!r} is no branch, tag or commit")


def _check_index(index: Path) -> None:
    shards = read_json(index).get("weight_map")
    if not isinstance(shards, Mapping):
        raise ModelNotFound(f"{index}: has no weight_map; get the model's files again")
    for name in dict.fromkeys(map(str, shards.values())):
        if not _SHARD.fullmatch(name) or not (index.parent / name).is_file():
            raise ModelNotFound(
                f"{index}: names {name[:100]!r}; a shard is a *.safetensors file beside it: get the model's files again"
            )
