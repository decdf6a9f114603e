"""``data.cleaning``: a preset, and the limit of every filter with its meaning. Presets are two columns of one table.

A limit is a number, ``auto`` (learnt from the first rows of the corpus and said aloud) or false (the filter is off).
What is not set has the preset's limit. Sources of limits: OpusFilter (Aulamo et al. 2020) and its documented defaults,
Gopher's rules (Rae et al. 2021) as datatrove has them; the rest was measured with ``benches/cleaning.py``.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args, get_type_hints

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from desktune.config.faults import shown
from desktune.errors import ConfigError, nearest

Preset = Literal["none", "light", "strict"]
Number = Annotated[float, Field(ge=-100, le=1e9)]
Share = Annotated[float, Field(ge=0, le=1)]


def _no_number(value: Any) -> Any:
    """Let no 0 pass for false: a limit of 0 is a limit."""
    if value is not False:
        raise ValueError("not false")
    return value


Off = Annotated[Literal[False], BeforeValidator(_no_number)]
Limit = float | str | bool | None
_DOCS = "desktune data clean --filters lists them"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Limits(_Strict):
    """Every filter in the order in which rows pass it; None: as the preset says."""

    repair: bool | None = Field(default=None, description="mend broken Unicode (ftfy); the text changes")
    normalise: bool | None = Field(default=None, description="compose characters (NFC); the text changes")
    control: bool | None = Field(default=None, description="take out control and zero-width characters")
    whitespace: bool | None = Field(default=None, description="one space where several stood, none at the ends")
    linebreaks: Literal["keep", "space"] | None = Field(default=None, description="line breaks inside a text")
    min_characters: Number | Off | None = Field(default=None, description="characters of the shorter side, at least")
    max_characters: Number | Literal["auto"] | Off | None = Field(
        default=None, description="characters of the longer side, at most"
    )
    min_words: Number | Off | None = Field(default=None, description="words of the shorter side, at least")
    information: Share | Off | None = Field(default=None, description="share of letters in a side, at least")
    mojibake: Number | Off | None = Field(default=None, description="broken characters of a side, at most")
    ocr: Share | Off | None = Field(default=None, description="share of words that look like OCR faults, at most")
    repetition: Share | Off | None = Field(default=None, description="share of a side in repeated phrases, at most")
    references: Share | Off | None = Field(
        default=None, description="share of a side that is figure, table or literature reference, at most"
    )
    dates: Share | Off | None = Field(default=None, description="share of a side that is dates, at most")
    abstracts: Share | Off | None = Field(default=None, description="likeness to a whole abstract, at most")
    copied: Share | Off | None = Field(default=None, description="likeness of source and target, at most")
    length_ratio: Number | Literal["auto"] | Off | None = Field(
        default=None, description="characters of the longer side over the shorter, at most"
    )
    token_ratio: Number | Literal["auto"] | Off | None = Field(
        default=None, description="tokens of the longer side over the shorter, at most; needs a tokenizer"
    )
    script: Share | Off | None = Field(default=None, description="share of letters in the language's script, at least")
    language: Share | Off | None = Field(default=None, description="probability of the side's language, at least")
    numbers: Share | Off | None = Field(default=None, description="share of numbers that both sides have, at least")
    urls: Share | Off | None = Field(default=None, description="share of addresses that both sides have, at least")
    punctuation: Number | Off | None = Field(
        default=None, description="terminal punctuation score (0 is best), at least"
    )
    brackets: Number | Off | None = Field(default=None, description="brackets that one side lacks, at most")
    truncated: Share | Off | None = Field(
        default=None, description="target over its usual length where its end is missing, at least"
    )
    lexicon: Number | Literal["auto"] | Off | None = Field(
        default=None, description="how well the words explain each other (nats a word), at least"
    )
    embedding: Share | Off | None = Field(
        default=None, description="cosine of sentence embeddings, at least; needs embedding_model"
    )
    duplicates: bool | None = Field(default=None, description="keep the first of equal rows (case and spaces aside)")
    near_duplicates: Share | Off | None = Field(
        default=None, description="share of common 5-letter pieces from which two rows are one, at least"
    )


class Cleaning(_Strict):
    """``data.cleaning`` as written."""

    preset: Preset = Field(default="none", description="the limits to start from")
    filters: Limits = Field(default_factory=Limits, description="limits over those of the preset")
    embedding_model: str | None = Field(default=None, description="folder of a sentence-transformers model")


# filter: (light, strict)
PRESETS: dict[str, tuple[Limit, Limit]] = {
    "repair": (True, True),
    "normalise": (True, True),
    "control": (True, True),
    "whitespace": (True, True),
    "linebreaks": ("keep", "space"),
    "min_characters": (2, 4),
    "max_characters": (10_000, "auto"),
    "min_words": (False, 2),
    "information": (0.3, 0.5),
    "mojibake": (1, 0),
    "ocr": (0.35, 0.1),
    "repetition": (0.6, 0.35),
    "references": (False, 0.5),
    "dates": (False, 0.8),
    "abstracts": (False, False),
    "copied": (0.95, 0.9),
    "length_ratio": (3, "auto"),
    "token_ratio": (False, False),
    "script": (0.5, 0.8),
    "language": (0.02, 0.15),
    "numbers": (0.5, 1.0),
    "urls": (0.5, 1.0),
    "punctuation": (-4, -2),
    "brackets": (4, 1),
    "truncated": (0.4, 0.85),
    "lexicon": (0.5, "auto"),
    "embedding": (False, False),
    "duplicates": (True, True),
    "near_duplicates": (False, 0.8),
}


def parse_cleaning(written: dict[str, Any]) -> Cleaning:
    """Return ``data.cleaning`` typed. Raises ConfigError with every fault, none of them at a line of a file."""
    faults = [f"{'.'.join(('data', 'cleaning', *path))}: {text}" for path, text in cleaning_faults(written)]
    if faults:
        raise ConfigError(faults)
    return Cleaning.model_validate(written)


def resolved(section: Cleaning) -> dict[str, Limit]:
    """Return the limit of every filter: what is written, else what the preset says; False is off."""
    column = {"none": None, "light": 0, "strict": 1}[section.preset]
    written = section.filters.model_dump()
    preset = {name: False if column is None else pair[column] for name, pair in PRESETS.items()}
    return {name: preset[name] if written[name] is None else written[name] for name in PRESETS}


def cleaning_faults(written: dict[str, Any]) -> list[tuple[tuple[str, ...], str]]:
    """Return (path below ``data.cleaning``, what is wrong and allowed) for every fault."""
    try:
        Cleaning.model_validate(written)
    except ValidationError as error:
        found = [(_path(fault["loc"]), fault) for fault in error.errors()]
        return list({path: (path, _fault_text(path, fault)) for path, fault in found}.values())
    return []


def meanings() -> dict[str, str]:
    """Return every filter with its meaning."""
    return {name: field.description or "" for name, field in Limits.model_fields.items()}


def allowed(name: str) -> str:
    """Return what the limit of a filter may be."""
    words = []
    for one in get_args(get_type_hints(Limits)[name]):
        if one is bool:
            words.append("true, false")
        elif get_args(one) and isinstance(get_args(one)[0], str | bool):
            words += [str(value).lower() for value in get_args(one)]
        elif one is float:
            words.append("a number" if "Share" not in str(Limits.__annotations__[name]) else "a number from 0 to 1")
    return ", ".join(words)


def _path(place: tuple[int | str, ...]) -> tuple[str, ...]:
    """Drop what pydantic adds for the branches of a union."""
    names = tuple(str(part) for part in place)
    return names[:2] if names[:1] == ("filters",) else names[:1]


def _fault_text(path: tuple[str, ...], fault: Any) -> str:
    if fault["type"] == "extra_forbidden":
        known = list(Limits.model_fields) if len(path) == 2 else list(Cleaning.model_fields)
        misplaced = f"; write it below filters: {{{path[0]}: ...}}" if path[0] in Limits.model_fields else ""
        return f"no such {'filter' if len(path) == 2 else 'key'}{misplaced or nearest(path[-1], known)}; {_DOCS}"
    if len(path) == 2:
        return f"found {shown(fault['input'])}; allowed: {allowed(path[1])}"
    allowed_text = {"preset": "none, light or strict", "filters": "a mapping {filter: limit}"}.get(path[0], "text")
    return f"found {shown(fault['input'])}; allowed: {allowed_text}"
