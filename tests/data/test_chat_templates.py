"""Ids and labels of conversations, against the template's own marks in transformers and against TRL's preparation.

Every template stands here twice: as a tokenizer would ship it, and with ``{% generation %}`` marks around what the
assistant says and the token that ends it. We get the first; transformers and TRL get the second.
"""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.zoo.causal import CHAT_TEMPLATE, CHATML
from tests.zoo.common import EN

from desktune.config.schema import DataSection, ModelSection
from desktune.data.causal import conversation_ids
from desktune.data.encode import Kit, encode
from desktune.data.template import compile_template, render
from desktune.data.turns import conversation
from desktune.families import FAMILIES
from desktune.models.load import load_tokenizer, locate
from desktune.rows import IGNORE, Encoded, Example, Message, Origin, Reject

Zoo = Callable[[str], Path]
ROWS = 200
HERE = Origin("rows.jsonl", 1)
_CHATML_MARKED = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['role'] == 'assistant' %}{% generation %}{{ message['content'] }}<|im_end|>{% endgeneration %}"
    "{% else %}{{ message['content'] }}<|im_end|>{% endif %}{{ '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
_INST = (
    "{% if messages[0]['role'] == 'system' %}{% set system = '<<SYS>>\n' + messages[0]['content'] + '\n<</SYS>>\n\n' %}"
    "{% set turns = messages[1:] %}{% else %}{% set system = '' %}{% set turns = messages %}{% endif %}"
    "{% for message in turns %}{% if message['role'] == 'user' %}"
    "{{ bos_token }}[INST] {{ (system if loop.first else '') + message['content'] }} [/INST]"
    "{% else %}BEFORE {{ message['content'] }} {{ eos_token }}AFTER{% endif %}{% endfor %}"
)


@dataclass(frozen=True)
class Template:
    model: str
    shipped: str
    marked: str


TEMPLATES = {
    "with marks": Template("llama", CHAT_TEMPLATE, CHAT_TEMPLATE),
    "ChatML": Template("qwen3", CHATML, _CHATML_MARKED),
    "[INST]": Template(
        "llama",
        _INST.replace("BEFORE", "").replace("AFTER", ""),
        _INST.replace("BEFORE", "{% generation %}").replace("AFTER", "{% endgeneration %}"),
    ),
}


def tokenizer_of(template: Template, text: str, zoo: Zoo) -> Any:
    tokenizer = load_tokenizer(locate(ModelSection(name=str(zoo(template.model)))))
    tokenizer.chat_template = text
    return tokenizer


def conversations(count: int = ROWS, seed: int = 7) -> list[list[dict[str, str]]]:
    """One to four exchanges, every second row with a system turn; signs, line ends, one-letter turns."""
    rng = random.Random(seed)
    words = sorted({word for line in EN for word in line.split()})

    def text() -> str:
        said = " ".join(rng.choices(words, k=rng.randint(1, 8)))
        return rng.choice((said, said + ".", f"{said}\n{said}", f"{said}: 12, 13!", rng.choice("aI7"), "“Ünï” 日"))

    rows = []
    for index in range(count):
        turns = [{"role": "system", "content": text()}] if index % 2 else []
        for _ in range(rng.randint(1, 4)):
            turns += [{"role": "user", "content": text()}, {"role": "assistant", "content": text()}]
        rows.append(turns)
    return rows


def ours(tokenizer: Any, turns: list[dict[str, str]]) -> tuple[list[int], list[int]]:
    ids = conversation_ids(tokenizer, [Message(**turn) for turn in turns], HERE)
    return ids.inputs, ids.labels


def labels(ids: list[int], mask: list[int]) -> list[int]:
    return [token if trained else IGNORE for token, trained in zip(ids, mask, strict=True)]


def test_the_rows_have_what_they_must() -> None:
    rows = conversations()
    assert len(rows) == ROWS
    assert sum(row[0]["role"] == "system" for row in rows) == ROWS // 2
    assert {sum(turn["role"] == "assistant" for turn in row) for row in rows} == {1, 2, 3, 4}


@pytest.mark.parametrize("name", list(TEMPLATES))
def test_ids_and_labels_are_those_of_the_marks(name: str, zoo: Zoo) -> None:
    """Every answer with its end, and nothing else, whether the template says so or it is found by rendering turns."""
    template = TEMPLATES[name]
    shipped, marked = (tokenizer_of(template, text, zoo) for text in (template.shipped, template.marked))
    for turns in conversations():
        found = marked.apply_chat_template(turns, return_assistant_tokens_mask=True, return_dict=True)
        assert ours(shipped, turns) == (found["input_ids"], labels(found["input_ids"], found["assistant_masks"]))
        ends = sum(label == shipped.eos_token_id for label in ours(shipped, turns)[1])
        assert ends == sum(turn["role"] == "assistant" for turn in turns)


@pytest.mark.parametrize("name", list(TEMPLATES))
def test_ids_and_labels_are_those_of_trl(name: str, zoo: Zoo, tmp_path: Path) -> None:
    template = TEMPLATES[name]
    shipped, marked = (tokenizer_of(template, text, zoo) for text in (template.shipped, template.marked))
    rows = conversations()
    prepared = trl_rows(zoo(template.model), marked, rows, tmp_path)
    assert len(prepared) == ROWS
    for turns, (ids, wanted) in zip(rows, prepared, strict=True):
        assert ours(shipped, turns) == (ids, wanted)


@pytest.mark.parametrize("name", ["ChatML", "[INST]"])
def test_only_the_ends_differ_where_a_template_has_none(name: str, zoo: Zoo) -> None:
    """We end the last answer, since the tuned model would never stop otherwise; TRL and the marks add nothing.

    ChatML's line end behind an answer is all that ends it then, and is trained with it.
    """
    template = TEMPLATES[name]
    shipped, marked = (tokenizer_of(template, without_ends(text), zoo) for text in (template.shipped, template.marked))
    line_end = shipped("\n", add_special_tokens=False)["input_ids"]
    differences = []
    for turns in conversations():
        ids, wanted = ours(marked, turns)
        found, mine = ours(shipped, turns)
        assert found == ids
        assert found == [*marked.apply_chat_template(turns, return_dict=True)["input_ids"], shipped.eos_token_id]
        assert mine[-1] == wanted[-1] == shipped.eos_token_id
        differences += [one for one, other in zip(mine, wanted, strict=True) if one != other]
    answers = sum(turn["role"] == "assistant" for turns in conversations() for turn in turns)
    assert differences == (line_end * answers if name == "ChatML" else [])


@pytest.mark.parametrize("name", ["with marks", "ChatML", "[INST]"])
def test_marks_that_end_in_a_sign_of_several_tokens(name: str, zoo: Zoo) -> None:
    """transformers marks the first byte of the last sign only; then its rest and the end behind it are not trained."""
    template = TEMPLATES[name]
    text = template.marked
    for end in ("</s>", "<|im_end|>", " {{ eos_token }}"):
        text = text.replace(end + "{% endgeneration %}", "{% endgeneration %}" + end.strip())
    tokenizer = tokenizer_of(template, text, zoo)
    turns = [{"role": role, "content": content} for content in ("a 日", "the 本") for role in ("user", "assistant")]
    found = tokenizer.apply_chat_template(turns, return_assistant_tokens_mask=True, return_dict=True)
    assert "日" not in tokenizer.decode([i for i, mark in zip(*found_pairs(found), strict=True) if mark])
    trained = tokenizer.decode([label for label in ours(tokenizer, turns)[1] if label != IGNORE])
    end = tokenizer.eos_token
    assert [part.strip() for part in trained.split(end)] == ["a 日", "the 本", ""]


def found_pairs(found: Any) -> tuple[list[int], list[int]]:
    return found["input_ids"], found["assistant_masks"]


def without_ends(text: str) -> str:
    return text.replace("<|im_end|>", "").replace(" {{ eos_token }}", "")


def trl_rows(folder: Path, tokenizer: Any, rows: list, tmp_path: Path) -> list[tuple[list[int], list[int]]]:
    """Return what SFTTrainer made of conversations, ids and labels."""
    trl, datasets = pytest.importorskip("trl"), pytest.importorskip("datasets")
    from transformers import AutoModelForCausalLM

    datasets.disable_progress_bars()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the libraries among themselves
        trainer = trl.SFTTrainer(
            model=AutoModelForCausalLM.from_pretrained(folder),
            args=trl.SFTConfig(
                str(tmp_path), assistant_only_loss=True, max_length=None, report_to="none", use_cpu=True, bf16=False
            ),
            train_dataset=datasets.Dataset.from_list([{"messages": turns} for turns in rows]),
            processing_class=tokenizer,
        )
    done = trainer.train_dataset
    if "labels" in done.column_names:
        return [(list(row["input_ids"]), list(row["labels"])) for row in done]
    return [(list(row["input_ids"]), labels(row["input_ids"], row["assistant_masks"])) for row in done]


TALK = [
    {"role": "system", "content": "be brief"},
    {"role": "user", "content": "the dog"},
    {"role": "assistant", "content": "a cat"},
    {"role": "user", "content": "the house"},
    {"role": "assistant", "content": "is red"},
]


def trained(name: str, zoo: Zoo, turns: Any, train_on: Any) -> tuple[str, str]:
    """Return the text that is trained, and what generation is given."""
    template = TEMPLATES[name]
    tokenizer = tokenizer_of(template, template.shipped, zoo)
    talk = conversation(HERE, turns, train_on)
    assert not isinstance(talk, Reject), talk
    row = render(Example(HERE, "messages", messages=talk), compile_template("{source}"))
    kit = Kit.of(tokenizer, FAMILIES[template.model], "causal")
    (found,) = encode([row], kit, DataSection())
    assert isinstance(found, Encoded), found
    said = [token for token in found.labels if token != IGNORE]
    return tokenizer.decode(said), tokenizer.decode(found.input_ids[: found.prompt_length])


@pytest.mark.parametrize(
    ("train_on", "weights", "answers"),
    [
        ("assistant", {}, ["a cat", "is red"]),
        ("last", {}, ["is red"]),
        (["last"], {}, ["is red"]),
        ("assistant", {2: 0}, ["is red"]),
        ("assistant", {4: 0}, ["a cat"]),
        ("last", {2: 1}, ["a cat", "is red"]),
    ],
)
@pytest.mark.parametrize("name", list(TEMPLATES))
def test_answers_that_are_trained(
    name: str, train_on: str, weights: dict[int, int], answers: list[str], zoo: Zoo
) -> None:
    """``data.train_on`` and a turn's own weight choose; the end of each answer is trained with it, once."""
    turns = [{**turn, "weight": weights[index]} if index in weights else turn for index, turn in enumerate(TALK)]
    text, given = trained(name, zoo, turns, train_on)
    end = {"with marks": "</s>", "ChatML": "<|im_end|>", "[INST]": " </s>"}[name]
    assert text.replace(" ", "") == "".join(answer + end for answer in answers).replace(" ", "")
    assert answers[0] not in given
    assert ("the house" in given) == (answers[0] == "is red")


@pytest.mark.parametrize("name", ["with marks", "ChatML"])
def test_other_roles_are_trained_when_they_are_named(name: str, zoo: Zoo) -> None:
    text, given = trained(name, zoo, TALK, ["system", "assistant"])
    assert ("be brief" in text, "the dog" in text, "a cat" in text, "is red" in text) == (True, False, True, True)
    assert "the dog" in given
    assert "a cat" not in given


def test_a_turn_that_cannot_be_told_apart_is_a_reject(zoo: Zoo) -> None:
    """The system turn of this template is a part of the first question; the row is left out, the others are not."""
    tokenizer = tokenizer_of(TEMPLATES["[INST]"], TEMPLATES["[INST]"].shipped, zoo)
    talk = conversation(HERE, TALK, ["system", "assistant"])
    assert isinstance(talk, tuple)
    found = conversation_ids(tokenizer, talk, HERE)
    assert isinstance(found, Reject)
    assert found.reason == "chat-template"


def test_a_row_that_the_template_refuses_is_a_reject(zoo: Zoo) -> None:
    refusing = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system turns') }}{% endif %}" + CHATML
    tokenizer = tokenizer_of(TEMPLATES["ChatML"], refusing, zoo)
    found = conversation_ids(tokenizer, [Message(**turn) for turn in TALK], HERE)
    assert isinstance(found, Reject)
    assert (found.reason, "no system turns" in found.detail) == ("chat-template", True)
    assert not isinstance(conversation_ids(tokenizer, [Message(**turn) for turn in TALK[1:]], HERE), Reject)


@pytest.mark.parametrize(
    ("turns", "detail"),
    [
        ([{**turn, "weight": 0} for turn in TALK], "no answer is trained"),
        ([*TALK[:-1], {**TALK[-1], "weight": 0.5}], "its weight is 0.5, 0 or 1 is due"),
        ([*TALK[:-1], {**TALK[-1], "weight": True}], "its weight is True, 0 or 1 is due"),
    ],
)
def test_weights_that_say_nothing_usable(turns: Any, detail: str) -> None:
    found = conversation(HERE, turns)
    assert isinstance(found, Reject)
    assert detail in found.detail
