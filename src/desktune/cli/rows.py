"""``data prepare`` and ``data show``: the way of a row up to training."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

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


VERBS = (
    ("prepare", prepare, "desktune data prepare desktune.yaml"),
    ("show", show, "desktune data show desktune.yaml -n 3 --ids"),
)
