from __future__ import annotations

import random

import pytest

from desktune.data.template import compile_template, fill, render
from desktune.errors import DataError
from desktune.rows import Example, Message, Origin, Rendered

HERE = Origin("rows.jsonl", 1)


def pair(source: str, target: str = "t", **fields: str) -> Example:
    return Example(HERE, "pair", source, target, fields=tuple(fields.items()))


@pytest.mark.parametrize(
    ("template", "prompt"),
    [
        ("{source}", "S"),
        ("translate: {source}", "translate: S"),
        ("{{{source}}}", "{S}"),
        ("{{source}} {source}", "{source} S"),
        ("{ topic }: {source}", "T: S"),
        ("{source}{source}", "SS"),
        ("{the field!}", "F"),
    ],
)
def test_substitution(template: str, prompt: str) -> None:
    row = render(pair("S", topic="T", **{"the field!": "F"}), compile_template(template))
    assert isinstance(row, Rendered)
    assert row.prompt == prompt


@pytest.mark.parametrize("template", ["{source", "source}", "{}", "{ }", "{a{b}}}"])
def test_broken_templates(template: str) -> None:
    with pytest.raises(DataError, match="data.template"):
        compile_template(template)


def test_an_unknown_field_names_those_that_exist() -> None:
    with pytest.raises(DataError, match=r"'topik' .*exist: topic, source; did you mean 'topic'"):
        render(pair("S", topic="T"), compile_template("{topik}"))


@pytest.mark.parametrize(
    "payload", ["{0.__class__}", "{source.__init__}", "{source!r}", "{source:>999999999}", "{source[0]}"]
)
def test_nothing_of_str_format_exists(payload: str) -> None:
    with pytest.raises(DataError):
        fill(compile_template(payload), {"source": "S"}, "here")


def test_values_stay_verbatim() -> None:
    rng = random.Random(5)
    template = compile_template("<{source}|{{x}}|{other}>")
    for _ in range(3_000):
        source, other = ("".join(rng.choices("{}{}sourceother0.!:[]é\\%$\n", k=rng.randint(1, 30))) for _ in range(2))
        assert fill(template, {"source": source, "other": other}, "") == f"<{source}|{{x}}|{other}>"


def test_keys_are_the_content() -> None:
    template = compile_template("{source}")

    def key(example: Example) -> str:
        row = render(example, template)
        assert isinstance(row, Rendered)
        return row.key

    same = Example(Origin("other.csv", 99), "pair", "a", "b", id="7")
    assert key(pair("a", "b")) == key(same)
    others = [
        pair("a", "c"),
        pair("ab", ""),
        Example(HERE, "text", text="b"),
        Example(HERE, "pair", "a", "b", target_lang="fr"),
        Example(HERE, "messages", messages=(Message("user", "a"), Message("assistant", "b"))),
    ]
    assert len({key(one) for one in [pair("a", "b"), *others]}) == 6
