"""Rows → ids and labels of a causal model: context is ``IGNORE``, the answer and its end are trained.

A conversation goes through the tokenizer's chat template. Which tokens are the assistant's, the template says itself
(``{% generation %}``); without that mark the template is rendered turn by turn, and each rendering must be the
beginning of the next. A pair becomes a conversation where there is a chat template, so that the tuned model answers as
chat programs will ask it. Without one it is prompt, line end (unless white space stands there already) and completion,
cut into tokens apart, so that the prompt's ids are what generation is given, to the token.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import jinja2

from desktune.data import sandbox
from desktune.errors import DataError
from desktune.rows import IGNORE, Message, Origin, Reject, Rendered

_MARKED = re.compile(r"\{%-?\s*generation\b")


@dataclass(frozen=True, slots=True)
class Ids:
    """Token ids and labels before the length limits; ``context`` tokens go before the first trained answer.

    None: those before the first label.
    """

    inputs: list[int]
    labels: list[int]
    context: int | None = None


def text_ids(tokenizer: Any, row: Rendered) -> Ids | Reject:
    """Encode plain text: all of it is trained but the token that opens it, which nothing predicts."""
    ids = tokenizer(row.completion, verbose=False)["input_ids"]
    if set(tokenizer.all_special_ids).issuperset(ids):
        return Reject(row.origin, "no-target-tokens", "the tokenizer makes nothing of it", row.completion[:200])
    ids = _with_eos(tokenizer, ids)
    return Ids(ids, [IGNORE, *ids[1:]])


def pair_ids(tokenizer: Any, row: Rendered) -> Ids | Reject:
    """Encode prompt and completion apart and put them together, EOS last."""
    prompt = plain_prompt_ids(tokenizer, row.prompt, pair=not row.completion[:1].isspace())
    completion = tokenizer(row.completion, add_special_tokens=False, verbose=False)["input_ids"]
    if not completion:
        return Reject(row.origin, "no-target-tokens", "the tokenizer makes nothing of it", row.completion[:200])
    completion = _with_eos(tokenizer, completion)
    return Ids([*prompt, *completion], [*[IGNORE] * len(prompt), *completion])


def plain_prompt_ids(tokenizer: Any, prompt: str, *, pair: bool) -> list[int]:
    """Return a prompt without chat template, and for a ``pair`` the line end that parts it from the answer."""
    text = f"{prompt}\n" if pair and not prompt[-1:].isspace() else prompt
    ids = tokenizer(text, verbose=False)["input_ids"]
    return ids[:-1] if len(ids) > 1 and ids[-1] == tokenizer.eos_token_id else ids


def as_conversation(row: Rendered) -> tuple[Message, ...]:
    """Return a pair as question and answer."""
    return (Message("user", row.prompt), Message("assistant", row.completion))


def conversation_prompt_ids(tokenizer: Any, messages: Sequence[Message]) -> list[int]:
    """Return a conversation up to where the assistant starts to answer."""
    try:
        return _Talk(tokenizer, messages).rendered(answer_next=True)
    except (jinja2.TemplateError, TypeError, ValueError) as error:
        raise DataError(f"the chat template takes no such turns: {str(error)[:200]}") from error


def conversation_ids(tokenizer: Any, messages: Sequence[Message], origin: Origin, tools: str = "") -> Ids | Reject:
    """Encode a conversation; trained are the turns that say so (``Message.counts``), each with the token that ends it.

    A turn of another role than the assistant's is trained with the words that the template puts around it.

    Args:
        tokenizer: Of transformers.
        messages: The turns.
        origin: Of the row.
        tools: JSON of the tools that are offered.

    Returns:
        The ids, or a reject: the template refuses the turns, leaves tools or their calls out, or renders turns so that
        their tokens cannot be told apart.

    Raises:
        DataError: the tokenizer has no chat template.
    """
    if not tokenizer.chat_template:
        raise DataError(
            f"{origin}: a conversation needs a chat template and this tokenizer has none; train on pairs instead"
        )
    try:
        fault = _tools_fault(tokenizer, messages, tools) if tools or any(turn.extra for turn in messages) else ""
        if fault:
            return Reject(origin, "tools", fault, messages[0].content[:200])
        return _trained(_Talk(tokenizer, messages, json.loads(tools) if tools else None))
    except (jinja2.TemplateError, TypeError, ValueError) as error:
        fault = f"the chat template takes no such turns: {str(error)[:200]}"
    except _NotTold as error:
        fault = str(error)
    return Reject(origin, "chat-template", fault, messages[0].content[:200])


class _NotTold(Exception):
    """The tokens of a turn cannot be told from those around it."""


@dataclass(frozen=True, slots=True)
class _Talk:
    """A conversation and what renders it."""

    tokenizer: Any
    messages: Sequence[Message]
    tools: Any = None

    def before(self, index: int) -> list[int]:
        """Return the ids of what stands before a turn, an answer's opening words among them."""
        if self.messages[index].role == "assistant":
            return self.rendered(index, answer_next=True)
        return self.rendered(index) if index else []

    def rendered(self, turns: int | None = None, *, answer_next: bool = False) -> list[int]:
        """Return the ids of the first turns."""
        messages = _plain(self.messages[:turns])
        return list(
            sandbox.apply(
                self.tokenizer, messages, tools=self.tools, add_generation_prompt=answer_next, return_dict=True
            )["input_ids"]
        )


def _tools_fault(tokenizer: Any, messages: Sequence[Message], tools: str) -> str:
    """Return why a conversation with tools cannot be trained with this chat template, or an empty text."""
    whole = _Talk(tokenizer, messages, json.loads(tools) if tools else None).rendered()
    if tools and _Talk(tokenizer, messages).rendered() == whole:
        return "the chat template leaves out the tools that the row offers"
    for index, message in enumerate(messages):
        bare = [*messages[:index], Message(message.role, message.content), *messages[index + 1 :]]
        if "tool_calls" in message.extra and not _differs(tokenizer, bare, tools, whole):
            return f"the chat template leaves out the tool calls of turn {index + 1}"
    return ""


def _differs(tokenizer: Any, messages: Sequence[Message], tools: str, whole: list[int]) -> bool:
    """Say whether these turns are rendered otherwise; a template that refuses them does."""
    try:
        return _Talk(tokenizer, messages, json.loads(tools) if tools else None).rendered() != whole
    except (jinja2.TemplateError, TypeError, ValueError):
        return True


def _trained(talk: _Talk) -> Ids:
    """Return the ids with the wanted turns trained. Raises _NotTold, and what the template raises."""
    template = talk.tokenizer.chat_template
    marked = isinstance(template, str) and _MARKED.search(template)
    ids, spoken = _marked(talk) if marked else (talk.rendered(), None)
    if spoken is not None and all(turn.counts == (turn.role == "assistant") for turn in talk.messages):
        return _with_ends(talk, ids, spoken)
    mask = [0] * len(ids)
    for turn, start, end in _spans(talk, ids):
        said = None if turn.role != "assistant" else spoken
        mask[start:end] = [1] * (end - start) if said is None else said[start:end]
    return _with_ends(talk, ids, mask)


def _marked(talk: _Talk) -> tuple[list[int], list[int]]:
    """Take the template's own marks; transformers 5.23 forgets all but the first byte of a sign that ends a span."""
    found = sandbox.apply(
        talk.tokenizer,
        _plain(talk.messages),
        tools=talk.tools,
        return_assistant_tokens_mask=True,
        return_dict=True,
        tokenizer_kwargs={"return_offsets_mapping": True},
    )
    mask, places = list(found["assistant_masks"]), found["offset_mapping"]
    for index in range(1, len(mask)):
        if mask[index - 1] and places[index][0] < places[index - 1][1]:  # the same sign, cut into bytes
            mask[index] = 1
    return list(found["input_ids"]), mask


def _spans(talk: _Talk, whole: list[int]) -> Iterator[tuple[Message, int, int]]:
    """Yield the trained turns with their tokens, found by rendering the conversation up to before and after each."""
    eos = talk.tokenizer.eos_token_id
    for index, message in enumerate(talk.messages):
        if not message.counts:
            continue
        before = talk.before(index)
        after = talk.rendered(index + 1)
        if whole[: len(before)] != before or whole[: len(after)] != after or len(after) <= len(before):
            raise _NotTold(
                f"the chat template renders turn {index + 1} differently once more turns follow (or not at all), so "
                "its tokens cannot be told apart; give the template {% generation %} marks, train on the last answer "
                "(data.train_on: last), or keep one answer per row"
            )
        end = len(after)
        while end > len(before) + 1 and whole[end - 1] != eos and eos in whole[len(before) : end]:
            end -= 1
        yield message, len(before), end


def _first_answer(talk: _Talk) -> int:
    """Return where the first trained answer begins: what stands before is what generation is given."""
    turns = enumerate(talk.messages)
    return len(talk.before(next(index for index, turn in turns if turn.counts and turn.role == "assistant")))


def _with_ends(talk: _Talk, ids: list[int], mask: list[int]) -> Ids:
    """Train the EOS that follows a trained turn, and add one where the template ends without."""
    eos = talk.tokenizer.eos_token_id
    for index in range(1, len(ids)):
        if mask[index - 1] and not mask[index] and ids[index] == eos and ids[index - 1] != eos:
            mask[index] = 1
    labels = [token if trained else IGNORE for token, trained in zip(ids, mask, strict=True)]
    labels[0] = IGNORE  # nothing predicts the first token
    last = max((index for index, trained in enumerate(mask) if trained), default=-1)
    if last >= 0 and talk.messages[-1].counts and eos not in ids[last:]:
        ids, labels = [*ids, eos], [*labels, eos]
    others = any(turn.counts for turn in talk.messages if turn.role != "assistant")
    return Ids(ids, labels, _first_answer(talk) if others else None)


def _plain(messages: Sequence[Message]) -> list[dict[str, Any]]:
    return [
        {"role": message.role, "content": message.content, **(json.loads(message.extra) if message.extra else {})}
        for message in messages
    ]


def _with_eos(tokenizer: Any, ids: list[int]) -> list[int]:
    return ids if ids and ids[-1] == tokenizer.eos_token_id else [*ids, tokenizer.eos_token_id]
