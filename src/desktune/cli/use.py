"""``evaluate`` and ``chat``: a run at work. ``generate`` has a file of its own."""

from __future__ import annotations

import contextlib
import json
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from desktune import runs
from desktune.cli.common import RUN_HELP, console, load_api
from desktune.cli.generate import EXAMPLES, generate
from desktune.errors import DesktuneError
from desktune.track.words import clean

if TYPE_CHECKING:
    from desktune.generate.chat import Chat

Run = Annotated[str, typer.Argument(metavar="RUN", help=RUN_HELP)]


def evaluate(
    run: Run,
    split: Annotated[str, typer.Option(help="validation or test.")] = "validation",
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Measure base and tuned model on held-out rows."""
    folder = runs.resolve(run)
    api = load_api()
    with console(sys.stderr if as_json else None) as emit:
        report = api.evaluate(folder, emit, split=split)
    if as_json:
        typer.echo(json.dumps(report.to_json(), ensure_ascii=False, indent=2))


def chat(run: Run) -> None:
    """Talk with a run's model.

    /help lists what else it takes: /set, /both, /variant, /system, /retry, /undo, /save ... Ctrl-C stops an answer;
    /quit or an end of file leaves.
    """
    folder = runs.resolve(run)
    api = load_api()
    with console(sys.stderr) as emit:
        talk = api.chat(folder, emit)
    at_terminal = sys.stdin.isatty()
    if at_terminal:
        with contextlib.suppress(ImportError):  # not on every system
            import readline  # noqa: F401 - input() gets its history and its keys by the import alone
    while True:
        try:
            line = input("> " if at_terminal else "").strip()
        except EOFError:
            return
        except KeyboardInterrupt:
            if not at_terminal:
                raise
            typer.echo("\n(/quit leaves)")
            continue
        if line in ("/quit", "/exit"):
            return
        if line:
            _turn(talk, line)


def _turn(talk: Chat, line: str) -> None:
    """Take a line; what goes wrong with one answer is said, and the conversation goes on."""
    try:
        talk.take(line, _write, live=sys.stdout.isatty())
    except KeyboardInterrupt:
        if not sys.stdin.isatty():
            raise
        typer.echo("\n(stopped; this turn is forgotten, /retry asks it again)")
    except BrokenPipeError:
        raise
    except DesktuneError as error:
        typer.echo(f"error: {clean(str(error))}")
    except Exception as error:  # noqa: BLE001 - whatever a library says of one answer does not end the conversation
        typer.echo(f"error: {type(error).__name__}: {clean(str(error))}\n(this turn is forgotten)")


def _write(text: str) -> None:
    typer.echo(clean(text), nl=False)


VERBS = (
    ("evaluate", evaluate, "desktune evaluate latest"),
    ("generate", generate, EXAMPLES),
    ("chat", chat, "desktune chat latest"),
)
