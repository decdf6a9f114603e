"""``evaluate``, ``generate`` and ``chat``: a run at work."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from desktune import durable, runs
from desktune.cli.common import RUN_HELP, console, load_api
from desktune.cli.texts import read_texts
from desktune.errors import UserError
from desktune.track.words import clean

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


def generate(
    run: Run,
    text: Annotated[
        str | None, typer.Argument(metavar="TEXT", help="One text; without it, lines from --input or stdin.")
    ] = None,
    source: Annotated[Path | None, typer.Option("--input", "-i", help="Lines of text, or JSON lines (.jsonl).")] = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Write JSON lines here.")] = None,
    base: Annotated[bool, typer.Option("--base", help="Ask the untouched base model.")] = False,
    setting: Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Over generation:.")] = None,
) -> None:
    """Answer a text, or every line of a file or of stdin."""
    folder = runs.resolve(run)
    config, settings = _settings(folder, setting or [])
    texts = [text] if text is not None else read_texts(source, config.data.fields.get("source"))
    api = load_api()
    with console(sys.stderr) as emit:
        answers = api.generate(folder, texts, emit, tuned=not base, settings=settings)
    if text is not None and output is None:
        typer.echo(clean(answers[0]))
        return
    pairs = zip(texts, answers, strict=True)
    lines = (json.dumps({"source": one, "output": answer}, ensure_ascii=False) for one, answer in pairs)
    if output is None:
        for line in lines:
            typer.echo(clean(line))
        return
    durable.make_folder(output.parent)
    typer.echo(f"{output}: {durable.write_rows(output, lines):,} answers")


def chat(run: Run) -> None:
    """Talk with a run's model.

    /help lists what else it takes; /quit or an end of file leaves.
    """
    folder = runs.resolve(run)
    api = load_api()
    with console(sys.stderr) as emit:
        talk = api.chat(folder, emit)
    asking = "> " if sys.stdin.isatty() else ""
    while True:
        try:
            line = input(asking).strip()
        except EOFError:
            return
        if line in ("/quit", "/exit"):
            return
        reply = talk.command(line) if line.startswith("/") else talk.answer(line) if line else None
        if reply:
            typer.echo(clean(reply))


def _settings(run: Path, words: list[str]) -> tuple[Any, dict[str, Any] | None]:
    """The run's config, and the settings of ``--set`` after the same checks as those of a config."""
    bad = next((word for word in words if "=" not in word), None)
    if bad is not None:
        raise UserError(f"--set {bad}: write it key=value, e.g. --set num_beams=1")
    from desktune.config.load import load

    config = load(runs.Run(run).config, [f"generation.{word}" for word in words], check_files=False).config
    names = [word.partition("=")[0].strip() for word in words]
    return config, {name: config.generation.model_dump()[name] for name in names} or None


VERBS = (
    ("evaluate", evaluate, "desktune evaluate latest"),
    ("generate", generate, 'desktune generate latest "The whale dives." --set num_beams=1'),
    ("chat", chat, "desktune chat latest"),
)
