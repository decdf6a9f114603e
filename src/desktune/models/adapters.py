"""What is trained: a low-rank adapter around a frozen base (peft), or all weights.

Adapter weights are float32 whatever the base's precision. Modules are chosen by name: ``all-linear`` (every linear
layer but the head), ``attention`` (the family's own names), or a list. Names that match nothing are an error, since
peft's defaults differ by family and some have none.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import peft
import torch
from safetensors import SafetensorError, safe_open
from torch import nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from desktune.config.schema import AdapterSection
from desktune.errors import AdapterError, RunError, nearest
from desktune.events import Decision, Emit, Warn
from desktune.families import Family
from desktune.models.load import Bundle
from desktune.models.untrusted import read_json, sanitised
from desktune.models.vocabulary import embedding_name, head_name, keeps_spaces, new_ids

ADAPTER_WEIGHTS = "adapter_model.safetensors"


def make_trainable(bundle: Bundle, section: AdapterSection, seed: int, emit: Emit) -> Bundle:
    """Put the adapter on a base model, or unfreeze all weights, and say how many parameters are trained.

    Raises:
        AdapterError: target modules match no linear layer of the model.
    """
    _keep_all_layers(bundle.model, emit)
    _say_new_tokens(bundle, section, emit)
    if section.type == "none":
        model = bundle.model
        model.requires_grad_(True)
        _freeze_sinusoids(model)
    else:
        torch.manual_seed(seed)
        model = peft.get_peft_model(bundle.model, _lora_config(bundle, section))
    trained = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    total = sum(parameter.numel() for parameter in model.parameters())
    kind = "all weights" if section.type == "none" else f"{section.type} r={section.r} on {_targets_text(model)}"
    emit(Decision("adapter", kind, f"{trained:,} of {total:,} parameters are trained ({trained / total:.2%})"))
    return replace(bundle, model=model)


def attach(bundle: Bundle, folder: Path) -> Bundle:
    """Give a base model the tuned weights of a run's ``model/``: its adapter, or all of its weights.

    Raises:
        RunError: the folder holds neither.
        AdapterError: the adapter does not fit this base.
    """
    if not (folder / "adapter_config.json").is_file():
        raise RunError(f"{folder}: no adapter_config.json; a run with all weights is loaded as a model of its own")
    settings = read_json(folder / "adapter_config.json")
    leading = sanitised(settings)[1]
    if leading:
        raise AdapterError(f"{folder}: adapter_config.json has {', '.join(leading)}, which leads to code; remove it")
    if settings.get("peft_type") != "LORA":  # others lead peft to further adapters, and to pickles
        raise AdapterError(f"{folder}: an adapter of type {str(settings.get('peft_type'))[:40]!r}; allowed: LORA")
    try:
        _check_fits(bundle, folder, settings)
        return replace(bundle, model=peft.PeftModel.from_pretrained(bundle.model, folder).eval())
    except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
        raise AdapterError(f"{folder}: the adapter cannot be read: {str(error)[:200]}; desktune verify it") from error


def is_adapter(folder: Path) -> bool:
    """Return whether a model folder holds an adapter (else all weights)."""
    return (folder / "adapter_config.json").is_file()


def linear_names(model: nn.Module) -> list[str]:
    """Return the distinct last names of a model's linear layers, without the head's."""
    head = model.get_output_embeddings() if isinstance(model, PreTrainedModel) else None
    heads = set(head.modules()) if head is not None else set()  # T5Gemma's is a module around the linear layer
    return sorted({name.rpartition(".")[2] for name, module in _linears(model) if module not in heads})


def _lora_config(bundle: Bundle, section: AdapterSection) -> peft.LoraConfig:
    return peft.LoraConfig(
        task_type=bundle.family.peft_task_type,
        r=section.r,
        lora_alpha=section.lora_alpha,  # pyright: ignore[reportArgumentType] - a float works and means the same
        lora_dropout=section.lora_dropout,
        target_modules=_target_modules(bundle.model, bundle.family, section),
        trainable_token_indices=_new_rows(bundle, section),
        use_dora=section.type == "dora",
        use_rslora=section.type == "rslora",
        fan_in_fan_out=any(isinstance(module, Conv1D) for module in bundle.model.modules()),
        bias="none",
    )


def _new_rows(bundle: Bundle, section: AdapterSection) -> dict[str, list[int]] | None:
    """Return which rows of which modules are trained as they are: those of new tokens, in a head of its own too."""
    if not section.new_tokens:
        return None
    ids = new_ids(bundle.tokenizer, section.new_tokens)
    return {name: ids for name in (embedding_name(bundle.model), head_name(bundle.model)) if name is not None}


def _say_new_tokens(bundle: Bundle, section: AdapterSection, emit: Emit) -> None:
    if not section.new_tokens:
        return
    emit(Decision("adapter.new_tokens", str(len(section.new_tokens)), "tokens of their own, trained from the mean"))
    glued = [text for text in section.new_tokens if not keeps_spaces(bundle.tokenizer, text)]
    if glued:
        emit(Warn(f"adapter.new_tokens: this tokenizer writes {glued[0]!r} without the space beside it in answers"))


def _target_modules(model: nn.Module, family: Family, section: AdapterSection) -> list[str]:
    """Return the layer names to adapt, checked against the model."""
    known = linear_names(model)
    if section.target_modules == "all-linear":
        return known
    wanted = list(family.attention) if section.target_modules == "attention" else section.target_modules
    everywhere = [name for name, _ in _linears(model)]
    missing = [name for name in wanted if not any(full == name or full.endswith("." + name) for full in everywhere)]
    if section.target_modules == "attention":
        wanted = [name for name in wanted if name not in missing]
        missing = [] if wanted else missing
    if missing:
        hints = "".join(nearest(name, known) for name in missing[:1])
        raise AdapterError(
            f"adapter.target_modules: {', '.join(missing)}: no linear layer of that name in {family.name}{hints}; "
            f"there are {', '.join(known)}, or take all-linear"
        )
    return wanted


def _check_fits(bundle: Bundle, folder: Path, settings: dict[str, Any]) -> None:
    """Compare the adapter's shapes with the base's before peft does, whose message is pages long."""
    layers = dict(_linears(bundle.model))
    with safe_open(folder / ADAPTER_WEIGHTS, framework="pt") as file:
        for key in file.keys():  # noqa: SIM118 - a safetensors handle is not a dict
            name, found, _ = key.removeprefix("base_model.model.").partition(".lora_A.")
            if not found:
                continue
            if name not in layers:
                raise AdapterError(
                    f"{folder}: the adapter is for a layer {name!r} that {bundle.located.name} does not have"
                )
            columns = file.get_slice(key).get_shape()[1]
            if columns != _inputs_of(layers[name]):
                raise AdapterError(
                    f"{folder}: the adapter (r={settings.get('r')}) reads {columns} features at {name}, "
                    f"{bundle.located.name} has {_inputs_of(layers[name])}: it belongs to another base"
                )


def _linears(model: nn.Module) -> Iterable[tuple[str, nn.Module]]:
    return ((name, module) for name, module in model.named_modules() if isinstance(module, nn.Linear | Conv1D))


def _inputs_of(layer: nn.Module) -> int:
    return layer.in_features if isinstance(layer, nn.Linear) else int(layer.weight.shape[0])  # pyright: ignore


def _freeze_sinusoids(model: nn.Module) -> None:
    """Sinusoidal positions are parameters in Marian's class, but a formula: they are not trained."""
    for module in model.modules():
        if type(module).__name__.endswith("SinusoidalPositionalEmbedding"):
            for parameter in module.parameters():
                parameter.requires_grad_(False)


def _keep_all_layers(model: nn.Module, emit: Emit) -> None:
    """Switch off layer drop (M2M100: 5 %): a step that skips whole layers leaves their weights without a gradient."""
    dropping: list[Any] = [module for module in model.modules() if module.__dict__.get("layerdrop")]
    for module in dropping:
        module.layerdrop = 0.0
    if dropping:
        emit(Decision("layerdrop", "0", "the checkpoint would skip whole layers at random; every layer is trained"))


def _targets_text(model: nn.Module) -> str:
    names = {name.split(".lora_A")[0].rpartition(".")[2] for name, _ in model.named_modules() if ".lora_A" in name}
    return ", ".join(sorted(names))
