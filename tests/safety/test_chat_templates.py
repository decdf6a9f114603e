"""S3: a chat template from a stranger runs no code, ends within two seconds and makes no text of a gigabyte."""

# ruff: noqa: E501 - tables of payloads

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import jinja2
import pytest
from transformers.utils import chat_template_utils

from desktune.config.schema import ModelSection
from desktune.data import sandbox
from desktune.data.causal import conversation_ids
from desktune.errors import DataError
from desktune.models.load import load_tokenizer, locate
from desktune.rows import Message, Origin, Reject

MOST_SECONDS = 2.5  # the limit, and what a slow machine needs to notice it
MESSAGES = [{"role": "user", "content": "hello\nthere"}, {"role": "assistant", "content": "the answer"}]
DOUBLE = "{% set ns = namespace(x='ab') %}{% for i in range(60) %}{% set ns.x = VALUE %}{% endfor %}{{ ns.x|length }}"
BOMBS = {
    "loops": "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
    "loops-with-text": "{% for a in range(99999) %}{% for b in range(99999) %}x{% endfor %}{% endfor %}",
    "loops-filtered": "{% for a in range(99999) %}{% for b in range(99999) if b < 0 %}{% endfor %}{% endfor %}",
    "recursive-loop": "{% for a in [1] recursive %}{{ loop([a]) }}{% endfor %}",
    "recursive-loop-twice": "{% for a in [1] recursive %}{{ loop([a, a]) }}{{ loop([a, a]) }}{% endfor %}",
    "range-too-long": "{{ range(10**9)|list|length }}",
    "range-of-list": "{% for a in range(10**9)|list %}{% endfor %}",
    "text-times": "{{ 'a' * 10**9 }}",
    "times-text": "{{ 10**9 * 'a' }}",
    "text-times-small-steps": "{{ (('a' * 4096) * 4096) * 4096 }}",
    "list-times": "{{ ([0] * 10**9)|length }}",
    "list-of-lists-times": "{{ ([[0] * 1000] * 100000)|string|length }}",
    "double-by-tilde": DOUBLE.replace("VALUE", "ns.x ~ ns.x"),
    "double-by-plus": DOUBLE.replace("VALUE", "ns.x + ns.x"),
    "double-by-list": DOUBLE.replace("VALUE", "[ns.x, ns.x]").replace("|length", "|string|length"),
    "double-by-tuple": DOUBLE.replace("VALUE", "(ns.x, ns.x)").replace("|length", "|tojson|length"),
    "double-by-dict": DOUBLE.replace("VALUE", "{'a': ns.x, 'b': ns.x}").replace("|length", "|string|length"),
    "double-by-dict-call": DOUBLE.replace("VALUE", "dict(a=ns.x, b=ns.x)").replace("|length", "|string|length"),
    "double-by-replace": DOUBLE.replace("VALUE", "ns.x.replace('a', ns.x)"),
    "double-by-replace-filter": DOUBLE.replace("VALUE", "ns.x|replace('b', ns.x)"),
    "double-by-join": DOUBLE.replace("VALUE", "ns.x.join([ns.x, ns.x, ns.x])"),
    "double-by-join-filter": DOUBLE.replace("VALUE", "[ns.x, ns.x]|join(ns.x)"),
    "double-by-format": DOUBLE.replace("VALUE", "'{0}{0}'.format(ns.x)"),
    "double-by-percent": DOUBLE.replace("VALUE", "'%s%s' % (ns.x, ns.x)"),
    "double-by-format-filter": DOUBLE.replace("VALUE", "'%s%s'|format(ns.x, ns.x)"),
    "double-by-macro": "{% macro m(x) %}{{ x }}{{ x }}{% endmacro %}" + DOUBLE.replace("VALUE", "m(ns.x)"),
    "namespaces-in-namespaces": DOUBLE.replace("VALUE", "namespace(a=ns.x, b=ns.x)").replace("|length", "|string"),
    "join-of-many": "{{ range(99999)|join('a' * 99999)|length }}",
    "join-of-generator": "{{ range(99999)|map('string')|join('a' * 99999)|length }}",
    "format-width": "{{ '{:>999999999}'.format('a')|length }}",
    "format-width-given": "{{ '{:>{}}'.format('a', 999999999)|length }}",
    "format-width-map": "{{ '{a:>999999999}'.format_map({'a': 1})|length }}",
    "percent-width": "{{ ('%999999999d' % 1)|length }}",
    "percent-star": "{{ ('%*d' % (999999999, 1))|length }}",
    "percent-filter": "{{ ('%999999999d'|format(1))|length }}",
    "center": "{{ 'a'.center(10**9)|length }}",
    "center-filter": "{{ 'a'|center(10**9)|length }}",
    "ljust": "{{ 'a'.ljust(10**9)|length }}",
    "zfill": "{{ 'a'.zfill(10**9)|length }}",
    "expandtabs": "{{ ('\t' * 10000).expandtabs(10**9)|length }}",
    "indent": "{{ ('a\n' * 100000)|indent(99999)|length }}",
    "indent-text": "{{ ('a\n' * 100000)|indent('x' * 99999)|length }}",
    "tojson-indent": "{{ messages|tojson(indent=10**9)|length }}",
    "tojson-separators": "{{ range(9999)|list|tojson(separators=('a' * 9999999, 'b'))|length }}",
    "bytes": "{{ ('a'.encode() * (3 * 10**9))|length }}",
    "bytes-of-a-number": "{{ (1).to_bytes(3 * 10**9, 'big')|length }}",
    "translate": "{{ ('a' * 1000000).translate({97: 'b' * 1500})|length }}",
    "format-many-widths": "{{ ('{0:>9999}' * 150000).format('a')|length }}",
    "percent-many-widths": "{{ ('%(a)9999d' * 150000 % {'a': 1})|length }}",
    "division": "{% set a = ('f' * 2000000)|int(0, 16) %}{{ a // (a - 1) }}",
    "select": "{% set a = 'a' * 16000000 %}" + "{{ a|select('eq', 'b')|first }}" * 6,
    "slices": "{% set a = 'a' * 16000000 %}" + "{% set b = a[::-1] %}" * 1000,
    "compare": "{% set a = 'a' * 16000000 %}{% set b = 'a' * 15999999 ~ 'b' %}" + "{% set c = a == b %}" * 4000,
    "power": "{{ 10 ** (10 ** 9) }}",
    "power-tower": "{{ 9 ** (9 ** (9 ** 9)) }}",
    "number-doubles": "{% set ns = namespace(x=3) %}{% for i in range(99) %}{% set ns.x = ns.x * ns.x %}{% endfor %}{{ ns.x }}",
    "rfind": "{{ ('a' * 9999999).rfind('b' + 'a' * 4999999) }}",
    "rsplit": "{{ ('a' * 9999999).rsplit('b' + 'a' * 4999999)|length }}",
    "strip": "{{ ('a' * 9999999).strip(('b' * 9999999) + 'a')|length }}",
    "sum-of-lists": "{{ ([[0] * 999] * 150)|sum(start=[])|length }}",
    "slices-of-text": "{{ [1]|slice(10**9)|list|length }}",
    "batches": "{{ [1]|batch(10**9, 0)|list|length }}",
    "lipsum": "{{ lipsum(n=10**9)|length }}",
    "urlize": "{{ ('a.' * 9999999)|urlize|length }}",
    "wordwrap": "{{ ('a' * 9999999)|wordwrap(1)|length }}",
    "macro-calls-itself": "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    "macro-calls-itself-twice": "{% macro m(n) %}{% if n %}{{ m(n - 1) }}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(60) }}",
    "call-block": "{% macro m() %}{{ caller() }}{{ caller() }}{% endmacro %}{% call m() %}{% call m() %}"
    "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}{% endcall %}{% endcall %}",
    "deep-source": "{{ " + "(" * 100_000 + "1" + ")" * 100_000 + " }}",
    "long-source": "{{ 1 }}" * 100_000,
    "set-block": "{% set x %}{% for i in range(99999) %}{{ 'a' * 9999 }}{% endfor %}{% endset %}{{ x|length }}",
    "print-much": "{% for i in range(99999) %}{{ 'a' * 99999 }}{% endfor %}",
    "nested-map": "{{ range(99999)|map('center', 9999)|map('center', 9999)|list|length }}",
}  # fmt: skip
REACHING = {
    "class": "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "attr-filter": "{{ ''|attr('__class__') }}",
    "attr-filter-joined": "{{ ''|attr('__cl' ~ 'ass__')|attr('__mro__') }}",
    "item": "{{ ''['__class__'] }}",
    "globals": "{{ raise_exception.__globals__['os'].system('touch CANARY') }}",
    "cycler": "{{ cycler.__init__.__globals__.os.popen('touch CANARY').read() }}",
    "joiner": "{{ joiner.__init__.__globals__.os.system('touch CANARY') }}",
    "namespace": "{{ namespace.__init__.__globals__.os.system('touch CANARY') }}",
    "dict": "{{ dict.__class__.__base__.__subclasses__() }}",
    "self": "{{ self.__init__.__globals__ }}",
    "environment": "{{ self._TemplateReference__context.environment }}",
    "format": "{{ '{0.__class__.__mro__}'.format(messages) }}",
    "format-map": "{{ '{a.__class__}'.format_map({'a': messages}) }}",
    "map-attribute": "{{ messages|map(attribute='__class__')|list }}",
    "map-attr": "{{ ['']|map('attr', '__class__')|list }}",
    "select-attr": "{{ messages|selectattr('__class__')|list }}",
    "sort-attribute": "{{ messages|sort(attribute='__class__')|list }}",
    "groupby": "{{ messages|groupby('__class__')|list }}",
    "generator": "{% for x in (messages|map('string')) %}{{ loop.__class__ }}{% endfor %}",
    "frame": "{{ (messages|map('string')).gi_frame.f_builtins }}",
    "import": "{% import 'os' as os %}{{ os.system('touch CANARY') }}",
    "include": "{% include '/etc/passwd' %}",
    "extends": "{% extends '/etc/passwd' %}",
    "append": "{{ messages.append(1) }}",
    "update": "{{ messages[0].update({'content': 'other'}) }}",
    "underscore-namespace": "{% set ns = namespace() %}{% set ns.__class__ = 1 %}",
}
WELL_KNOWN = {
    "formats": "{{ '{\"a\": {\"b\": %s}}' % 1 }}{{ '<|id_12345|>%s' % 2 }}{{ 'id %s 10000' % 'x' }}{{ '{:>5}|{{'.format(3) }}",
    "marks": "{% for m in messages %}{% if m.role == 'assistant' %}{% generation %}{{ m.content }}{% endgeneration %}"
    "{% else %}<|{{ m.role }}|>{{ m.content }}{% endif %}{% endfor %}",
    "loop-words": "{% for m in messages %}{{ loop.index }}/{{ loop.length }}{{ loop.first }}{{ loop.last }}"
    "{{ loop.previtem is defined }}{{ loop.cycle('a', 'b') }}{% endfor %}",
    "namespace": "{% set ns = namespace(last=-1, list=[]) %}{% for m in messages[::-1] %}{% set i = loop.index0 %}"
    "{% if m.role == 'user' and ns.last < 0 %}{% set ns.last = i %}{% endif %}{% endfor %}{{ ns.last }}",
    "qwen": "{%- if messages[0].role == 'system' %}{{ messages[0].content + '\n\n' }}{% else %}{{ 'You help.' }}{% endif %}"
    "{%- for m in messages %}{{ '<|im_start|>' + m.role + '\n' + (m.content.split('</think>')[-1].lstrip('\n')) }}"
    "{%- if m.tool_calls %}{{ m.tool_calls|tojson }}{% endif %}{% endfor %}",
    "filters": "{{ messages|map(attribute='role')|join(', ') }}{{ messages|selectattr('role', 'equalto', 'user')|list|length }}"
    "{{ messages[0].content|replace('\n', ' ')|trim|upper }}{{ messages[0]|items|list }}{{ messages|tojson(indent=4) }}"
    "{{ messages|rejectattr('role', 'in', ['system', 'tool'])|list|length }}{{ messages[0].content|indent(4) }}",
    "macros": "{% macro say(m, end='') -%}[{{ m.role }}] {{ m.content }}{{ end }}{%- endmacro %}"
    "{% for m in messages %}{{ say(m, end='\n' if not loop.last else '') }}{% endfor %}",
    "set-block": "{% set x %}{% for m in messages %}{{ m.content }};{% endfor %}{% endset %}{{ x }}{{ x|length }}",
    "arithmetic": "{{ 7 // 2 }}{{ 7 % 2 }}{{ 2 ** 10 }}{{ 'ab' * 3 }}{{ [1] + [2, 3] }}{{ '%s and %05.1f' % ('a', 2.5) }}",
    "controls": "{% for i in range(10) %}{% if i == 2 %}{% continue %}{% elif i > 4 %}{% break %}{% endif %}{{ i }}{% endfor %}",
    "else": "{% for i in [] %}x{% else %}nothing{% endfor %}{% for k, v in {'a': 1}.items() %}{{ k }}{{ v }}{% endfor %}",
    "recursive": "{% for x in [[1, [2]], [3]] recursive %}{{ loop.depth }}{% if x is iterable %}{{ loop(x) }}{% else %}"
    "{{ x }}{% endif %}{% endfor %}",
}  # fmt: skip


def in_two_ways(source: str, **options: object) -> tuple[str, str]:
    """Render by transformers alone, and by it in our sandbox."""
    plain = chat_template_utils._cached_compile_jinja_template(source)
    ours = sandbox._compiled(chat_template_utils._cached_compile_jinja_template, source)
    return plain.render(messages=MESSAGES, **options), ours.render(messages=MESSAGES, **options)


@pytest.fixture(scope="module")
def tokenizer(zoo: Callable[[str], Path]) -> object:
    return load_tokenizer(locate(ModelSection(name=str(zoo("qwen3")))))


@pytest.fixture(autouse=True)
def little_memory() -> Iterator[None]:
    """1.5 GiB over what is there: a text of some gigabytes cannot even be made."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) if Path("/proc").is_dir() else 0
    if pages:
        resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + (3 << 29), before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_are_refused_in_time(name: str, tokenizer: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "MOST_SECONDS", 0.1)  # the suite has little time; one test below has the real limit
    began = time.thread_time()
    try:
        text = sandbox.apply(tokenizer, MESSAGES, chat_template=BOMBS[name], tokenize=False)
    except (DataError, jinja2.TemplateError):
        pass
    else:
        assert len(text) < 1_000  # it was harmless, as a loop that gives way is
    assert time.thread_time() - began < MOST_SECONDS - sandbox.MOST_SECONDS


@pytest.mark.slow
def test_the_limit_itself(tokenizer: object) -> None:
    began = time.thread_time()
    with pytest.raises(DataError, match="2 seconds"):
        sandbox.apply(tokenizer, MESSAGES, chat_template=BOMBS["loops"], tokenize=False)
    assert 1.9 < time.thread_time() - began < MOST_SECONDS


@pytest.mark.parametrize("name", REACHING)
def test_nothing_reaches_out(name: str, tokenizer: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    try:
        text = sandbox.apply(tokenizer, MESSAGES, chat_template=REACHING[name], tokenize=False)
    except (DataError, jinja2.TemplateError, TypeError):
        text = ""
    assert "class '" not in text
    assert "built-in" not in text
    assert "root:" not in text
    assert list(tmp_path.iterdir()) == []
    assert MESSAGES[0]["content"] == "hello\nthere"


@pytest.mark.parametrize("name", WELL_KNOWN)
def test_templates_give_what_transformers_gives(name: str) -> None:
    plain, ours = in_two_ways(WELL_KNOWN[name])
    assert plain == ours
    assert plain.strip()


def test_a_row_that_the_template_refuses_is_a_reject(tokenizer: object, monkeypatch: pytest.MonkeyPatch) -> None:
    source = (
        "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no system') }}{% endif %}{% endfor %}"
    )
    monkeypatch.setattr(tokenizer, "chat_template", source)
    turns = [Message("system", "be brief"), Message("user", "hello"), Message("assistant", "yes")]
    found = conversation_ids(tokenizer, turns, Origin("rows", 1))
    assert isinstance(found, Reject)
    assert (found.reason, "no system" in found.detail) == ("chat-template", True)


def test_a_bomb_in_a_models_folder_ends_as_a_users_error(tokenizer: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokenizer, "chat_template", BOMBS["text-times"])
    with pytest.raises(DataError, match="chat template that came with the model is refused"):
        conversation_ids(tokenizer, [Message("user", "hello"), Message("assistant", "yes")], Origin("rows", 1))


def test_a_bomb_between_marks(tokenizer: object) -> None:
    """transformers joins what a template with marks writes by itself."""
    loop = "{% set a = 'a' * 16000000 %}{% for i in range(120) %}{{ a }}{% endfor %}"
    source = loop + "{% generation %}x{% endgeneration %}"
    with pytest.raises(DataError, match="is refused"):
        sandbox.apply(tokenizer, MESSAGES, chat_template=source, return_assistant_tokens_mask=True, return_dict=True)


def test_many_turns_are_weighed_in_time(tokenizer: object) -> None:
    """What tool templates do: a list that grows by a turn at a time."""
    source = (
        "{% set ns = namespace(x=[]) %}{% for m in messages %}{% set ns.x = ns.x + [m] %}{% endfor %}{{ ns.x|length }}"
    )
    turns = MESSAGES * 2_000
    assert sandbox.apply(tokenizer, turns, chat_template=source, tokenize=False) == "4000"


def test_an_expression_that_fails_is_the_templates_fault(tokenizer: object) -> None:
    with pytest.raises(jinja2.TemplateError, match="ZeroDivisionError"):
        sandbox.apply(tokenizer, MESSAGES, chat_template="{{ 1 // 0 }}", tokenize=False)
