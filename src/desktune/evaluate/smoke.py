"""A first look at an untouched base before hours are spent: what it says to a few held-out rows, and what is wrong.

Each finding holds for *all* rows that were tried, since a base that was not trained for the data may do badly on some.
"""

from __future__ import annotations

import math
import random
import unicodedata
from collections.abc import Sequence
from dataclasses import replace

from desktune.evaluate.guard import repeats
from desktune.evaluate.heldout import heldout_loss
from desktune.evaluate.languages import agreed, identified, known, primary
from desktune.evaluate.score import greedy
from desktune.families import Family
from desktune.models.load import Bundle
from desktune.rows import IGNORE, Encoded

MAX_NEW_TOKENS = 32
ABSURD = 3.0  # times the loss of guessing: no sound model is as bad
NEAR_GUESSING = 0.5  # nats per token: closer than this, or worse, the order of the words is tried
LEAST_GAIN, NO_GAIN = 1.0, 0.1  # nats per token
FEWEST_MOVED = 8  # tokens
SEED = 1
FEWEST = 2  # rows that must show the same
GIBBERISH = 0.5  # share of letters in scripts that no source or reference is written in, or of unknown signs
_UNKNOWN = ("\ufffd", "⁇")  # what tokenizers write for bytes and tokens that are no text


def smoke_test(bundle: Bundle, rows: Sequence[Encoded]) -> list[str]:
    """Return what is suspicious about an untouched base on a few rows, each with its cause and what to do."""
    outputs = greedy(bundle, rows, MAX_NEW_TOKENS)
    said = (_loss(bundle, rows), _nothing(outputs), _loops(rows, outputs), _same(rows, outputs))
    return [text for text in (*said, _gibberish(bundle, rows, outputs), _language(rows, outputs)) if text]


def _loss(bundle: Bundle, rows: Sequence[Encoded]) -> str:
    loss = heldout_loss(bundle, rows, len(rows)).loss
    guessing = math.log(bundle.model.config.get_text_config().vocab_size)
    if not math.isfinite(loss):
        return (
            f"the untouched base has a loss of {loss} on validation rows: its weights or precision are wrong; "
            "try model.dtype: float32, or download it again"
        )
    gain = _order_gain(bundle, rows, loss) if loss > guessing - NEAR_GUESSING else math.inf
    if loss > guessing + 1 and (loss > ABSURD * guessing or gain < LEAST_GAIN):
        return (
            f"the untouched base has a loss of {loss:.1f} on validation rows, worse than guessing "
            f"({guessing:.1f}): a wrong tokenizer, weights that were not loaded, or rows of another kind; look at the "
            "rows with desktune show and at the files of model.name"
        )
    if gain < NO_GAIN:
        return (
            f"the untouched base only guesses ({loss:.1f} nats per token on validation rows, guessing is "
            f"{guessing:.1f}), and the order of the words makes no difference to it: its weights look untrained; if "
            "model.name is not meant to be trained from nothing, look at its files"
        )
    return ""


def _order_gain(bundle: Bundle, rows: Sequence[Encoded], loss: float) -> float:
    """Return how much better (nats per token) the model likes the references than the same tokens in any order.

    A sound model that is sure of itself can be worse than guessing on a domain it never saw, yet it knows words. On the
    starters a sound one gains 1.4 to 15 nats per token by the order, one with permuted token ids or scrambled layers
    mostly -1.3 to 1.2. Rows of one or two tokens cannot tell: infinite.
    """
    mixed = [_mixed(row, bundle.family) for row in rows]
    both = ((row.labels, other.labels) for row, other in zip(rows, mixed, strict=True))
    moved = sum(one != two for labels, others in both for one, two in zip(labels, others, strict=True))
    return heldout_loss(bundle, mixed, len(rows)).loss - loss if moved >= FEWEST_MOVED else math.inf


def _mixed(row: Encoded, family: Family) -> Encoded:
    """Return a row whose trained tokens, but the last one, stand in a drawn order."""
    places = [place for place, label in enumerate(row.labels) if label != IGNORE][:-1]
    drawn = random.Random(SEED).sample(places, len(places))
    labels, inputs = list(row.labels), list(row.input_ids)
    causal = not family.encoder_decoder
    for place, source in zip(places, drawn, strict=True):
        labels[place] = row.labels[source]
        if causal:
            inputs[place] = row.labels[source]
    return replace(row, input_ids=tuple(inputs), labels=tuple(labels))


def _nothing(outputs: Sequence[str]) -> str:
    if any(output.strip() for output in outputs):
        return ""
    return (
        "the untouched base answers validation rows with nothing at all: it ends at once, or says only special tokens; "
        "that is usual for a base never trained to answer, else look at its generation_config.json and data.template"
    )


def _loops(rows: Sequence[Encoded], outputs: Sequence[str]) -> str:
    looping = [output for output in outputs if repeats(output)]
    if len(looping) < max(FEWEST, len(rows)) or any(repeats(row.completion) for row in rows):
        return ""
    return (
        f"the untouched base repeats itself without end on all {len(rows)} validation rows ({_shown(looping[0])}): "
        "weights that were not loaded or not trained, or another tokenizer than its own; a base never trained to "
        "answer does this too, and needs more training"
    )


def _same(rows: Sequence[Encoded], outputs: Sequence[str]) -> str:
    inputs = {row.input_ids[: row.prompt_length] for row in rows}
    references = {row.completion.strip() for row in rows}
    if len(inputs) < FEWEST or len(references) < FEWEST or len(set(outputs)) > 1 or not outputs[0].strip():
        return ""
    return (
        f"the untouched base gives the same answer to {len(inputs)} different inputs ({_shown(outputs[0])}): "
        "it does not read them; look at data.template, and whether the weights belong to this model"
    )


def _gibberish(bundle: Bundle, rows: Sequence[Encoded], outputs: Sequence[str]) -> str:
    expected = set().union(*(_scripts(text) for row in rows for text in (row.prompt, row.completion)))
    spoken = [output for output in outputs if output.strip()]
    if len(spoken) < FEWEST or not expected:
        return ""
    unknown = (*_UNKNOWN, str(bundle.tokenizer.unk_token or _UNKNOWN[0]))
    if all(_strange(output, expected, unknown) >= GIBBERISH for output in spoken):
        return (
            f"the untouched base answers in signs that no row is written in ({_shown(spoken[0])}): "
            "another tokenizer than its own, or damaged weights; compare tokenizer and weights of model.name"
        )
    return ""


def _language(rows: Sequence[Encoded], outputs: Sequence[str]) -> str:
    """Judge translations alone: a base that answers in the language it knows best is to be trained out of it."""
    codes = {row.target_lang for row in rows}
    if len(codes) != 1 or (code := codes.pop()) is None:
        return ""
    wanted, answered = known(primary(code)), agreed(outputs)
    wrong = wanted is not None and answered is not None and answered != wanted
    references = {identified(row.completion) for row in rows} - {None}
    if not wrong or references - {wanted} or sum(identified(output) == answered for output in outputs) < FEWEST:
        return ""
    return (
        f"the untouched base answers in {answered!r}, not in data.target_lang {code!r} ({_shown(outputs[0])}): "
        "a model of another direction, or one that has to be told the language; check model.name, data.source_lang and "
        "data.target_lang"
    )


def _strange(output: str, expected: set[str], unknown: Sequence[str]) -> float:
    """Return the share of an output that is unknown signs or letters of a script that is not expected."""
    size = sum(not sign.isspace() for sign in output)
    lost = sum(output.count(one) * len(one) for one in set(unknown))
    for one in set(unknown):
        output = output.replace(one, "")
    foreign = sum(sign.isalpha() and _script(sign) not in expected for sign in output)
    return (lost + foreign) / max(1, size)


def _scripts(text: str) -> set[str]:
    return {_script(sign) for sign in text if sign.isalpha()}


def _script(sign: str) -> str:
    """Return the first word of a letter's name (LATIN, CYRILLIC): Python knows no script property."""
    return unicodedata.name(sign, "UNNAMED").partition(" ")[0]


def _shown(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:59] + "…")
