"""Settings of ``generation:`` that contradict each other or do nothing beside each other; its named variants."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

from pydantic import ValidationError

from desktune.config import describe
from desktune.config.faults import Path, shown
from desktune.config.names import listed
from desktune.config.schema import GenerationSection
from desktune.errors import nearest

SETTINGS = tuple(name for name in GenerationSection.model_fields if name != "variants")
_VARIANT_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,79}")
_SAMPLING = ("temperature", "top_p", "top_k")
_BEAMS = ("length_penalty", "early_stopping")


def contradictions(section: GenerationSection) -> Iterator[tuple[str, str]]:
    """Yield (key, text) for what cannot hold together."""
    if section.min_new_tokens is not None and section.min_new_tokens > section.max_new_tokens:
        yield (
            "min_new_tokens",
            f"{section.min_new_tokens} is over max_new_tokens, which is {section.max_new_tokens}; lower it",
        )


def idle(section: GenerationSection, given: Collection[str]) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield (keys, why) for given keys that do nothing: ``(("temperature",), "do_sample is false")``."""
    sampling = tuple(key for key in _SAMPLING if key in given)
    if sampling and not section.do_sample:
        yield sampling, "do_sample is false"
    beams = tuple(key for key in _BEAMS if key in given)
    if beams and section.num_beams == 1:
        yield beams, "num_beams is 1"


def laid_over(section: GenerationSection, settings: dict[str, object]) -> GenerationSection:
    """Return a section with settings over its own. Raises pydantic's ValidationError."""
    return GenerationSection.model_validate({**section.model_dump(exclude={"variants"}), **settings})


def variant_faults(section: GenerationSection) -> Iterator[tuple[Path, str]]:
    """Yield (path, text) for what is wrong in the section's variants: name, keys, values, and what cannot hold."""
    for name, variant in section.variants.items():
        yield from _variant_faults(section, name, variant)


def idle_settings(section: GenerationSection, given: Collection[str]) -> Iterator[str]:
    """Yield what was given and does nothing, in the section (unless a variant makes use of it) and in each variant."""
    held = [key for key in given if section.model_dump()[key] is not None]
    whole = [laid_over(section, variant) for variant in section.variants.values()]
    for keys, why in idle(section, held):
        unused = [key for key in keys if all(any(key in found for found, _ in idle(one, [key])) for one in whole)]
        if unused:
            yield f"generation.{', '.join(unused)}: without effect while {why}"
    for (name, variant), laid in zip(section.variants.items(), whole, strict=True):
        for keys, why in idle(laid, variant):
            yield f"generation.variants.{name}.{', '.join(keys)}: without effect while {why}"


def _variant_faults(section: GenerationSection, name: str, variant: dict[str, object]) -> Iterator[tuple[Path, str]]:
    path = ("generation", "variants", name)
    if not _VARIANT_NAME.fullmatch(name):
        yield path, "the name of a variant has letters, digits, '.', '_' and '-' only"
    strange = [key for key in variant if key not in SETTINGS]
    for key in strange:
        yield (*path, key), f"unknown key{nearest(key, SETTINGS) or f'; allowed: {listed(SETTINGS)}'}"
    try:
        laid = laid_over(section, {key: value for key, value in variant.items() if key not in strange})
    except ValidationError as error:
        for wrong in dict.fromkeys(str(one["loc"][0]) for one in error.errors(include_url=False)):
            found, allowed = shown(variant[wrong]), describe.allowed(("generation", wrong))
            yield (*path, wrong), f"found {found}; allowed: {allowed}"
        return
    for key, text in contradictions(laid):
        if key in variant or "max_new_tokens" in variant:
            yield (*path, key), text
