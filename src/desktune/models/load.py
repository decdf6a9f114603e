"""A model's name → its folder, its facts, its tokenizer, its weights on a device.

Everything is loaded from a local folder: a starter, the user's folder, or a snapshot of a hub repository. No code that
comes with a model is run, no pickle is opened, and the precision is always passed (transformers would otherwise take
that of the checkpoint and train OPT in pure fp16).
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import torch
import transformers
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from desktune import durable, starters
from desktune.config.schema import ModelSection
from desktune.errors import MissingExtra, ModelNotFound, nearest
from desktune.families import Family, lookup
from desktune.languages import Languages
from desktune.models.convert import converted
from desktune.models.vocabulary import fit_vocabulary
from desktune.rows import Task

_PATTERNS = ["*.json", "*.safetensors", "*.model", "*.spm", "*.txt", "*.jinja"]
_PICKLES = ["pytorch_model*.bin"]  # asked for only where there are no safetensors


@dataclass(frozen=True)
class Located:
    """A model that was found: ``name`` as the config says it, ``folder`` where its files lie."""

    name: str
    folder: Path
    family: Family
    config: Mapping[str, Any]  # its config.json
    weights_hash: str  # sha256 over its weight files


@dataclass(frozen=True)
class Placement:
    """Where and in what precision a model runs."""

    device: torch.device
    dtype: torch.dtype
    attn_implementation: str = "auto"
    device_map: str | None = None  # how transformers spreads it; ``device`` is then where its inputs go


@dataclass(frozen=True)
class Bundle:
    """A model with what belongs to it. ``model`` is a base, a base with adapter (peft), or a tuned full model."""

    model: Any  # PreTrainedModel or peft.PeftModel
    tokenizer: PreTrainedTokenizerBase
    located: Located
    task: Task
    placement: Placement
    languages: Languages | None = None  # of a model that is told languages

    @property
    def family(self) -> Family:
        """The family's row."""
        return self.located.family

    @property
    def device(self) -> torch.device:
        """Where the weights lie."""
        return self.placement.device


def locate(section: ModelSection) -> Located:
    """Find a model: starter, folder or hub id.

    Raises:
        ModelNotFound: nothing is there, or the folder lacks config.json or safetensors weights.
    """
    folder = _folder_of(section)
    config_file = folder / "config.json"
    if not config_file.is_file():
        raise ModelNotFound(
            f"model.name: {section.name}: {folder} has no config.json; name a folder that a model was saved to"
        )
    if not list(folder.glob("*.safetensors")) and list(folder.glob("pytorch_model*.bin")):
        folder = converted(folder)
    config = json.loads(config_file.read_text(encoding="utf-8"))
    return Located(section.name, folder, lookup(config), config, weights_hash(folder))


def weights_hash(folder: Path) -> str:
    """Return the sha256 over names and contents of a folder's weight files.

    Raises:
        ModelNotFound: there are no safetensors.
    """
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise ModelNotFound(f"{folder}: no *.safetensors weights; name a folder that a model was saved to")
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file.name}:{durable.sha256(file)}\n".encode())
    return digest.hexdigest()


def load_tokenizer(located: Located) -> PreTrainedTokenizerBase:
    """Load a model's tokenizer and give it a padding token that is not its EOS, where it has none.

    The padding token is an existing token (unknown, else EOS): no embedding is added, and since the loss never counts
    padding the model does not learn to pad.
    """
    options = {} if not (located.folder / "tokenizer.model").is_file() else _llama_options(located.folder)
    tokenizer = transformers.AutoTokenizer.from_pretrained(located.folder, trust_remote_code=False, **options)
    _know_languages(tokenizer)
    if tokenizer.eos_token is None and tokenizer.sep_token is not None:  # BERT ends a text with [SEP]
        tokenizer.eos_token, tokenizer.bos_token = tokenizer.sep_token, tokenizer.cls_token
    if tokenizer.pad_token is None:
        tokenizer.pad_token = (
            tokenizer.unk_token if tokenizer.unk_token not in (None, tokenizer.eos_token) else tokenizer.eos_token
        )
    return tokenizer


def load_base(located: Located, tokenizer: PreTrainedTokenizerBase, task: Task, placement: Placement) -> Bundle:
    """Load a model's own weights.

    Raises:
        ModelNotFound: weights are missing or of other shapes than its config says.
        MissingExtra: a device map is wanted, which needs accelerate.
    """
    auto_class = getattr(transformers, located.family.auto_class)
    attention = (
        {} if placement.attn_implementation == "auto" else {"attn_implementation": placement.attn_implementation}
    )
    model, info = auto_class.from_pretrained(
        located.folder,
        dtype=placement.dtype,
        trust_remote_code=False,
        use_safetensors=True,
        output_loading_info=True,
        **attention,
        **_device_map(placement),
    )
    broken = sorted({*info["missing_keys"], *(str(key) for key in info["mismatched_keys"])})
    if broken:
        raise ModelNotFound(
            f"{located.name}: {len(broken)} weights are missing or of another shape: {', '.join(broken[:5])}"
        )
    fit_vocabulary(model, tokenizer)
    _know_tokens(model, tokenizer, located.family)
    languages = Languages.of(tokenizer, located.family)
    if placement.device_map is None:
        model.to(placement.device)
    else:
        placement = replace(placement, device=model.device)
    return Bundle(model.eval(), tokenizer, located, task, placement, languages)


def write_language(model: Any, languages: Languages | None, target: str | None) -> None:
    """Put a target language into a model's generation config, where plain transformers finds it too."""
    if languages is not None and target is not None:
        model.generation_config.update(**languages.settings(target))


def _folder_of(section: ModelSection) -> Path:
    name = section.name
    if name.startswith("starter:"):
        return starters.folder(name)
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder
    if name.startswith((".", "/", "~")) or name.count("/") > 1:
        neighbours = [path.name for path in folder.parent.iterdir()] if folder.parent.is_dir() else []
        raise ModelNotFound(f"model.name: {name}: no such folder{nearest(folder.name, neighbours)}")
    return _snapshot(section)


def _snapshot(section: ModelSection) -> Path:
    import huggingface_hub
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    def fetch(patterns: list[str]) -> Path:
        return Path(huggingface_hub.snapshot_download(section.name, revision=section.revision, allow_patterns=patterns))

    try:
        folder = fetch(_PATTERNS)
        return folder if list(folder.glob("*.safetensors")) else fetch([*_PATTERNS, *_PICKLES])
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        known = list(starters.STARTERS)
        raise ModelNotFound(
            f"model.name: {section.name}: no such folder, and the hub did not give it ({type(error).__name__})"
            f"{nearest(section.name, known)}; check the name and the network, or take one of {', '.join(known)}"
        ) from error


def _device_map(placement: Placement) -> dict[str, Any]:
    if placement.device_map is None:
        return {}
    if importlib.util.find_spec("accelerate") is None:
        raise MissingExtra("accelerate", "hf", "model.device_map")
    return {"device_map": placement.device_map}


def _llama_options(folder: Path) -> dict[str, Any]:
    """LlamaTokenizer from a bare tokenizer.model adds no BOS although its documentation says so."""
    return {} if (folder / "tokenizer.json").is_file() else {"add_bos_token": True}


def _know_languages(tokenizer: PreTrainedTokenizerBase) -> None:
    """Make M2M100's language tokens special: built from its bare files they are plain text, cut into letters."""
    if isinstance(tokenizer, transformers.M2M100Tokenizer):
        known, extra = set(tokenizer.all_special_tokens), cast("list[str]", tokenizer.extra_special_tokens)
        missing = [token for token in tokenizer.lang_token_to_id if token not in known]
        if missing:
            tokenizer.add_special_tokens({"extra_special_tokens": [*extra, *missing]})
        if tokenizer.tgt_lang is None:  # text_target would fail on it; NLLB's and mBART's fall back by themselves
            tokenizer.tgt_lang = tokenizer.src_lang


def _know_tokens(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, family: Family) -> None:
    """Tell generation what pads, ends and starts, where the checkpoint does not; its config stays as it was saved."""
    config = model.generation_config
    if config is None:
        return
    known: dict[str, Any] = {"pad_token_id": tokenizer.pad_token_id, "eos_token_id": tokenizer.eos_token_id}
    if family.decoder_start == "bos":
        known["decoder_start_token_id"] = tokenizer.bos_token_id
    present = config.to_dict()
    config.update(**{name: value for name, value in known.items() if present.get(name) is None})
