"""Chat templates come from strangers: they render in jinja's immutable sandbox, with a limit on time and on size.

transformers' sandbox keeps a template from Python's objects, but not from a loop over ``range(10**9)``, a text of a
gigabyte or a macro that calls itself. Its environment is taken as it is, with its marks and filters, and every loop,
call, filter and operator in it is counted: what would be too large is refused before it is made, and what takes too
long at its next step. No process and no signal is needed, so that it holds in any thread and costs a row microseconds.
"""

from __future__ import annotations

import functools
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from types import BuiltinMethodType, FunctionType
from typing import Any

import jinja2
from jinja2 import nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

from desktune.errors import DataError

MOST_SECONDS = 2.0  # of one conversation; real templates take less than a thousandth
MOST_CHARACTERS = 1 << 24  # of any text that a template makes
MOST_ITEMS = 200_000  # of any list
MOST_SOURCE = 1 << 18  # characters of a template
_MOST_BITS = 4_096
_MOST_KNOWN = 64
_MOST_WIDTH = 10_000
_MOST_DEPTH = 64
_MOST_DIGITS = 4  # of a width
_MOST_INDENT = 16  # of JSON
_MOST_NEEDLE = 1_000  # searching from the right takes time by needle x text
_UNUSED = ("urlize", "wordwrap", "striptags", "pprint", "xmlattr")  # no template needs them, each has its own traps
_REFUSED_METHODS = ("encode", "to_bytes", "from_bytes", "translate", "maketrans")  # bytes are not measured
_OVER_ALL = ("select", "reject", "selectattr", "rejectattr", "map", "first", "max", "min")
_FROM_RIGHT = ("rfind", "rindex", "rsplit", "rpartition", "strip", "lstrip", "rstrip", "trim")
_WIDENING = ("center", "ljust", "rjust", "zfill", "expandtabs", "indent", "batch", "slice")
_PERCENT = re.compile(r"%(?:\([^)]*\))?[-+ #0]*(\d+|\*)?(?:\.(\d+|\*))?")
_BRACES = re.compile(r"\{([^{}]*)(\{|\})")


def apply(tokenizer: Any, messages: list[dict[str, Any]], **options: Any) -> Any:
    """Return what ``apply_chat_template`` of a tokenizer gives.

    Raises:
        DataError: the template is broken, reaches for what it must not, or is over a limit.
        jinja2.TemplateError: it refuses this conversation.
    """
    _install()
    try:
        return tokenizer.apply_chat_template(messages, **options)
    except (jinja2.exceptions.SecurityError, jinja2.exceptions.TemplateSyntaxError) as error:
        raise _refused(str(error)[:300]) from error
    except (RecursionError, MemoryError, OverflowError) as error:
        raise _refused(f"{type(error).__name__}: {str(error)[:200]}") from error
    except (ArithmeticError, LookupError, AttributeError) as error:
        raise jinja2.TemplateError(f"{type(error).__name__}: {str(error)[:200]}") from error


def _refused(why: str) -> DataError:
    return DataError(
        f"the chat template that came with the model is refused: {why}; "
        "mend chat_template in its tokenizer_config.json or chat_template.jinja, or take another model"
    )


@functools.cache
def _install() -> None:
    """Let transformers compile templates in our environment; its function is one for the whole process."""
    from transformers.utils import chat_template_utils

    theirs = chat_template_utils._cached_compile_jinja_template
    chat_template_utils._compile_jinja_template = functools.lru_cache(lambda source: _compiled(theirs, source))


def _compiled(theirs: Callable[[str], jinja2.Template], source: str) -> jinja2.Template:
    """Compile a template in a fresh environment of transformers', with our limits on it."""
    if len(source) > MOST_SOURCE:
        raise _refused(f"it has {len(source):,} characters, {MOST_SOURCE:,} are allowed")
    environment = theirs("").environment
    environment.__class__ = _Limited
    for name in _UNUSED:
        environment.filters.pop(name, None)
    environment.globals.pop("lipsum", None)
    environment.globals["namespace"] = _mute(environment.globals["namespace"])
    environment.filters.update({name: _watched(name, one) for name, one in environment.filters.items()})
    environment.filters.update({_COUNTED: _counted, _SIZED: _sized})
    environment.template_class = _Template
    _SPENT.start()
    return environment.from_string(source)


def _mute(namespace: Any) -> Any:
    """Return a class of namespaces that do not print what they hold, which nobody has measured."""

    class Namespace(namespace):
        """One of them."""

        def __repr__(self) -> str:
            return "<namespace>"

    return Namespace


class _Spent(threading.local):
    """What the rendering of this thread has used."""

    began = 0.0

    def __init__(self) -> None:
        self._weights: dict[int, tuple[Any, list[int]]] = {}  # of the latest lists, which stay alive meanwhile

    def start(self) -> None:
        """Begin with a conversation."""
        self.began = time.thread_time()
        self._weights.clear()

    def weight(self, value: Any) -> list[int]:
        """Return how many values and characters are in a list. Raises DataError when that is too much."""
        known = self._weights.get(id(value))
        if known is None:
            left = [MOST_ITEMS, MOST_CHARACTERS]
            _weigh(value, left)
            return self._remember(value, [MOST_ITEMS - left[0], MOST_CHARACTERS - left[1]])
        return known[1]

    def add(self, result: Any, left: Any, right: Any) -> None:
        """Weigh a list that two others make, without looking at all of it again."""
        both = [one + other for one, other in zip(self.weight(left), self.weight(right), strict=True)]
        if both[0] > MOST_ITEMS or both[1] > MOST_CHARACTERS:
            raise _too_large(max(both))
        self._remember(result, both)

    def _remember(self, value: Any, weight: list[int]) -> list[int]:
        self._weights[id(value)] = (value, weight)
        if len(self._weights) > _MOST_KNOWN:
            del self._weights[next(iter(self._weights))]
        return weight

    def step(self) -> None:
        """Count something that was done, and look at the clock."""
        if time.thread_time() - self.began > MOST_SECONDS:
            raise _refused(f"it takes more than {MOST_SECONDS:.0f} seconds for one conversation")


_SPENT = _Spent()
_COUNTED, _SIZED = "desktune_counted", "desktune_sized"


class _Template(jinja2.Template):
    """A template whose clock starts anew with every conversation."""

    def new_context(self, *arguments: Any, **named: Any) -> Any:
        _SPENT.start()
        return super().new_context(*arguments, **named)

    def generate(self, *arguments: Any, **named: Any) -> Iterator[str]:
        """Return the pieces that it writes, which transformers joins itself where answers are marked."""
        return _measured(super().generate(*arguments, **named))


class _Limited(ImmutableSandboxedEnvironment):
    """The sandbox with limits. An environment of transformers' becomes one; it is never made."""

    intercepted_binops = frozenset(["+", "-", "*", "**", "%", "//", "/"])

    def _generate(self, source: nodes.Template, *arguments: Any, **named: Any) -> str:
        return super()._generate(_Hooks(self).visit(source), *arguments, **named)

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        _SPENT.step()
        _check_operands(operator, left, right)
        result = super().call_binop(context, operator, left, right)
        if operator == "+" and isinstance(result, list | tuple):
            _SPENT.add(result, left, right)
            return result
        return _sized(result)

    def call(__self, __context: Any, __obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N805 - as jinja has it
        _SPENT.step()
        if isinstance(__obj, BuiltinMethodType) and __obj.__name__ in _REFUSED_METHODS:
            raise _refused(f"it calls {__obj.__name__}")
        if isinstance(__obj, BuiltinMethodType) and isinstance(__obj.__self__, str):
            _check_text_call(__obj.__name__, __obj.__self__, args, kwargs)
        return _sized(super().call(__context, __obj, *args, **kwargs))

    def wrap_str_format(self, value: Any) -> Any:
        wrapped = super().wrap_str_format(value)
        if wrapped is None:
            return None

        @functools.wraps(wrapped)
        def checked(*args: Any, **kwargs: Any) -> str:
            _check_braces(value.__self__, [*args, *kwargs.values()])
            return wrapped(*args, **kwargs)

        return checked

    @staticmethod
    def concat(pieces: Iterable[str]) -> str:  # type: ignore[override]
        """Join what a template writes."""
        return "".join(_measured(pieces))


def _measured(pieces: Iterable[str]) -> Iterator[str]:
    """Yield pieces of a text, each a step, until they are too much."""
    size = 0
    for piece in pieces:
        _SPENT.step()
        size += len(piece)
        if size > MOST_CHARACTERS:
            raise _too_large(size)
        yield piece


class _Hooks(NodeTransformer):
    """Puts a counter around what a template loops over, and a measure around what it builds."""

    def __init__(self, environment: jinja2.Environment) -> None:
        self._environment = environment

    def visit_For(self, node: nodes.For) -> nodes.Node:  # noqa: N802 - names of jinja's
        self.generic_visit(node)
        node.iter = self._filter(node.iter, _COUNTED)
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802
        return self._built(node)

    def visit_Compare(self, node: nodes.Compare) -> nodes.Node:  # noqa: N802
        return self._built(node)

    def visit_Test(self, node: nodes.Test) -> nodes.Node:  # noqa: N802
        return self._built(node)

    def visit_Getitem(self, node: nodes.Getitem) -> nodes.Node:  # noqa: N802
        if node.ctx == "load" and isinstance(node.arg, nodes.Slice):
            return self._built(node)
        self.generic_visit(node)
        return node

    def visit_List(self, node: nodes.List) -> nodes.Node:  # noqa: N802
        return self._built(node)

    def visit_Dict(self, node: nodes.Dict) -> nodes.Node:  # noqa: N802
        return self._built(node)

    def visit_Tuple(self, node: nodes.Tuple) -> nodes.Node:  # noqa: N802
        return self._built(node) if node.ctx == "load" else node  # else it is assigned to

    def _built(self, node: Any) -> nodes.Node:
        self.generic_visit(node)
        return self._filter(node, _SIZED)

    def _filter(self, node: Any, name: str) -> nodes.Filter:
        return nodes.Filter(node, name, [], [], None, None, lineno=node.lineno, environment=self._environment)


class _Counted:
    """Something to loop over, each turn of which is a step; it keeps its length for ``loop.last``."""

    def __init__(self, values: Any) -> None:
        self._values = values

    def __iter__(self) -> Iterator[Any]:
        for value in self._values:
            _SPENT.step()
            yield value

    def __len__(self) -> int:
        return len(self._values)


def _counted(values: Any) -> Any:
    return _Counted(values)


def _sized(value: Any) -> Any:
    """Return a value that is not too large."""
    _SPENT.step()
    if isinstance(value, str):
        if len(value) > MOST_CHARACTERS:
            raise _too_large(len(value))
    elif isinstance(value, list | tuple | dict):
        _SPENT.weight(value)
    elif isinstance(value, int):
        _check_bits(value.bit_length())
    return value


def _weigh(value: Any, left: list[int], depth: int = 1) -> None:
    """Count what is in a list at every place where it stands, so that shared parts weigh as much as they print."""
    for inner in value if not isinstance(value, Mapping) else (*value.keys(), *value.values()):
        left[0] -= 1
        if isinstance(inner, str):
            left[1] -= len(inner)
        elif isinstance(inner, list | tuple | dict):
            _weigh(inner, left, depth + 1)
        if min(left) < 0 or depth > _MOST_DEPTH:
            raise _refused(
                f"it builds a list of more than {MOST_ITEMS:,} values or {MOST_CHARACTERS:,} characters, or a deep one"
            )


def _watched(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a filter that counts as a step and makes nothing too large."""
    takes_context = isinstance(function, FunctionType) and "jinja_pass_arg" in vars(function)

    @functools.wraps(function)  # jinja reads from its attributes what it is given first
    def watched(*args: Any, **kwargs: Any) -> Any:
        _SPENT.step()
        plain = list(args[1:] if takes_context else args)
        if plain and name in ("join", "list", "sort", "unique", "sum", "string"):
            plain[0] = _taken(plain[0])
            args = (*args[: len(args) - len(plain)], *plain)
        elif plain and name in _OVER_ALL and isinstance(plain[0], Iterable):
            args = (*args[: len(args) - len(plain)], iter(_Counted(plain[0])), *plain[1:])
        if plain:
            _check_text_call(name, plain[0], plain[1:], kwargs)
        return _sized(function(*args, **kwargs))

    return watched


def _taken(value: Any) -> Any:
    """Return the values of an iterator as a list, which can be measured."""
    if not isinstance(value, Iterator):
        return value
    taken = list(islice(iter(_Counted(value)), MOST_ITEMS + 1))
    return _sized(taken)


def _check_operands(operator: str, left: Any, right: Any) -> None:
    """Refuse an operation whose result would be too large."""
    if operator == "*":
        for one, times in ((left, right), (right, left)):
            if isinstance(one, str | list | tuple) and isinstance(times, int):
                _check_size(len(one) * times, isinstance(one, str))
        if isinstance(left, int) and isinstance(right, int):
            _check_bits(left.bit_length() + right.bit_length())
    elif operator == "**" and isinstance(left, int) and isinstance(right, int):
        _check_bits(left.bit_length() * max(right, 1))
    elif operator == "%" and isinstance(left, str):
        widths = [width for found in _PERCENT.findall(left) for width in found if width]
        _check_format(left, right, widths, left.count("%"))


def _check_text_call(name: str, value: Any, args: Any, kwargs: Mapping[str, Any]) -> None:
    """Refuse a method of a text, or a filter, whose result would be too large or whose work too long."""
    given = [*args, *kwargs.values()]
    if name in _WIDENING:
        width = max([abs(one) for one in given if isinstance(one, int)], default=0)
        lines = 1 + value.count("\n") + value.count("\t") if isinstance(value, str) else 64
        if width > _MOST_WIDTH or width * lines > MOST_CHARACTERS:
            raise _refused(f"{name} with a width of {width:,}")
        longest = max([len(one) for one in given if isinstance(one, str)], default=0)
        _check_size(longest * lines if name == "indent" else 0, True)
    elif name == "tojson":
        words = [*given, *(word for one in given if isinstance(one, list | tuple) for word in one)]
        if any(_length(word) > _MOST_INDENT for word in words):
            raise _refused("tojson with a wide indent or separators")
    elif name == "replace" and isinstance(value, str) and len(given) >= 2:
        _check_size(value.count(str(given[0])) * len(str(given[1])), True)
    elif name == "join" and given:
        parts, between = (given[0], value) if isinstance(value, str) else (value, given[0])
        sizes = len(parts) if isinstance(parts, list | tuple | dict | str) else MOST_ITEMS
        _check_size(sizes * len(str(between)), True)
    elif name in _FROM_RIGHT and any(isinstance(one, str) and len(one) > _MOST_NEEDLE for one in given):
        raise _refused(f"{name} of a text of more than {_MOST_NEEDLE} characters")
    elif name in ("format", "format_map"):
        _check_braces(str(value), given)
    elif name == "sum" and any(isinstance(one, list | tuple) for one in given):
        raise _refused("sum of lists")


def _check_braces(pattern: str, given: Any) -> None:
    """Refuse widths in what ``str.format`` fills."""
    fields = _BRACES.findall(pattern.replace("{{", "").replace("}}", ""))
    if any(end == "{" for _, end in fields):
        raise _refused(f"the format {pattern[:40]!r}")
    widths = [width for field, _ in fields for width in re.findall(r"\d+", field.partition(":")[2])]
    _check_format(pattern, given, widths, len(fields))


def _check_format(pattern: str, given: Any, widths: list[str], places: int) -> None:
    """Refuse widths in a format, written or given."""
    if any(width == "*" or len(width) > _MOST_DIGITS for width in widths):
        raise _refused(f"the format {pattern[:40]!r}")
    _check_size(sum(map(int, widths)), True)
    values = given if isinstance(given, list | tuple) else [given]
    longest = max([len(str(one)) for one in values], default=0)
    _check_size(longest * places, True)


def _length(value: Any) -> int:
    return abs(value) if isinstance(value, int) else len(value) if isinstance(value, str) else 0


def _check_size(size: int, text: bool) -> None:
    if size > (MOST_CHARACTERS if text else MOST_ITEMS):
        raise _too_large(size)


def _check_bits(bits: int) -> None:
    if bits > _MOST_BITS:
        raise _refused(f"a number of {bits:,} bits")


def _too_large(size: int) -> DataError:
    return _refused(f"it makes a text or list of {size:,} characters or values, {MOST_CHARACTERS:,} are allowed")
