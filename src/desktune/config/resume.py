"""Which settings may change when a run goes on, as a table over the whole schema; a test finds a key that is missing.

*free*: does not change what is optimised. *may grow*: a longer run, never a shorter one. *locked*: another value would
be another training. *by content*: names something whose hash is kept with the run, so that it may move but not change.
*as a product*: rows of a step, where only rows x accumulation x processes counts.
"""

from __future__ import annotations

from typing import Any, Literal

from desktune.config.schema import Config

Class = Literal["free", "may grow", "locked", "by content", "as a product"]

_FREE: dict[str, str] = {
    "model": "device device_map",
    "data": "test max_rejected",
    "training": "tokens_per_batch gradient_checkpointing per_device_eval_batch_size eval_accumulation_steps "
    "save_strategy save_steps save_total_limit logging_steps early_stopping_patience loss_watchdog distributed",
    "evaluation": "metrics predict_with_generate bootstrap_samples guard_samples smoke_test",
    "generation": "max_new_tokens min_new_tokens num_beams do_sample temperature top_p top_k length_penalty "
    "early_stopping repetition_penalty no_repeat_ngram_size use_cache variants",
    "tracking": "report_to project",
    "output": "dir name push_to_hub hub_model_id hub_private",
}
_MAY_GROW = {"training": "num_train_epochs max_steps"}
_BY_CONTENT = {"model": "name revision", "data": "train validation encoding"}
_AS_A_PRODUCT = {"training": "per_device_train_batch_size gradient_accumulation_steps"}
_LOCKED = {
    "task": "",
    "model": "dtype quantization trust_remote_code attn_implementation",
    "data": "format fields template source_lang target_lang both_directions max_source_length max_target_length "
    "max_length overlong train_on cleaning",
    "adapter": "type r lora_alpha lora_dropout target_modules new_tokens",
    "training": "tokens_per_step learning_rate lr_scheduler_type warmup_ratio warmup_steps weight_decay max_grad_norm "
    "optim optim_args loss label_smoothing_factor eval_strategy eval_steps max_eval_samples metric_for_best_model "
    "load_best_model_at_end seed engine",
    "evaluation": "max_new_tokens",
}


def _table() -> dict[tuple[str, ...], Class]:
    kinds: list[tuple[Class, dict[str, str]]] = [
        ("free", _FREE),
        ("may grow", _MAY_GROW),
        ("by content", _BY_CONTENT),
        ("as a product", _AS_A_PRODUCT),
        ("locked", _LOCKED),
    ]
    return {
        (section, key) if key else (section,): kind
        for kind, sections in kinds
        for section, keys in sections.items()
        for key in keys.split() or [""]
    }


CLASSES = _table()


def refused(before: Config, now: Config) -> list[str]:
    """Return the changes that a resume does not allow, as ``key: old → new``; rows of a step are not looked at."""
    found = []
    for path, old, new in _changes(before, now):
        kind = CLASSES[path]
        longer = kind == "may grow" and old is not None and new is not None and new > old
        if longer or kind not in ("locked", "may grow"):
            continue
        why = " (may grow only)" if kind == "may grow" else ""
        found.append(f"{'.'.join(path)}: {old!r} → {new!r}{why}")
    return found


def grown(before: Config, now: Config) -> list[str]:
    """Return what grew, as ``key: old → new``."""
    return [
        f"{'.'.join(path)}: {old!r} → {new!r}"
        for path, old, new in _changes(before, now)
        if CLASSES[path] == "may grow" and old is not None and new is not None and new > old
    ]


def _changes(before: Config, now: Config) -> list[tuple[tuple[str, ...], Any, Any]]:
    old, new = (config.model_dump(warnings=False) for config in (before, now))
    both = [(path, _at(old, path), _at(new, path)) for path in CLASSES]
    return [change for change in both if change[1] != change[2]]


def _at(values: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        values = values[key]
    return values
