"""``data prepare``, ``data show`` and ``data report``: the way of a row up to training."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from desktune import durable
from desktune.cli.common import CONFIG_HELP, console, load_api, load_config
from desktune.track.console import print_text

HELP = "Look at your rows on their way into training."


def prepare(
    words: Annotated[list[str] | None, typer.Argument(metavar="CFG|RUN KEY=VALUE", help=CONFIG_HELP)] = None,
) -> None:
    """Read, split and encode the rows once, and print the ledger."""
    loaded = load_config(words)
    api = load_api()
    with console() as emit:
        prepared = api.prepare(loaded.config, emit)
    held_out = 0 if prepared.validation is None else len(prepared.validation)
    typer.echo(f"prepared: {len(prepared.train):,} rows to train on, {held_out:,} held out")


def show(
    words: Annotated[list[str] | None, typer.Argument(metavar="CFG|RUN KEY=VALUE", help=CONFIG_HELP)] = None,
    count: Annotated[int, typer.Option("-n", help="How many rows.", min=1)] = 5,
    split: Annotated[str, typer.Option(help="train or validation.")] = "train",
    ids: Annotated[bool, typer.Option("--ids", help="Token ids beside the tokens.")] = False,
) -> None:
    """Print rows as the model gets them.

    Trained tokens, context and special tokens are told apart.
    """
    loaded = load_config(words)
    api = load_api()
    with console(sys.stderr) as emit:
        shown = api.show_rows(loaded.config, split, count, ids, emit)
    for text in shown:
        print_text(text)


def inspect(
    words: Annotated[list[str] | None, typer.Argument(metavar="CFG|RUN KEY=VALUE", help=CONFIG_HELP)] = None,
    count: Annotated[int, typer.Option("-n", help="Rows of the batch.", min=1)] = 4,
    split: Annotated[str, typer.Option(help="train or validation.")] = "train",
    tensors: Annotated[bool, typer.Option("--tensors", help="Only the tensors of the batch.")] = False,
) -> None:
    """Print the tensors of a batch, its rows decoded, and what tokenizing loses.

    Signs that do not come back from ids to text are signs that the model never sees.
    """
    loaded = load_config(words)
    api = load_api()
    with console(sys.stderr) as emit:
        trips, shapes, rows = api.inspect_rows(loaded.config, split, count, emit)
    with console() as emit:
        for table in (shapes,) if tensors else (trips, shapes, rows):
            emit(table)


def report(
    words: Annotated[list[str] | None, typer.Argument(metavar="CFG|RUN KEY=VALUE", help=CONFIG_HELP)] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="The page.  [default: data-report.html]")
    ] = None,
) -> None:
    """Write a page that shows the rows: lengths, leaks, repeats, languages, what is trained, the cost.

    It opens in any browser, from disk. What needs a look is printed here too.
    """
    loaded = load_config(words)
    target = output or Path("data-report.html")
    durable.make_folder(target.parent)
    api = load_api()
    with console() as emit:
        found = api.data_report(loaded.config, emit, name=_title(loaded.config.data.train))
    durable.write_text(target, found.html())
    typer.echo(f"{target}: written; open it in a browser")


def _title(train: str | list[str] | dict[str, str] | None) -> str:
    several = list(train.values()) if isinstance(train, dict) else train or ["?"]
    names = [several] if isinstance(several, str) else several
    return ", ".join(Path(name).name for name in names[:3]) + (" …" if len(names) > 3 else "")


VERBS = (
    ("prepare", prepare, "desktune data prepare desktune.yaml"),
    ("inspect", inspect, "desktune data inspect runs/first --split validation --tensors"),
    ("report", report, "desktune data report desktune.yaml -o data-report.html"),
    ("show", show, "desktune data show desktune.yaml -n 3 --ids"),
)
