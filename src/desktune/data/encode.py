"""Rendered rows → token ids and labels, in batches, since tokenizers are many times faster so.

Sequence-to-sequence: the source as the tokenizer writes it, the target through ``text_target`` (Marian has a second
sentencepiece model for it), EOS last, with the language tokens of the row's own direction (``languages.py``). Causal:
``causal.py``. Special-token text in values was made harmless before (``specials.py``).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from desktune.config.schema import DataSection
from desktune.data.causal import (
    Ids,
    as_conversation,
    conversation_ids,
    conversation_prompt_ids,
    pair_ids,
    plain_prompt_ids,
    text_ids,
)
from desktune.data.identity import tokenizer_hash
from desktune.data.read import row_kind
from desktune.data.specials import Specials
from desktune.data.template import compile_template, fill
from desktune.errors import DataError
from desktune.families import Family
from desktune.languages import Direction, Languages
from desktune.rows import IGNORE, Encoded, Message, Reject, Rendered, Task

BATCH_ROWS = 512
DATA_VERSION = 3  # raise it when the same rows would be encoded otherwise: prepared rows are then made anew


@dataclass(frozen=True)
class Kit:
    """What turns text into ids: a tokenizer of transformers, its hash, and the family's rules.

    ``languages`` are the codes of a model that is told languages, else None.
    """

    tokenizer: Any
    tokenizer_hash: str
    family: Family
    task: Task
    languages: Languages | None = None

    @classmethod
    def of(cls, tokenizer: Any, family: Family, task: Task) -> Kit:
        """Return the kit of a tokenizer."""
        return cls(tokenizer, tokenizer_hash(tokenizer), family, task, Languages.of(tokenizer, family))

    @property
    def ends(self) -> list[int]:
        """The last labels that a whole row can have: EOS, and languages where they follow it."""
        return [int(self.tokenizer.eos_token_id), *(self.languages.ids.values() if self.languages else ())]

    @property
    def specials(self) -> Specials:
        """The texts that the tokenizer would take for special tokens."""
        return Specials.of(self.tokenizer, self.languages, self.family.source_opening)

    def encode_prompts(
        self, texts: Sequence[str], section: DataSection, direction: Direction = (None, None)
    ) -> list[tuple[int, ...]]:
        """Return texts as rows of the training data are read, up to where the model goes on.

        Args:
            texts: What the model reads, before the template.
            section: ``data:``.
            direction: The tokenizer's codes of source and target, for a model that is told languages.

        Raises:
            DataError: the template reads another field than ``{source}``, or a text is empty.
        """
        specials = self.specials
        cleaned = [specials.clean(text) for text in texts]
        kind = row_kind(section) if self.task == "causal" else "pair"
        if kind == "pair":
            template = compile_template(section.template)
            cleaned = [fill(template, {"source": text}, "a text without other fields") for text in cleaned]
        if any(not text.strip() for text in cleaned):
            raise DataError("an empty text; the model needs something to answer")
        if self.family.encoder_decoder:
            return [tuple(ids) for ids in _sources(cleaned, self, direction)]
        if kind == "text" or not self.tokenizer.chat_template:
            return [tuple(plain_prompt_ids(self.tokenizer, text, pair=kind != "text")) for text in cleaned]
        return [tuple(conversation_prompt_ids(self.tokenizer, [Message("user", text)])) for text in cleaned]

    def encode_conversation(
        self, messages: Sequence[Message], section: DataSection, direction: Direction = (None, None)
    ) -> tuple[int, ...]:
        """Return a conversation up to where the model answers; without a chat template the last turn alone."""
        if self.family.encoder_decoder or not self.tokenizer.chat_template:
            return self.encode_prompts([messages[-1].content], section, direction)[0]
        specials = self.specials
        cleaned = [Message(message.role, specials.clean(message.content)) for message in messages]
        return tuple(conversation_prompt_ids(self.tokenizer, cleaned))


def encode(rows: Iterable[Rendered], kit: Kit, section: DataSection) -> Iterator[Encoded | Reject]:
    """Yield every row as ids, or as the reject that a length limit made of it, in order.

    Raises:
        DataError: a row does not fit the model (a conversation for an encoder-decoder), or is over a limit with
            ``overlong: error``.
    """
    rows = iter(rows)
    batch_ids = _source_target if kit.family.encoder_decoder else _causal
    while batch := list(islice(rows, BATCH_ROWS)):
        for row, ids in zip(batch, batch_ids(batch, kit), strict=True):
            yield _finished(row, ids, kit, section)


def _source_target(rows: Sequence[Rendered], kit: Kit) -> Iterator[Ids | Reject]:
    """Encode sources and targets of one batch, each direction by itself, in the order of the rows."""
    other = next((row for row in rows if row.kind != "pair"), None)
    if other is not None:
        raise DataError(
            f"{other.origin}: {other.kind} rows need a causal model, {kit.family.name} takes pairs of source and "
            "target; "
            "choose one with model.name"
        )
    done: dict[int, Ids | Reject] = {}
    groups: dict[Direction, list[int]] = {}
    for index, row in enumerate(rows):
        direction = _direction(row, kit.languages)
        if isinstance(direction, Reject):
            done[index] = direction
        else:
            groups.setdefault(direction, []).append(index)
    for direction, chosen in groups.items():
        found = _pairs([rows[index] for index in chosen], kit, direction)
        done.update(zip(chosen, found, strict=True))
    return (done[index] for index in range(len(rows)))


def _direction(row: Rendered, languages: Languages | None) -> Direction | Reject:
    """Return the codes that the model is told for a row, or the reject of a row that does not say them."""
    if languages is None:
        return None, None
    target = languages.find(row.target_lang) if row.target_lang else None
    source = languages.find(row.source_lang) if row.source_lang else None
    for side, said, code in (("target", row.target_lang, target), ("source", row.source_lang, source)):
        if code is None and not (side == "source" and languages.in_source):
            fault = languages.fault(said) if said else f"no {side} language; set data.{side}_lang, or give rows a field"
            return Reject(row.origin, "unknown-language", fault, row.prompt[:200])
    return source, target


def _pairs(rows: Sequence[Rendered], kit: Kit, direction: Direction) -> Iterator[Ids | Reject]:
    """Encode the rows of one direction."""
    specials = set(kit.tokenizer.all_special_ids) - {kit.tokenizer.unk_token_id}
    specials.update(kit.languages.ids.values() if kit.languages else ())
    sources = _sources([row.prompt for row in rows], kit, direction)
    with _spoken(kit, direction):
        targets = kit.tokenizer(text_target=[row.completion for row in rows], verbose=False)["input_ids"]
    for row, source, target in zip(rows, sources, targets, strict=True):
        lost = "source" if specials.issuperset(source) else "target" if specials.issuperset(target) else ""
        if lost:
            yield Reject(
                row.origin,
                f"no-{lost}-tokens",
                "the tokenizer makes nothing of it",
                (row.prompt, row.completion)[lost == "target"][:200],
            )
        else:
            yield Ids(source, _labels(target, kit))


def _sources(texts: Sequence[str], kit: Kit, direction: Direction) -> list[list[int]]:
    prefix = "" if kit.languages is None else kit.languages.prefix(direction[1])
    with _spoken(kit, direction):
        return kit.tokenizer([prefix + text for text in texts], verbose=False)["input_ids"]


def _spoken(kit: Kit, direction: Direction) -> contextlib.AbstractContextManager:
    return contextlib.nullcontext() if kit.languages is None else kit.languages.spoken(kit.tokenizer, direction)


def _labels(target: list[int], kit: Kit) -> list[int]:
    """Return a target with its EOS (mBART's language follows it), without a BOS that the decoder starts with anyway."""
    eos, bos = kit.tokenizer.eos_token_id, kit.tokenizer.bos_token_id
    if kit.family.decoder_start == "bos" and target[0] == bos:
        target = target[1:]
    return target if eos in target[-2:] else [*target, eos]


def _causal(rows: Sequence[Rendered], kit: Kit) -> Iterator[Ids | Reject]:
    for row in rows:
        if row.kind == "text":
            ids = text_ids(kit.tokenizer, row)
        elif row.kind == "messages":
            ids = conversation_ids(kit.tokenizer, row.messages, row.origin, row.tools)
        elif kit.tokenizer.chat_template:
            ids = conversation_ids(kit.tokenizer, as_conversation(row), row.origin)
        else:
            ids = pair_ids(kit.tokenizer, row)
        yield ids


def _finished(row: Rendered, ids: Ids | Reject, kit: Kit, section: DataSection) -> Encoded | Reject:
    """Apply the length limits and put ids and row together."""
    if isinstance(ids, Reject):
        return ids
    if all(label == IGNORE for label in ids.labels):
        detail = "the chat template marks nothing as the assistant's"
        return Reject(row.origin, "no-trained-token", detail, row.completion[:200])
    limits = (section.max_length, section.max_length)
    if kit.family.encoder_decoder:
        limits = (section.max_source_length, section.max_target_length)
    lengths = (len(ids.inputs), len(ids.labels))
    over = [index for index in (0, 1) if lengths[index] > limits[index]]
    if over:
        side = ("overlong-source", "overlong-target")[over[0]] if kit.family.encoder_decoder else "overlong"
        detail = f"{lengths[over[0]]:,} tokens, {limits[over[0]]:,} are allowed"
        if section.overlong == "error":
            raise DataError(f"{row.origin}: {side}: {detail}; raise the limit, or set data.overlong: drop or truncate")
        if section.overlong == "drop":
            return Reject(row.origin, side, detail, (row.prompt or row.completion)[:200])
        ids = _cut(ids, limits, kit)
        if all(label in (IGNORE, *kit.ends) for label in ids.labels[ids.context or 0 :]):
            return Reject(
                row.origin, "no-trained-token", f"{side}: {detail}; nothing of the answer is left", row.completion[:200]
            )
    context = len(ids.inputs)
    if not kit.family.encoder_decoder:
        first = next(index for index, label in enumerate(ids.labels) if label != IGNORE)
        context = first if ids.context is None else ids.context
    source_lang, target_lang = row.source_lang, row.target_lang
    if kit.languages is not None:  # the tokenizer's own spelling from here on
        source_lang, target_lang = (code and (kit.languages.find(code) or code) for code in (source_lang, target_lang))
    return Encoded(
        row.origin, tuple(ids.inputs), tuple(ids.labels), context, row.prompt, row.completion,
        source_lang, target_lang, row.key, bool(over),
    )  # fmt: skip


def _cut(ids: Ids, limits: tuple[int, int], kit: Kit) -> Ids:
    """Cut both sides to their limits; what ended in EOS (and mBART's language after it) still does."""
    eos = kit.tokenizer.eos_token_id
    after_eos = 1 if kit.family.encoder_decoder else 0
    inputs, labels = (
        _cut_side(side, limit, eos, after_eos) for side, limit in zip((ids.inputs, ids.labels), limits, strict=True)
    )
    if not kit.family.encoder_decoder and ids.labels[-1] == IGNORE:
        labels = [*ids.labels[: limits[1] - 1], IGNORE if ids.labels[limits[1] - 1] == IGNORE else eos]
        inputs = [*ids.inputs[: limits[0] - 1], eos]
    return Ids(inputs, labels, ids.context)


def _cut_side(ids: list[int], limit: int, eos: int, after_eos: int) -> list[int]:
    """Cut to a limit; EOS and up to ``after_eos`` tokens behind it stay."""
    if len(ids) <= limit:
        return ids
    end = next((ids[-count:] for count in range(1, 2 + after_eos) if ids[-count] == eos), [])
    return [*ids[: max(0, limit - len(end))], *end]
