from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from desktune.config.schema import DataSection
from desktune.data.causal import conversation_ids
from desktune.data.encode import Kit, encode
from desktune.data.specials import Specials
from desktune.data.template import compile_template, render
from desktune.errors import DataError
from desktune.families import FAMILIES
from desktune.rows import IGNORE, Encoded, Example, Message, Origin, Reject, Rendered

HERE = Origin("rows.jsonl", 1)
TALK = (
    Message("system", "be kind"),
    Message("user", "the dog sees"),
    Message("assistant", "a cat"),
    Message("user", "my house"),
    Message("assistant", "is red"),
)
UNMARKED = (
    "{% for message in messages %}<|{{ message['role'] }}|>{{ message['content'] }}</s>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


def kit_of(folder: Path, family: str) -> Kit:
    return Kit.of(AutoTokenizer.from_pretrained(folder), FAMILIES[family], FAMILIES[family].task)


@pytest.fixture
def t5(tiny_t5: Path) -> Kit:
    return kit_of(tiny_t5, "t5")


@pytest.fixture
def marian(tiny_marian: Path) -> Kit:
    return kit_of(tiny_marian, "marian")


@pytest.fixture
def llama(tiny_llama: Path) -> Kit:
    return kit_of(tiny_llama, "llama")


def rendered(example: Example) -> Rendered:
    row = render(example, compile_template("{source}"))
    assert isinstance(row, Rendered)
    return row


def pair(source: str, target: str) -> Rendered:
    return rendered(Example(HERE, "pair", source, target))


def one(row: Rendered, kit: Kit, **settings: Any) -> Encoded:
    (found,) = encode([row], kit, DataSection(**settings))
    assert isinstance(found, Encoded), found
    return found


def test_marian_targets_go_through_the_target_model(marian: Kit) -> None:
    row = one(pair("the dog sees a cat", "le chien voit un chat"), marian)
    assert marian.tokenizer.decode(row.labels, skip_special_tokens=True) == "le chien voit un chat"
    assert list(row.labels) != marian.tokenizer("le chien voit un chat")["input_ids"]
    assert list(row.input_ids) == marian.tokenizer("the dog sees a cat")["input_ids"]
    assert row.labels[-1] == row.input_ids[-1] == marian.tokenizer.eos_token_id


def test_t5_pairs(t5: Kit) -> None:
    row = one(pair("the dog", "le chien"), t5)
    assert t5.tokenizer.decode(row.input_ids) == "the dog</s>"
    assert t5.tokenizer.decode(row.labels) == "le chien</s>"
    assert row.prompt_length == len(row.input_ids)


def test_the_mask_of_a_conversation_is_the_templates(llama: Kit) -> None:
    row = one(rendered(Example(HERE, "messages", messages=TALK)), llama)
    plain = [{"role": message.role, "content": message.content} for message in TALK]
    expected = llama.tokenizer.apply_chat_template(plain, return_assistant_tokens_mask=True, return_dict=True)
    assert list(row.input_ids) == expected["input_ids"]
    assert [int(label != IGNORE) for label in row.labels] == expected["assistant_masks"]
    assert row.prompt_length == expected["assistant_masks"].index(1)
    assert row.completion == "a cat"


def test_without_marks_the_mask_is_found_by_prefixes(llama: Kit) -> None:
    llama.tokenizer.chat_template = UNMARKED
    ids = conversation_ids(llama.tokenizer, TALK, HERE)
    trained = [token for token in ids.labels if token != IGNORE]
    assert llama.tokenizer.decode(trained) == "a cat</s>is red</s>"
    llama.tokenizer.chat_template = UNMARKED.replace("message['content']", "message['content'] if loop.last else 'x'")
    found = conversation_ids(llama.tokenizer, TALK, HERE)
    assert isinstance(found, Reject)
    assert "turn 3 differently" in found.detail


def test_eos_is_added_where_the_template_has_none(llama: Kit) -> None:
    llama.tokenizer.chat_template = UNMARKED.replace("</s>", "")
    ids = conversation_ids(llama.tokenizer, TALK[1:3], HERE)
    assert ids.inputs[-1] == ids.labels[-1] == llama.tokenizer.eos_token_id


def test_the_end_of_turn_is_trained_when_the_marks_leave_it_out(llama: Kit) -> None:
    template = llama.tokenizer.chat_template.replace("</s>{% endgeneration %}", "{% endgeneration %}</s>")
    llama.tokenizer.chat_template = template
    ids = conversation_ids(llama.tokenizer, TALK, HERE)
    assert llama.tokenizer.decode([token for token in ids.labels if token != IGNORE]).count("</s>") == 2


@pytest.mark.parametrize("chat", [True, False])
def test_generation_gets_the_prompt_that_was_trained(llama: Kit, chat: bool) -> None:
    if not chat:
        llama.tokenizer.chat_template = None
    row = one(pair("the dog sees", "a cat"), llama)
    section = DataSection(format="pairs")
    assert llama.encode_prompts(["the dog sees"], section) == [row.input_ids[: row.prompt_length]]
    assert row.labels[-1] == llama.tokenizer.eos_token_id
    assert llama.tokenizer.decode(row.labels[row.prompt_length :]).strip() == "a cat</s>"
    assert set(row.labels[: row.prompt_length]) == {IGNORE}
    if chat:
        assert (
            llama.encode_conversation([Message("user", "the dog sees")], section) == row.input_ids[: row.prompt_length]
        )


def test_plain_text_trains_all_but_its_first_token(llama: Kit) -> None:
    row = one(rendered(Example(HERE, "text", text="the dog sees a cat")), llama)
    assert row.labels == (IGNORE, *row.input_ids[1:])
    assert row.input_ids[0] == llama.tokenizer.bos_token_id
    assert row.labels[-1] == llama.tokenizer.eos_token_id


@pytest.mark.parametrize("family", ["t5", "marian", "llama"])
def test_special_text_in_values_is_text(request: pytest.FixtureRequest, family: str) -> None:
    kit = request.getfixturevalue(family)
    specials = Specials.of(kit.tokenizer)
    eos = kit.tokenizer.eos_token_id
    example = Example(HERE, "pair", "the </s> dog", "le </s> chien")
    cleaned = specials.clean_example(example)
    assert cleaned is not example
    assert specials.clean_example(cleaned) is cleaned
    row = one(rendered(cleaned), kit)
    plain = one(pair("the dog", "le chien"), kit)
    assert (*row.input_ids, *row.labels).count(eos) == (*plain.input_ids, *plain.labels).count(eos)


@pytest.mark.parametrize(("family", "long"), [("t5", "overlong-source"), ("llama", "overlong")])
def test_length_limits(request: pytest.FixtureRequest, family: str, long: str) -> None:
    kit = request.getfixturevalue(family)
    row = pair("the dog sees " * 10, "a cat")
    limits: dict[str, Any] = {"max_source_length": 9, "max_length": 9}
    (dropped,) = encode([row], kit, DataSection(**limits))
    assert isinstance(dropped, Reject)
    assert dropped.reason == long
    with pytest.raises(DataError, match=r"rows\.jsonl:1: overlong"):
        list(encode([row], kit, DataSection(overlong="error", **limits)))


def test_truncation_keeps_eos(t5: Kit, llama: Kit) -> None:
    row = pair("the dog sees", "le chien voit un chat " * 9)
    cut = one(row, t5, overlong="truncate", max_source_length=3, max_target_length=5)
    assert (len(cut.input_ids), len(cut.labels), cut.truncated) == (3, 5, True)
    assert cut.labels[-1] == cut.input_ids[-1] == t5.tokenizer.eos_token_id
    full = one(pair("the dog sees", "a cat " * 40), llama)
    cut = one(pair("the dog sees", "a cat " * 40), llama, overlong="truncate", max_length=20)
    assert cut.input_ids[:19] == full.input_ids[:19]
    assert cut.labels[-1] == cut.input_ids[-1] == llama.tokenizer.eos_token_id
    (gone,) = encode([pair("the dog sees " * 30, "a cat")], llama, DataSection(overlong="truncate", max_length=12))
    assert isinstance(gone, Reject)
    assert gone.reason == "no-trained-token"


def test_rows_without_a_trained_token_are_rejected(llama: Kit) -> None:
    llama.tokenizer.chat_template = (
        "{% for m in messages %}{{ m['content'] }}{% endfor %}{% generation %}{% endgeneration %}"
    )
    (found,) = encode([pair("the dog", "a cat")], llama, DataSection())
    assert isinstance(found, Reject)
    assert found.reason == "no-trained-token"


def test_rows_that_do_not_fit_the_model(t5: Kit, llama: Kit) -> None:
    with pytest.raises(DataError, match="need a causal model"):
        list(encode([rendered(Example(HERE, "messages", messages=TALK))], t5, DataSection()))
    llama.tokenizer.chat_template = None
    with pytest.raises(DataError, match="needs a chat template"):
        list(encode([rendered(Example(HERE, "messages", messages=TALK))], llama, DataSection()))
    (nothing,) = encode([pair("\u200b", "le chien")], t5, DataSection())
    assert isinstance(nothing, Reject)
    assert nothing.reason == "no-source-tokens"
