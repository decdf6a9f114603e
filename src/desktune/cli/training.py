"""``demo`` and ``train``."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from desktune import runs
from desktune.cli.common import CONFIG_HELP, console, load_api, load_place, print_to_nobody, split_words
from desktune.events import Emit, Event, silent
from desktune.hardware import world_size

if TYPE_CHECKING:
    from desktune.api import Trained
    from desktune.config.load import Loaded


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
    if world_size() > 1:
        trained = _train_together(words, resume)
    else:
        config = _load(words, resume).config
        with runs.claim(config.output, config.model.name, resume=resume) as claim:  # before the seconds of torch
            api = load_api()
            with console() as emit:
                trained = api.train(config, _read_or_not(emit), resume=resume, claim=claim)
    if trained is not None:
        run = trained.run
        typer.echo(f'next: desktune evaluate {run} · desktune generate {run} "text" · desktune merge {run}')


def _load(words: list[str] | None, resume: bool) -> Loaded:
    place, settings = split_words(words)
    return load_place(place, settings + _output_of(place, settings, resume))


def _train_together(words: list[str] | None, resume: bool) -> Trained | None:
    """Train with the other processes of torchrun; only one of them speaks, and gets what was trained."""
    api = load_api()
    with api.joined() as processes:
        with processes.together(), _quiet_unless(processes.is_writer):
            loaded = _load(words, resume)
        with console() if processes.is_writer else contextlib.nullcontext(silent) as emit:
            trained = api.train(loaded.config, _read_or_not(emit), resume=resume, processes=processes)
    return trained if processes.is_writer else None


def _read_or_not(emit: Emit) -> Emit:
    """A training goes on when nobody reads what it says any more (``desktune train | head``): its folder has it all."""

    def say(event: Event) -> None:
        try:
            emit(event)
        except BrokenPipeError:
            print_to_nobody()

    return say


@contextlib.contextmanager
def _quiet_unless(speaks: bool) -> Iterator[None]:
    """Keep the notes of loading a config from being printed by every process; an error is raised, not printed."""
    with contextlib.nullcontext() if speaks else contextlib.redirect_stderr(io.StringIO()):
        yield


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
