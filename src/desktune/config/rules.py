"""What single keys cannot say: settings that contradict each other, as a table of small functions.

A rule looks at a config whose keys are each right, and yields (path, text) for what is wrong between them. It is told
which keys were given, since a default contradicts nothing. The rules about data are in ``rules_data.py``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from desktune.config.faults import Path, shown
from desktune.config.measures import AUTO_METRICS, BEST_BY, METRIC_NAMES, OF_THE_LOSS
from desktune.config.names import Setting
from desktune.config.rules_generation import contradictions, idle_settings, variant_faults
from desktune.config.schema import Config
from desktune.errors import nearest

Found = tuple[Path, str]


@dataclass(frozen=True)
class Facts:
    """A config and the keys that were given for it (``null`` counts as not given)."""

    config: Config
    given: Mapping[Path, Setting]

    def has(self, path: str) -> bool:
        """Return whether a dotted key was given."""
        return tuple(path.split(".")) in self.given


Rule = Callable[[Facts], Iterator[Found]]

# the first is given instead of the second; a default of the second is simply unused
EXCLUSIVE: tuple[tuple[Path, Path], ...] = (
    (("training", "max_steps"), ("training", "num_train_epochs")),
    (("training", "tokens_per_step"), ("training", "per_device_train_batch_size")),
    (("training", "tokens_per_step"), ("training", "gradient_accumulation_steps")),
    (("training", "warmup_steps"), ("training", "warmup_ratio")),
)
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,79}")
_HUB_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*")


def unused(config: Config) -> dict[Path, str]:
    """Return the keys that say nothing in a config, with why: ``dump`` leaves them out, so that it loads again."""
    keys = {
        second: f"{first[-1]} is given"
        for first, second in EXCLUSIVE
        if config.model_dump(include={first[0]})[first[0]][first[1]] is not None
    }
    if config.data.validation == 0 and config.training.eval_strategy != "no":
        keys[("training", "eval_strategy")] = "data.validation is 0"
    return keys


def exclusive(facts: Facts) -> Iterator[Found]:
    """Two keys of which only one can hold."""
    for first, second in EXCLUSIVE:
        if first in facts.given and second in facts.given:
            one, other = sorted((facts.given[first], facts.given[second]), key=lambda setting: setting.place)
            name = ".".join(other.spelled)
            yield (
                other.spelled,
                f"contradicts {'.'.join(one.spelled)} ({one.place.text}); keep {'.'.join(one.spelled)} or {name}",
            )


def validation_wanted(facts: Facts) -> Iterator[Found]:
    """Nothing to validate on, or no time to do it, while something asks for it."""
    training = facts.config.training
    none_held_out = facts.config.data.validation == 0 and facts.has("data.validation")
    if none_held_out and facts.has("training.eval_strategy") and training.eval_strategy != "no":
        yield (
            ("training", "eval_strategy"),
            f"{training.eval_strategy}, but data.validation is 0; hold rows out, or write no",
        )
    why = "data.validation is 0" if none_held_out else "eval_strategy is no" if training.eval_strategy == "no" else ""
    if why and training.early_stopping_patience is not None:
        yield ("training", "early_stopping_patience"), f"needs validation, but {why}; take it out, or validate"
    if why and training.metric_for_best_model != "eval_loss":
        yield (
            ("training", "metric_for_best_model"),
            f"{training.metric_for_best_model} needs validation, but {why}; take it out, or validate",
        )


def metric_exists(facts: Facts) -> Iterator[Found]:
    """The best model is chosen by a figure that is measured."""
    config, path = facts.config, ("training", "metric_for_best_model")
    metric = config.training.metric_for_best_model
    if metric not in BEST_BY:
        yield path, f"found {shown(metric)}; allowed: {', '.join(BEST_BY)}{nearest(metric, BEST_BY)}"
    elif metric not in OF_THE_LOSS:
        name, measured = metric.removeprefix("eval_"), config.evaluation.metrics
        if measured == "auto":
            measured = AUTO_METRICS.get(config.task, METRIC_NAMES)
        if name not in measured:
            yield path, f"{metric} is not measured; add {name} to evaluation.metrics"
        if not config.evaluation.predict_with_generate:
            yield path, f"{metric} needs answers, but evaluation.predict_with_generate is false; set it to true"


def steps_fit(facts: Facts) -> Iterator[Found]:
    """Warm-up and the first validation lie within ``max_steps``."""
    training = facts.config.training
    if training.max_steps is None:
        return
    if training.warmup_steps is not None and training.warmup_steps >= training.max_steps:
        yield (
            ("training", "warmup_steps"),
            f"{training.warmup_steps} is not under max_steps, which is {training.max_steps}; lower it",
        )
    late = training.eval_strategy == "steps" and training.eval_steps > training.max_steps
    if late and training.early_stopping_patience is not None:
        yield (
            ("training", "eval_steps"),
            f"{training.eval_steps} is over max_steps ({training.max_steps}): nothing stops early; lower it",
        )


def optimizer_arguments(facts: Facts) -> Iterator[Found]:
    """``optim_args`` are arguments of that optimizer, of the right kind."""
    training = facts.config.training
    known = _ARGUMENTS[training.optim]
    for name, value in training.optim_args.items():
        path = ("training", "optim_args", name)
        if name not in known:
            close = (
                f"; did you mean {_OTHER_NAMES[name]!r}?"
                if _OTHER_NAMES.get(name) in known
                else nearest(name, list(known))
            )
            yield path, f"no argument of {training.optim}{close}; allowed: {', '.join(known)}"
        elif not known[name][1](value):
            yield path, f"found {shown(value)}; allowed: {known[name][0]}"
    if training.optim_args.get("nesterov") is True and not training.optim_args.get("momentum"):
        yield ("training", "optim_args", "nesterov"), "needs a momentum over 0; set one"


def generation_holds(facts: Facts) -> Iterator[Found]:
    """The shortest answer is not longer than the longest."""
    for key, text in contradictions(facts.config.generation):
        yield ("generation", key), text


def variants_hold(facts: Facts) -> Iterator[Found]:
    """A variant is a name with keys of ``generation`` that hold together."""
    yield from variant_faults(facts.config.generation)


def names_are_plain(facts: Facts) -> Iterator[Found]:
    """Names that become folders or addresses cannot lead elsewhere."""
    output = facts.config.output
    if output.name is not None and (not _PLAIN_NAME.fullmatch(output.name) or output.name.endswith(".")):
        yield (
            ("output", "name"),
            f"found {shown(output.name)}; allowed: letters, digits, '.', '_' and '-', at most 80, no folders",
        )
    if output.hub_model_id is not None and not _HUB_NAME.fullmatch(output.hub_model_id):
        yield ("output", "hub_model_id"), f"found {shown(output.hub_model_id)}; allowed: user/name"
    if output.dir is not None and (not output.dir.strip() or "\0" in output.dir):
        yield ("output", "dir"), f"found {shown(output.dir)}; allowed: a folder, or null for runs/<name>-<timestamp>"


def modules_are_named(facts: Facts) -> Iterator[Found]:
    """An adapter on nothing trains nothing."""
    modules = facts.config.adapter.target_modules
    if isinstance(modules, list) and (not modules or not all(name.strip() for name in modules)):
        path = ("adapter", "target_modules")
        yield path, f"found {shown(modules)}; allowed: all-linear, attention, or a list of at least one module name"


def new_tokens_are_words(facts: Facts) -> Iterator[Found]:
    """A new token is a text that stands in the rows, once in the list."""
    tokens, path = facts.config.adapter.new_tokens, ("adapter", "new_tokens")
    for text in dict.fromkeys(tokens):
        if not text or text != text.strip():
            yield path, f"found {shown(text)}; allowed: texts without white space at their ends, e.g. ibuprofen"
        elif tokens.count(text) > 1:
            yield path, f"{shown(text)} stands there {tokens.count(text)} times; keep one"


RULES: tuple[Rule, ...] = (
    exclusive,
    validation_wanted,
    metric_exists,
    steps_fit,
    optimizer_arguments,
    generation_holds,
    variants_hold,
    names_are_plain,
    modules_are_named,
    new_tokens_are_words,
)


def notes(facts: Facts) -> Iterator[str]:
    """What is right but may not be meant."""
    config = facts.config
    yield from idle_settings(config.generation, [path[1] for path in facts.given if path[0] == "generation"])
    if config.data.validation == 0 and config.training.eval_strategy != "no":
        yield "data.validation: 0: nothing is held out; the last weights are kept as the best"


def _number(value: Any, low: float, high: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high


def _share(value: Any) -> bool:
    return _number(value, 0, 1) and value < 1


def _positive(value: Any) -> bool:
    return _number(value, 0, float("inf")) and value > 0


def _pair(value: Any, first: Callable[[Any], bool], second: Callable[[Any], bool]) -> bool:
    return isinstance(value, list) and len(value) == 2 and first(value[0]) and second(value[1])


_TRUTH = ("true or false", lambda value: isinstance(value, bool))
_SHARE = ("a number from 0 to under 1", _share)
_POSITIVE = ("a number over 0", _positive)

# arguments of torch.optim.AdamW, Adafactor and SGD that are not keys of their own
_ARGUMENTS: Mapping[str, Mapping[str, tuple[str, Callable[[Any], bool]]]] = {
    "adamw": {
        "betas": ("a list of two numbers from 0 to under 1", lambda value: _pair(value, _share, _share)),
        "eps": _POSITIVE,
        "amsgrad": _TRUTH,
    },
    "adafactor": {
        "beta2_decay": ("a number from -10 to 0", lambda value: _number(value, -10, 0)),
        "d": _POSITIVE,
        "eps": (
            "a list of null or a number over 0, and a number over 0",
            lambda value: _pair(value, lambda one: one is None or _positive(one), _positive),
        ),
    },
    "sgd": {"momentum": _SHARE, "dampening": _SHARE, "nesterov": _TRUTH},
}
_OTHER_NAMES = {"clip_threshold": "d", "decay_rate": "beta2_decay", "epsilon": "eps"}
