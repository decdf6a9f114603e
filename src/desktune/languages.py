"""The language codes of a multilingual model: which there are, and how a text's languages are told to the model.

Two ways (``Family.languages``). In ``both`` texts: the tokenizer puts a token beside source and target, and generation
must be told the target's as forced first token (M2M100, NLLB, mBART-50) or as what the decoder starts with (mBART).
At the beginning of the ``source``: ``>>fra<<`` (Marian with several targets), ``<2fr>`` (MADLAD).

A code is one of the tokenizer's own. Data often says ``en`` where mBART-50 says ``en_XX``: a plain two-letter code is
read as the only code of that language, where there is exactly one.
"""

from __future__ import annotations

import contextlib
import functools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import langcodes

from desktune.errors import ConfigError, ModelMismatch, nearest
from desktune.families import Family

_MOST_LISTED = 12

Direction = tuple[str | None, str | None]  # codes of source and target; None where the model is not told


@dataclass(frozen=True)
class Languages:
    """The codes of a tokenizer.

    Attributes:
        ids: Code → id of its token.
        tokens: Code → its token.
        in_source: Whether the target's token opens the source; else both texts carry their own.
        first: Whether the target's token is the first label (then it is forced), else what the decoder starts with.
    """

    ids: Mapping[str, int]
    tokens: Mapping[str, str]
    in_source: bool
    first: bool = True

    @classmethod
    def of(cls, tokenizer: Any, family: Family) -> Languages | None:
        """Return the codes of a tokenizer, or None for a model that is not told languages.

        Raises:
            ModelMismatch: the model has to be told, and its tokenizer has no language tokens.
        """
        if family.languages == "none":
            return None
        in_source = family.languages == "source"
        pattern = re.compile(family.language_token)
        vocabulary = tokenizer.get_vocab()
        known = vocabulary if in_source else {text: vocabulary.get(text) for text in tokenizer.all_special_tokens}
        found = ((pattern.fullmatch(text), text, index) for text, index in known.items())
        tokens = {
            next(group for group in match.groups() if group): (text, index)
            for match, text, index in found
            if match is not None and index is not None
        }
        if not tokens:
            if in_source:
                return None
            raise ModelMismatch(
                f"{family.name}: the tokenizer ({type(tokenizer).__name__}) has no language tokens, so the model "
                "cannot be told which language to write; take the tokenizer that was published with the model"
            )
        ids = {code: index for code, (_, index) in sorted(tokens.items())}
        texts = {code: text for code, (text, _) in tokens.items()}
        return cls(ids, texts, in_source, in_source or _is_first(tokenizer, ids))

    def resolve(self, wanted: str, key: str) -> str:
        """Return the tokenizer's code for what a config or a command line says.

        Raises:
            ConfigError: there is none; the text names the nearest.
        """
        found = self.find(wanted)
        if found is None:
            raise ConfigError(f"{key}: {self.fault(wanted)}")
        return found

    def find(self, wanted: str) -> str | None:
        """Return the tokenizer's code: the same, or the only one of a plain two-letter language."""
        if wanted in self.ids:
            return wanted
        alike = [code for code in self.ids if matches(wanted, code)] if _is_plain(wanted) else []
        return alike[0] if len(alike) == 1 else None

    def fault(self, wanted: str) -> str:
        """Return why a code cannot be used."""
        alike = [code for code in self.ids if matches(wanted, code)]
        hint = f"; did you mean one of {', '.join(alike)}?" if alike else self._close(wanted)
        return f"{wanted!r} is not a language of this tokenizer{hint}; it knows {self.listed()}"

    def _close(self, wanted: str) -> str:
        """Return the hint of the nearest codes: as written, else by their language alone (``frr``: fra_Latn)."""
        close = nearest(wanted, list(self.ids), most=3, cutoff=0.5)  # codes are short: half of one is much
        if close:
            return close
        starts = {code.partition("_")[0]: code for code in self.ids}
        found = get_close_matches(wanted.partition("_")[0], list(starts), n=3, cutoff=0.5)
        return "; did you mean " + " or ".join(repr(starts[one]) for one in found) + "?" if found else ""

    def listed(self) -> str:
        """Return the codes, as many as fit a line."""
        codes = list(self.ids)
        rest = f" and {len(codes) - _MOST_LISTED} more" if len(codes) > _MOST_LISTED else ""
        return ", ".join(codes[:_MOST_LISTED]) + rest

    def settings(self, target: str) -> dict[str, int]:
        """Return what generation must be told so that it writes a language."""
        if self.in_source:
            return {}
        return {"forced_bos_token_id" if self.first else "decoder_start_token_id": self.ids[target]}

    def prefix(self, target: str | None) -> str:
        """Return what stands before a source."""
        return f"{self.tokens[target]} " if self.in_source and target is not None else ""

    @contextlib.contextmanager
    def spoken(self, tokenizer: Any, direction: Direction) -> Iterator[None]:
        """Let the tokenizer write the tokens of a direction inside the block; it is put back afterwards."""
        if self.in_source:
            yield
            return
        before = (tokenizer.src_lang, tokenizer.tgt_lang)
        try:
            self.tell(tokenizer, direction)
            yield
        finally:
            tokenizer.src_lang, tokenizer.tgt_lang = before

    def tell(self, tokenizer: Any, direction: Direction) -> None:
        """Set a tokenizer to a direction for good, as it is saved; None leaves a side as it is."""
        source, target = direction
        if self.in_source:
            return
        if target is not None:
            tokenizer.tgt_lang = target
        if source is not None:
            tokenizer.src_lang = source


@functools.cache
def primary(code: str) -> str:
    """Return the language of a code of any style (``fr``, ``fr_XX``, ``fra_Latn``) as a tag, or an empty text."""
    try:
        return langcodes.Language.get(code).language or ""
    except (langcodes.LanguageTagError, LookupError):
        return ""


@functools.cache
def matches(one: str, other: str) -> bool:
    """Return whether two codes mean the same: equal, or one is the plain two-letter language of the other."""
    if one == other:
        return True
    return (_is_plain(one) or _is_plain(other)) and primary(one) != "" and primary(one) == primary(other)


def _is_plain(code: str) -> bool:
    return len(code) == 2 and code.isascii() and code.islower()


def _is_first(tokenizer: Any, ids: Mapping[str, int]) -> bool:
    """Return whether the target's token stands before its text (mBART-50) and not after it (mBART)."""
    code, index = next(iter(ids.items()))
    before = (tokenizer.src_lang, tokenizer.tgt_lang)
    tokenizer.tgt_lang = code
    labels = tokenizer(text_target="a")["input_ids"]
    tokenizer.src_lang, tokenizer.tgt_lang = before
    return labels[0] == index
