"""Every "auto" becomes a value, with its reason. The config alone cannot say it: this needs the model's facts."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from desktune.config.schema import Config
from desktune.errors import ConfigError
from desktune.events import Decision, Emit, Note, Warn
from desktune.hardware import Machine, machine, pick_device, pick_device_map, pick_dtype, world_size
from desktune.models.load import Located, Placement, locate
from desktune.rows import Task
from desktune.train.memory import token_budget

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True)
class Plan:
    """A config with nothing left to decide."""

    config: Config
    located: Located
    task: Task
    placement: Placement
    autocast_dtype: torch.dtype | None
    token_budget: int


def resolve(config: Config, emit: Emit) -> Plan:
    """Resolve a config on this machine, saying each decision.

    Raises:
        ModelNotFound: the model is not there.
        ConfigError: a device or precision that is not to be had, or a task that the model cannot do.
    """
    located = locate(config.model)
    family = located.family
    emit(Decision("model", located.name, f"{family.name}, {located.folder.name}, weights {located.weights_hash[:12]}"))
    if family.inferred:
        emit(Warn(family.inferred))
    if located.pickled is not None:
        emit(
            Note(
                f"model.name: {located.pickled} has pickled weights (.bin) only; they were converted once, in a "
                f"process without network, and are read as safetensors from {located.folder}"
            )
        )
    say_code(located, emit)
    if located.dropped:
        emit(Warn(f"model.name: {', '.join(located.dropped)} of its config.json: left out, it leads to code elsewhere"))
    task = _task(config, located, emit)
    here = machine(probe_torch=True)
    device, why = pick_device(config.model.device)
    emit(Decision("device", device, why))
    dtype, why = pick_dtype(config.model.dtype, device, family.fp16)
    emit(Decision("dtype", dtype, why))
    weights = _weights_dtype(dtype, config)
    autocast = None if _DTYPES[dtype] == torch.float32 else _DTYPES[dtype]
    device_map, why = pick_device_map(config.model.device_map, world_size(), family.device_map)
    if why:
        emit(Decision("device_map", device_map or "none", why))
    placement = Placement(torch.device(device), weights, config.model.attn_implementation, device_map)
    return Plan(config, located, task, placement, autocast, _budget(config, located, here, emit))


def say_code(located: Located, emit: Emit) -> None:
    """Say which Python files of a model are run, wherever that happens."""
    if located.code:
        emit(Warn(f"model.trust_remote_code: {', '.join(located.code)} of {located.folder} run with all your rights"))


def _task(config: Config, located: Located, emit: Emit) -> Task:
    family = located.family
    if config.task == "auto":
        emit(Decision("task", family.task, f"what {family.name} is for"))
        return family.task
    if family.encoder_decoder == (config.task == "causal"):
        allowed = "seq2seq or translation" if family.encoder_decoder else "causal"
        raise ConfigError(f"task: {config.task}: {located.name} is {family.name}; allowed with it: {allowed}, or auto")
    return config.task


def _weights_dtype(dtype: str, config: Config) -> torch.dtype:
    """Frozen weights may lie in bfloat16; weights that are trained stay float32 and only the forward pass is short."""
    frozen_base = config.adapter.type != "none"
    return torch.bfloat16 if dtype == "bfloat16" and frozen_base else torch.float32


def _budget(config: Config, located: Located, here: Machine, emit: Emit) -> int:
    wanted = config.training.tokens_per_batch
    if wanted != "auto":
        return wanted
    on_gpu = here.cuda and config.model.device in ("auto", "cuda")
    device_bytes = here.cuda[0][1] if on_gpu else here.memory_bytes
    budget = token_budget(located.config, device_bytes)
    emit(
        Decision(
            "training.tokens_per_batch",
            f"{budget:,}",
            f"activations and logits in 30 % of {device_bytes / 2**30:.0f} GiB",
        )
    )
    return budget
