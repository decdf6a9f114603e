"""The ``messages`` of one row → turns: system first if at all, then user and assistant in turn, assistant last."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from desktune.rows import Message, Origin, Reject

_ROLES = {
    "system": "system", "user": "user", "assistant": "assistant",
    "human": "user", "gpt": "assistant", "chatgpt": "assistant", "model": "assistant", "bot": "assistant",
}  # fmt: skip
_TOOL_ROLES = frozenset({"tool", "function", "observation", "function_call", "function_response"})


def conversation(origin: Origin, value: Any, tools: Any = None) -> tuple[Message, ...] | Reject:
    """Return the turns of a row, or the reject that says what is wrong with them; ``tools`` is the row's field."""
    if not isinstance(value, list):
        return Reject(origin, "wrong-type", f"messages is {type(value).__name__}, a list is due")
    called = next((number for number, entry in enumerate(value, start=1) if _calls(entry)), 0)
    if called or tools:
        where = f"turn {called} calls a tool" if called else "the row offers tools"
        return Reject(origin, "tools", f"{where}; desktune trains conversations of text only", str(value)[:200])
    turns = []
    for number, entry in enumerate(value, start=1):
        turn = _turn(entry)
        if isinstance(turn, str):
            return Reject(origin, "bad-messages", f"turn {number}: {turn}", str(entry)[:200])
        turns.append(turn)
    fault = _order_fault([turn.role for turn in turns])
    return Reject(origin, "bad-messages", fault, str(value)[:200]) if fault else tuple(turns)


def _calls(entry: Any) -> bool:
    """Say whether a turn calls a tool, or is a tool's answer."""
    if not isinstance(entry, Mapping):
        return False
    role = entry.get("role", entry.get("from"))
    return bool(entry.get("tool_calls") or entry.get("function_call")) or (
        isinstance(role, str) and role in _TOOL_ROLES
    )


def _turn(entry: Any) -> Message | str:
    """Return one turn, or what is wrong with it."""
    if not isinstance(entry, Mapping):
        return f"is {type(entry).__name__}, an object with role and content is due"
    role, content = entry.get("role", entry.get("from")), entry.get("content", entry.get("value"))
    if not isinstance(role, str) or role not in _ROLES:
        return f"the role {role!r} is not system, user or assistant"
    if not isinstance(content, str):
        return f"its content is {type(content).__name__}, a text is due"
    if not content.strip():
        return "its content is empty"
    return Message(_ROLES[role], content)


def _order_fault(roles: list[str]) -> str:
    """Return what is wrong with the order of roles, or an empty text."""
    talk = roles[1:] if roles[:1] == ["system"] else roles
    if "system" in talk:
        return "a system turn that is not the first"
    if not talk:
        return "no turns"
    if talk[-1] != "assistant":
        return f"ends with a turn of {talk[-1]}; the last one is the assistant's, which is trained"
    expected = ["user" if index % 2 == 0 else "assistant" for index in range(len(talk))]
    return "" if talk == expected else "user and assistant do not take turns, the user first"
