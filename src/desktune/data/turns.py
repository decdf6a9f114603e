"""The ``messages`` of one row → turns: system first if at all, then user and assistant in turn, assistant last.

An assistant's turn with ``tool_calls`` is followed by those of the tools. Whether a chat template has a place for all
that is seen when the row is encoded. ``data.train_on`` says which turns are trained, and a turn's ``weight`` (0 or 1,
as in OpenAI's files) says so for itself.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from desktune.rows import Message, Origin, Reject

_ROLES = {
    "system": "system", "user": "user", "assistant": "assistant", "tool": "tool",
    "human": "user", "gpt": "assistant", "chatgpt": "assistant", "model": "assistant", "bot": "assistant",
}  # fmt: skip
_FOLLOWING = {"user": ("assistant",), "assistant": ("user",), "call": ("tool",), "tool": ("tool", "assistant")}
_STRAY = "a turn of a tool that nothing called: the turn before it has no tool_calls"


def conversation(
    origin: Origin, value: Any, train_on: str | Sequence[str] = "assistant"
) -> tuple[Message, ...] | Reject:
    """Return the turns of a row, each with whether it is trained, or the reject that says what is wrong with them."""
    if not isinstance(value, list):
        return Reject(origin, "wrong-type", f"messages is {type(value).__name__}, a list is due")
    turns = []
    for number, entry in enumerate(value, start=1):
        turn = _turn(entry)
        if isinstance(turn, str):
            return Reject(origin, "bad-messages", f"turn {number}: {turn}", str(entry)[:200])
        turns.append(turn)
    turns = _trained(turns, train_on)
    fault = _order_fault(turns)
    if not fault and not any(turn.counts and turn.role == "assistant" for turn in turns):
        fault = "no answer is trained: every one has weight 0"
    return Reject(origin, "bad-messages", fault, str(value)[:200]) if fault else tuple(turns)


def tools_of(origin: Origin, value: Any) -> str | Reject:
    """Return the tools of a row as JSON (some data sets keep them as a text of JSON), nothing where there are none."""
    if isinstance(value, str) and value.strip():
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return Reject(origin, "bad-messages", "its tools are a text that is no JSON", value[:200])
    if not value:
        return ""
    if not isinstance(value, list) or not all(isinstance(tool, Mapping) for tool in value):
        return Reject(origin, "bad-messages", "its tools are no list of objects", str(value)[:200])
    return json.dumps(value, ensure_ascii=False)


def _turn(entry: Any) -> Message | str:
    """Return one turn, or what is wrong with it."""
    if not isinstance(entry, Mapping):
        return f"is {type(entry).__name__}, an object with role and content is due"
    role, content = entry.get("role", entry.get("from")), entry.get("content", entry.get("value"))
    if not isinstance(role, str) or role not in _ROLES:
        return f"the role {role!r} is not system, user, assistant or tool"
    calls = entry.get("tool_calls") or []
    if not isinstance(calls, list) or not all(isinstance(call, Mapping) for call in calls):
        return "its tool_calls are no list of objects"
    content = "" if content is None and calls else content
    if not isinstance(content, str):
        return f"its content is {type(content).__name__}, a text is due"
    if not content.strip() and not calls and _ROLES[role] != "tool":
        return "its content is empty"
    weight = entry.get("weight")
    if weight is not None and (isinstance(weight, bool) or weight not in (0, 1)):
        return f"its weight is {weight!r}, 0 or 1 is due"
    trained = None if weight is None else weight == 1
    return Message(_ROLES[role], content, _extra(entry, [_call(call) for call in calls]), trained)


def _trained(turns: Sequence[Message], train_on: str | Sequence[str]) -> list[Message]:
    """Say of every turn that does not say it whether it is trained, where that is not just the assistant's."""
    if train_on in ("assistant", ["assistant"]):
        return list(turns)
    wanted = {train_on} if isinstance(train_on, str) else set(train_on)
    last = max((index for index, turn in enumerate(turns) if turn.role == "assistant"), default=-1)
    return [
        replace(turn, trained=turn.role in wanted or ("last" in wanted and index == last))
        if turn.trained is None
        else turn
        for index, turn in enumerate(turns)
    ]


def _extra(entry: Mapping[str, Any], calls: list[Any]) -> str:
    """Return what else a template may read of a turn with tools, as JSON; nothing for a turn of text."""
    kept = {name: entry[name] for name in ("name", "tool_call_id") if isinstance(entry.get(name), str)}
    if not calls and "tool" not in (entry.get("role"), entry.get("from")):
        return ""
    return json.dumps(kept | ({"tool_calls": calls} if calls else {}), ensure_ascii=False)


def _call(call: Mapping[str, Any]) -> dict[str, Any]:
    """Return a call with its arguments as an object: some data sets keep them as a text of JSON."""
    function = call.get("function")
    if not isinstance(function, Mapping) or not isinstance(function.get("arguments"), str):
        return dict(call)
    try:
        arguments = json.loads(function["arguments"])
    except (ValueError, RecursionError):
        return dict(call)
    return {**call, "function": {**function, "arguments": arguments}}


def _order_fault(turns: list[Message]) -> str:
    """Return what is wrong with the order of roles, or an empty text."""
    talk = turns[1:] if turns and turns[0].role == "system" else turns
    if any(turn.role == "system" for turn in talk):
        return "a system turn that is not the first"
    if not talk:
        return "no turns"
    if talk[-1].role != "assistant":
        return f"ends with a turn of {talk[-1].role}; the last one is the assistant's, which is trained"
    allowed: tuple[str, ...] = ("user",)
    for turn in talk:
        if turn.role not in allowed:
            return "user and assistant do not take turns, the user first" if turn.role != "tool" else _STRAY
        called = turn.role == "assistant" and "tool_calls" in turn.extra
        allowed = _FOLLOWING["call" if called else turn.role]
    return ""
