"""Spellings of other tools that mean the same here, and names of the contract that are not built yet. Tables only.

A spelling is accepted only where the meaning is the same, and always with a note. What has to be thought about
(another tool's whole file) is the business of ``desktune import``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from desktune.config.measures import BEST_BY

NOTHING = object()  # "this spelling sets nothing": bf16: false


@dataclass(frozen=True, slots=True)
class Alias:
    """Another spelling of the key ``path``; ``convert`` turns its value into ours (or ``NOTHING``).

    ``convert`` raises ValueError with what is allowed.
    """

    path: tuple[str, ...]
    convert: Callable[[Any], Any] | None = None


def _to(path: str, convert: Callable[[Any], Any] | None = None) -> Alias:
    return Alias(tuple(path.split(".")), convert)


def _rest_of_one(value: Any) -> Any:
    """Train share → validation share. Raises ValueError for anything but a share."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 1:
        raise ValueError("a number over 0 to 1")
    return round(1.0 - value, 12)


def _when_true(meaning: Any) -> Callable[[Any], Any]:
    def convert(value: Any) -> Any:
        if not isinstance(value, bool):
            raise ValueError("true or false")
        return meaning if value else NOTHING

    return convert


_TRAINING = {
    "per_device_train_batch_size": ("batch_size", "per_device_batch_size", "micro_batch_size"),
    "per_device_eval_batch_size": ("eval_batch_size",),
    "gradient_accumulation_steps": ("grad_accum", "gradient_accumulation", "grad_accum_steps", "accumulation_steps"),
    "num_train_epochs": ("epochs", "num_epochs"),
    "learning_rate": ("lr",),
    "lr_scheduler_type": ("scheduler", "lr_scheduler", "scheduler_type"),
    "warmup_steps": ("num_warmup_steps",),
    "max_grad_norm": ("gradient_clipping", "clip_grad_norm"),
    "optim": ("optimizer",),
    "label_smoothing_factor": ("label_smoothing",),
    "eval_strategy": ("evaluation_strategy",),
    "early_stopping_patience": ("patience",),
    "max_steps": ("num_steps",),
    "logging_steps": ("log_steps",),
}
_ADAPTER = {
    "r": ("lora_r", "rank", "lora_rank", "peft_lora_r"),
    "lora_alpha": ("alpha", "peft_lora_alpha"),
    "lora_dropout": ("dropout",),
    "target_modules": ("lora_target_modules", "lora_target"),
}
_DATA = {
    "train": ("data_path", "train_file", "train_path", "train_dataset_path"),
    "validation": ("val_ratio", "validation_ratio", "validation_file", "val_dataset_path", "val_set_size"),
    "test": ("test_file",),
    "template": ("prompt_template", "input_prompt_template"),
    "max_length": ("max_seq_length", "seq_length", "max_seq_len", "sequence_len", "cutoff_len"),
    "max_source_length": ("max_input_length", "max_source_len", "max_input"),
    "max_target_length": ("max_output_length", "max_target_len", "max_target", "max_output"),
    "source_lang": ("src_lang",),
    "target_lang": ("tgt_lang",),
}
_MODEL = {
    "name": ("model_name", "base_model", "model_name_or_path"),
    "dtype": ("torch_dtype",),
}
_GENERATION = {
    "max_new_tokens": ("max_length", "max_tokens", "max_gen_len"),
    "min_new_tokens": ("min_length", "min_tokens"),
    "num_beams": ("beams", "beam_size", "beam_width"),
    "do_sample": ("sampling", "sample"),
    "temperature": ("temp",),
    "repetition_penalty": ("repeat_penalty",),
    "no_repeat_ngram_size": ("no_repeat_ngram", "no_repeat_ngrams"),
    "use_cache": ("cache",),
}


def _table(section: str, spellings: Mapping[str, tuple[str, ...]]) -> dict[str, Alias]:
    return {f"{section}.{other}": _to(f"{section}.{ours}") for ours, others in spellings.items() for other in others}


# other spelling, with the section it stands in → ours
ALIASES: Mapping[str, Alias] = {
    **_table("training", _TRAINING),
    **_table("adapter", _ADAPTER),
    **_table("data", _DATA),
    **_table("model", _MODEL),
    **_table("generation", _GENERATION),
    "data.train_ratio": _to("data.validation", _rest_of_one),
    "data.train_split": _to("data.validation", _rest_of_one),
    "model.load_in_8bit": _to("model.quantization", _when_true("8bit")),
    "model.load_in_4bit": _to("model.quantization", _when_true("4bit")),
    "training.bf16": _to("model.dtype", _when_true("bfloat16")),
    "training.fp16": _to("model.dtype", _when_true("float16")),
    "training.report_to": _to("tracking.report_to"),
    "training.output_dir": _to("output.dir"),
    "training.run_name": _to("output.name"),
    "training.push_to_hub": _to("output.push_to_hub"),
    "training.hub_model_id": _to("output.hub_model_id"),
    "output.output_dir": _to("output.dir"),
    "adapter.use_dora": _to("adapter.type", _when_true("dora")),
    "adapter.use_rslora": _to("adapter.type", _when_true("rslora")),
    "model": _to("model.name"),  # model: google/flan-t5-base
    "model_name": _to("model.name"),
    "base_model": _to("model.name"),
    "output_dir": _to("output.dir"),
}

WARMUP = "training.warmup"  # a share below 1, a number of steps from 1: decided by the value (``names.py``)

# our key → value of other tools → ours
VALUES: Mapping[str, Mapping[str, Any]] = {
    "model.dtype": {"bf16": "bfloat16", "fp16": "float16", "half": "float16", "fp32": "float32", "float": "float32"},
    "model.device": {"gpu": "cuda"},
    "adapter.type": {"full": "none", "LoRA": "lora", "DoRA": "dora"},
    "training.optim": {"adamw_torch": "adamw", "adamw_torch_fused": "adamw", "adamw_hf": "adamw", "AdamW": "adamw"},
    "training.lr_scheduler_type": {"constant_with_warmup": "constant"},
    "training.metric_for_best_model": {
        **{name.removeprefix("eval_"): name for name in BEST_BY},
    },
    "tracking.report_to": {"none": [], "tensorboard": ["tensorboard"], "wandb": ["wandb"]},
}

# our key → values of the contract (NAMES) that this version does not have
NOT_BUILT: Mapping[str, tuple[Any, ...]] = {
    "model.quantization": ("8bit", "4bit"),
    "training.optim": ("lion", "muon", "schedule-free"),
    "training.loss": ("nll", "focal", "dft"),
    "tracking.report_to": ("mlflow", "trackio"),
    "output.push_to_hub": (True,),
}
DOTTED_LATER = ("training.optim", "training.loss")  # dotted paths to a person's own class

# sections as other tools call them; only for the nearest name
SECTION_WORDS: Mapping[str, str] = {
    "lora": "adapter",
    "peft": "adapter",
    "trainer": "training",
    "train": "training",
    "training_args": "training",
    "training_arguments": "training",
    "dataset": "data",
    "datasets": "data",
    "eval": "evaluation",
    "inference": "generation",
    "logging": "tracking",
    "wandb": "tracking",
}
