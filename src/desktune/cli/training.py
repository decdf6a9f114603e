"""``demo`` and ``train``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from desktune import runs
from desktune.cli.common import CONFIG_HELP, console, load_api, load_place, split_words


def demo(
    task: Annotated[str | None, typer.Option(help="translation, seq2seq or causal.", metavar="TASK")] = None,
) -> None:
    """Fine-tune a tiny model that comes with desktune.

    Trains, compares base with tuned, merges and answers: a minute or two on two CPU cores, without network.
    """
    load_api()
    from desktune import demo as demonstration

    with console() as emit:
        demonstration.demo(task, emit)


def train(
    words: Annotated[list[str] | None, typer.Argument(metavar="CFG|RUN KEY=VALUE", help=CONFIG_HELP)] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the newest whole checkpoint.")] = False,
) -> None:
    """Train to a run folder with the best model in it."""
    place, settings = split_words(words)
    loaded = load_place(place, settings + _output_of(place, settings, resume))
    api = load_api()
    with console() as emit:
        trained = api.train(loaded.config, emit, resume=resume)
    run = trained.run
    typer.echo(f'next: desktune evaluate {run} · desktune generate {run} "text" · desktune merge {run}')


def _output_of(place: str | None, settings: list[str], resume: bool) -> list[str]:
    """A run that is resumed goes on in its own folder; one that only lends its config is left alone."""
    if place is None or Path(place).is_file() or any(word.startswith("output.dir=") for word in settings):
        return []
    return [f"output.dir={_quoted(str(runs.resolve(place)))}"] if resume else ["output.dir=null"]


def _quoted(text: str) -> str:
    """A path as a YAML value, whatever it is called."""
    return "'" + text.replace("'", "''") + "'"


VERBS = (
    ("demo", demo, "desktune demo --task causal"),
    ("train", train, "desktune train desktune.yaml training.learning_rate=1e-4 output.dir=runs/first"),
)
