"""Conversations with tools: trained where the chat template has a place for them, else rejected with the reason."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.corpus.build import CALL, CHAT
from transformers import AutoTokenizer

from desktune.config.schema import DataSection
from desktune.data.encode import Kit
from desktune.data.prepare import prepare
from desktune.events import silent
from desktune.families import FAMILIES
from desktune.rows import IGNORE

TOOLS = [{"type": "function", "function": {"name": "count", "parameters": {}}}]
ANSWER = {"role": "tool", "content": "3", "tool_call_id": "x"}
TEMPLATE = (
    "{% if tools %}tools {{ tools | tojson }}\n{% endif %}{% for m in messages %}{{ m['role'] }}: "
    "{% if m['role'] == 'assistant' %}{% generation %}{{ m['content'] }}"
    "{% if m['tool_calls'] %}call {{ m['tool_calls'][0]['function']['arguments']['n'] }}{% endif %}</s>"
    "{% endgeneration %}{% else %}{{ m['content'] }}\n{% endif %}{% endfor %}"
)


@pytest.fixture
def kit(tiny_llama: Path) -> Kit:
    return Kit.of(AutoTokenizer.from_pretrained(tiny_llama), FAMILIES["llama"], "causal")


def section_of(folder: Path) -> DataSection:
    rows = [
        {"messages": CHAT},
        {"messages": CHAT, "tools": TOOLS},
        {"messages": CHAT, "tools": json.dumps(TOOLS)},
        {"messages": [CHAT[0], CALL, ANSWER, ANSWER, CHAT[1]]},
    ]
    file = folder / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return DataSection(train=str(file), validation=0, max_rejected=1.0)


def test_a_template_with_tools_trains_calls(tmp_path: Path, kit: Kit) -> None:
    kit.tokenizer.chat_template = TEMPLATE
    prepared = prepare(section_of(tmp_path), kit, 1, None, silent)
    assert prepared.rejected == []
    texts = [kit.tokenizer.decode([token for token in row.labels if token != IGNORE]) for row in prepared.train]
    assert [text.count("</s>") for text in texts] == [1, 1, 1, 2]
    assert "call" in texts[3]
    assert "1" in texts[3]  # the arguments came as a text of JSON
    whole = kit.tokenizer.decode(prepared.train[1].input_ids)
    assert "tools" in whole
    assert prepared.train[1].input_ids == prepared.train[2].input_ids
    assert prepared.train[0].key != prepared.train[1].key == prepared.train[2].key


def test_a_template_without_tools_rejects_the_row_and_says_why(tmp_path: Path, kit: Kit) -> None:
    prepared = prepare(section_of(tmp_path), kit, 1, None, silent)
    assert len(prepared.train) == 1
    assert [reject.reason for reject in prepared.rejected] == ["tools"] * 3
    assert "leaves out the tools" in prepared.rejected[0].detail
    source = prepared.ledger.sources["train"]
    assert source.read == source.kept + sum(source.rejected.values()) == 4


def test_a_template_that_refuses_such_turns_is_quoted(tmp_path: Path, kit: Kit) -> None:
    kit.tokenizer.chat_template = TEMPLATE.replace(
        "{% for m in messages %}",
        "{% for m in messages %}{% if m['role'] == 'tool' %}{{ raise_exception('no tools here') }}{% endif %}",
    )
    prepared = prepare(section_of(tmp_path), kit, 1, None, silent)
    assert [reject.detail for reject in prepared.rejected] == ["the chat template takes no such turns: no tools here"]
