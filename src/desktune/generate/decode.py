"""Batched decoding: prompts as token ids in, texts out, in the order they came.

The settings are laid over the *model's own* generation config, so that its decoder start, forced tokens and forbidden
words hold. Greedy and beam outputs of a batch are those of its rows alone: causal prompts are padded on the left,
sources on the right, and padding is masked.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import GenerationConfig

from desktune.batches.collate import pad
from desktune.config.schema import GenerationSection
from desktune.errors import ConfigError, nearest
from desktune.events import Emit, Progress, silent
from desktune.models.load import Bundle

BATCH_ROWS = 32
_SAMPLING = ("temperature", "top_p", "top_k")


@dataclass(frozen=True)
class Decoding:
    """Resolved settings: what is None is left to the model."""

    settings: Mapping[str, Any]
    seed: int = 42


def decoding(section: GenerationSection, **overrides: Any) -> Decoding:
    """Lay overrides over a config section.

    Raises:
        ConfigError: a setting that does not exist or has a wrong value.
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
    return Decoding(
        {name: value for name, value in merged.model_dump(exclude={"variants"}).items() if value is not None}
    )


def decode(bundle: Bundle, prompts: Sequence[Sequence[int]], how: Decoding, emit: Emit = silent) -> list[str]:
    """Return the answer to every prompt.

    Args:
        bundle: Model and tokenizer.
        prompts: Token ids: the encoded source, or what a causal model goes on from.
        how: Settings.
        emit: Progress.
    """
    config = generation_config(bundle, how)
    answers = [""] * len(prompts)
    order = sorted(range(len(prompts)), key=lambda index: -len(prompts[index]))
    was_training = bundle.model.training
    bundle.model.eval()
    try:
        for start in range(0, len(order), BATCH_ROWS):
            chosen = order[start : start + BATCH_ROWS]
            for index, text in zip(
                chosen, _answer(bundle, [prompts[index] for index in chosen], config, how.seed + start), strict=True
            ):
                answers[index] = text
            emit(Progress("generating", min(start + BATCH_ROWS, len(order)), len(order)))
    finally:
        bundle.model.train(was_training)
    return answers


def generation_config(bundle: Bundle, how: Decoding) -> GenerationConfig:
    """Return the model's own generation config with the settings over it."""
    config = copy.deepcopy(bundle.model.generation_config)
    config.max_length = None
    settings = dict(how.settings)
    if not settings.get("do_sample"):
        settings.update(dict.fromkeys(_SAMPLING))
    if settings.get("num_beams", 1) == 1:
        settings.update({"length_penalty": None, "early_stopping": None})
    config.update(**settings, use_cache=True)
    if config.pad_token_id is None:
        config.pad_token_id = bundle.tokenizer.pad_token_id
    return config


@torch.inference_mode()
def _answer(bundle: Bundle, prompts: Sequence[Sequence[int]], config: GenerationConfig, seed: int) -> list[str]:
    causal = not bundle.family.encoder_decoder
    ids_BS = pad(prompts, int(config.pad_token_id or 0), left=causal)
    lengths_B = torch.tensor([len(prompt) for prompt in prompts])[:, None]
    places_S = torch.arange(ids_BS.shape[1])[None, :]
    mask_BS = (places_S >= ids_BS.shape[1] - lengths_B) if causal else (places_S < lengths_B)
    if config.do_sample:
        torch.manual_seed(seed)
    out_BT = bundle.model.generate(
        input_ids=ids_BS.to(bundle.device), attention_mask=mask_BS.long().to(bundle.device), generation_config=config
    )
    new_BT = out_BT[:, ids_BS.shape[1] :] if causal else out_BT
    return [text.strip() for text in bundle.tokenizer.batch_decode(new_BT, skip_special_tokens=True)]
