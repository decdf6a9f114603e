"""Batched decoding: prompts as token ids in, texts out, in the order they came.

The settings are laid over the *model's own* generation config, so that its decoder start, forced tokens and forbidden
words hold. Greedy and beam outputs of a batch are those of its rows alone: causal prompts are padded on the left,
sources on the right, and padding is masked.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import GenerationConfig

from desktune.batches.collate import pad
from desktune.batches.fitting import in_fitting_parts
from desktune.config.rules_generation import contradictions
from desktune.config.schema import GenerationSection
from desktune.errors import ConfigError, nearest
from desktune.events import Emit, Progress, silent
from desktune.models.load import Bundle

BATCH_ROWS = 32
BATCH_TOKENS = 16_384  # rows x beams x (longest prompt + new tokens): what the cache of keys and values may hold
_SAMPLING = ("temperature", "top_p", "top_k")


@dataclass(frozen=True)
class Decoding:
    """Resolved settings: what is None is left to the model."""

    settings: Mapping[str, Any]
    seed: int = 42
    target: str | None = None  # the language of the answers, for a model that is told languages


def decoding(section: GenerationSection, **overrides: Any) -> Decoding:
    """Lay overrides over a config section.

    Raises:
        ConfigError: a setting that does not exist, has a wrong value or contradicts another.
    """
    known = [name for name in GenerationSection.model_fields if name != "variants"]
    unknown = [name for name in overrides if name not in known]
    if unknown:
        raise ConfigError(
            f"generation.{unknown[0]}: unknown setting{nearest(unknown[0], known)}; there are {', '.join(known)}"
        )
    try:
        merged = GenerationSection.model_validate({**section.model_dump(), **overrides})
    except ValueError as error:
        first = error.errors()[0]  # pyright: ignore[reportAttributeAccessIssue] - a pydantic ValidationError
        raise ConfigError(f"generation.{first['loc'][0]}: {first['msg']}; found {first['input']!r}") from error
    for key, text in contradictions(merged):
        raise ConfigError(f"generation.{key}: {text}")
    return Decoding(
        {name: value for name, value in merged.model_dump(exclude={"variants"}).items() if value is not None}
    )


def variants(section: GenerationSection) -> dict[str, Decoding]:
    """Return the section's named variants, each laid over its other settings.

    Raises:
        ConfigError: a setting that does not exist or has a wrong value.
    """
    return {name: decoding(section, **settings) for name, settings in section.variants.items()}


def decode(
    bundle: Bundle,
    prompts: Sequence[Sequence[int]],
    how: Decoding,
    emit: Emit = silent,
    *,
    targets: Sequence[str | None] = (),
) -> list[str]:
    """Return the answer to every prompt.

    Drawn answers (``do_sample``) depend on the seed and on the prompts of the call; the global random state is left as
    it was.

    Args:
        bundle: Model and tokenizer.
        prompts: Token ids: the encoded source, or what a causal model goes on from.
        how: Settings.
        emit: Progress.
        targets: The language of every answer, for a model that is told languages; where there is none, that of the
            model's generation config.
    """
    answers = [""] * len(prompts)
    was_training = bundle.model.training
    bundle.model.eval()
    done = 0
    try:
        for chosen in _batches(prompts, how, targets):
            config = generation_config(bundle, how, targets[chosen[0]] if targets else how.target)

            def answer(
                part: Sequence[int], config: GenerationConfig = config, seed: int = how.seed + done
            ) -> dict[int, str]:
                texts = _answer(bundle, [prompts[index] for index in part], config, seed)
                return dict(zip(part, texts, strict=True))

            for said in in_fitting_parts(chosen, answer, emit):
                for index, text in said.items():
                    answers[index] = text
            done += len(chosen)
            emit(Progress("generating", done, len(prompts)))
    finally:
        bundle.model.train(was_training)
    return answers


def generation_config(bundle: Bundle, how: Decoding, target: str | None = None) -> GenerationConfig:
    """Return the model's own generation config with the settings, and the target's language token, over it."""
    config = copy.deepcopy(bundle.model.generation_config)
    config.max_length = None
    settings = dict(how.settings)
    if not settings.get("do_sample"):
        settings.update(dict.fromkeys(_SAMPLING))
    if settings.get("num_beams", 1) == 1:
        settings.update({"length_penalty": None, "early_stopping": None})
    config.update(**{"use_cache": True, **settings})
    if bundle.languages is not None and target is not None:
        config.update(**bundle.languages.settings(target))
    if config.pad_token_id is None:
        config.pad_token_id = bundle.tokenizer.pad_token_id
    return config


def _batches(
    prompts: Sequence[Sequence[int]], how: Decoding, targets: Sequence[str | None] = ()
) -> Iterator[list[int]]:
    """Yield indices of prompts of one target language and like length, as many as both limits allow, at least one."""
    for target in dict.fromkeys(targets or [None]):
        asked = [index for index in range(len(prompts)) if not targets or targets[index] == target]
        yield from _alike(sorted(asked, key=lambda index: -len(prompts[index])), prompts, how)


def _alike(order: Sequence[int], prompts: Sequence[Sequence[int]], how: Decoding) -> Iterator[list[int]]:
    start = 0
    while start < len(order):
        row_tokens = how.settings.get("num_beams", 1) * (
            len(prompts[order[start]]) + how.settings.get("max_new_tokens", 0)
        )
        rows = max(1, min(BATCH_ROWS, BATCH_TOKENS // max(1, row_tokens)))
        yield list(order[start : start + rows])
        start += rows


@torch.inference_mode()
def _answer(bundle: Bundle, prompts: Sequence[Sequence[int]], config: GenerationConfig, seed: int) -> list[str]:
    causal = not bundle.family.encoder_decoder
    ids_BS = pad(prompts, int(config.pad_token_id or 0), left=causal)
    lengths_B = torch.tensor([len(prompt) for prompt in prompts])[:, None]
    places_S = torch.arange(ids_BS.shape[1])[None, :]
    mask_BS = (places_S >= ids_BS.shape[1] - lengths_B) if causal else (places_S < lengths_B)
    inputs = {"input_ids": ids_BS.to(bundle.device), "attention_mask": mask_BS.long().to(bundle.device)}
    with _seeded(bundle.device, seed) if config.do_sample else contextlib.nullcontext():
        out_BT = bundle.model.generate(**inputs, generation_config=config)
    new_BT = out_BT[:, ids_BS.shape[1] :] if causal else out_BT
    return [text.strip() for text in bundle.tokenizer.batch_decode(new_BT, skip_special_tokens=True)]


@contextlib.contextmanager
def _seeded(device: torch.device, seed: int) -> Iterator[None]:
    """Draw from a seed; the random states of the processor and of a CUDA device are put back."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield
