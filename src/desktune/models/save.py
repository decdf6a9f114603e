"""A model with all that belongs to it → a folder, and the check that two folders belong together."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import peft
from transformers import PreTrainedTokenizerBase

from desktune import durable
from desktune.errors import ModelMismatch, RunError
from desktune.models.load import Bundle, Located

DESCRIPTION = "desktune.json"


def save_model(bundle: Bundle, folder: Path) -> None:
    """Write an adapter (peft's layout) or a full model into a staging folder, with tokenizer and description."""
    if isinstance(bundle.model, peft.PeftModel):
        # without the option peft writes whole embeddings for a few new rows
        bundle.model.save_pretrained(str(folder), save_embedding_layers=False)
        bundle.model.generation_config.save_pretrained(folder)  # the forced language token; peft leaves it out
        _own_words(bundle.located, folder)
    else:
        bundle.model.save_pretrained(folder)
    save_tokenizer(bundle.tokenizer, bundle.located, folder)
    description = {
        "base": bundle.located.name,
        "base_weights": bundle.located.weights_hash,
        "family": bundle.family.name,
        "task": bundle.task,
        "tokenizer": type(bundle.tokenizer).__name__,
        "tokenizer_hash": bundle.tokenizer_hash,
    }
    durable.write_json(folder / DESCRIPTION, description)


def save_tokenizer(tokenizer: PreTrainedTokenizerBase, located: Located, folder: Path) -> None:
    """Write a tokenizer, and the original files that transformers leaves out (spiece.model, tokenizer.model ...)."""
    tokenizer.save_pretrained(folder)
    for name in located.family.tokenizer_files:
        original = located.folder / name
        if original.is_file() and not (folder / name).is_file():
            durable.copy_file(original, folder / name)


def check_partner(folder: Path, located: Located, tokenizer_hash: str = "") -> None:
    """Make sure that tuned weights were trained from this base, with this tokenizer.

    Raises:
        ModelMismatch: they were trained from or with another one.
        RunError: the folder does not say from which.
    """
    try:
        known: dict[str, Any] = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
        trained_from, weights = str(known["base"]), str(known["base_weights"])
    except FileNotFoundError as error:
        raise RunError(f"{folder}: no {DESCRIPTION}; it was not written by desktune") from error
    except (ValueError, KeyError, TypeError) as error:
        raise RunError(
            f"{folder / DESCRIPTION}: does not say which base it was trained from ({error!r}); it was changed after "
            "desktune wrote it: desktune verify names every such file"
        ) from error
    if weights != located.weights_hash:
        raise ModelMismatch(
            f"{folder}: was trained from {trained_from} with weights {weights[:12]}, "
            f"{located.name} has {located.weights_hash[:12]}; "
            "name the base it was trained from (model.name, model.revision)"
        )
    with_hash = known.get("tokenizer_hash")
    if with_hash and tokenizer_hash and with_hash != tokenizer_hash:
        raise ModelMismatch(
            f"{folder}: was trained with a tokenizer {str(with_hash)[:12]}, that of {located.name} is now "
            f"{tokenizer_hash[:12]}; put the base's tokenizer files back, or train anew"
        )


def _own_words(located: Located, folder: Path) -> None:
    """Name a hub base by its id, not by the cache folder of this machine, and replace peft's card, an unfilled form."""
    card = f"# Adapter for {located.name}\n\nTrained by desktune. Weights of the base: sha256 {located.weights_hash}.\n"
    durable.write_text(folder / "README.md", card)
    if located.name.startswith("starter:") or Path(located.name).expanduser().is_dir():
        return
    settings: dict[str, Any] = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
    durable.write_json(folder / "adapter_config.json", {**settings, "base_model_name_or_path": located.name})
