"""``torture``: whether runs survive on this very machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from desktune.cli.common import console, load_api
from desktune.errors import UserError

_DEVICES = ("auto", "cpu", "cuda", "mps")


def torture(
    folder: Annotated[Path, typer.Argument(help="A folder on the disk that is meant; nothing stays in it.")] = Path(),
    minutes: Annotated[float, typer.Option(help="How long.", min=0.0)] = 5.0,
    device: Annotated[str, typer.Option(help=f"One of {', '.join(_DEVICES)}.")] = "auto",
    seed: Annotated[int | None, typer.Option(help="Repeats the trials of an earlier torture.")] = None,
) -> None:
    """Kill, starve and damage trainings on this disk.

    They are of a tiny model, on the device that is named. Each must go on to the bits of an undisturbed one; when one
    does not, the exit code is 1.
    """
    if device not in _DEVICES:
        raise UserError(f"--device {device}: there is no such device; allowed: {', '.join(_DEVICES)}")
    load_api()
    from desktune.torture.endure import endure

    with console() as emit:
        report = endure(folder, minutes, device, emit, seed=seed)
    if report.failures:
        typer.echo(f"{len(report.failures)} failed; please report them with the lines above", err=True)
        raise typer.Exit(1)
    typer.echo("nothing failed")


VERBS = (("torture", torture, "desktune torture --minutes 5"),)
