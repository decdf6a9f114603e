"""``merge`` and ``verify``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from desktune import durable, runs
from desktune.cli.common import RUN_HELP, console, load_api
from desktune.errors import RunError

_NOT_OURS = ("wandb", "tensorboard")  # folders in which trackers write what they like

_NOT_WHOLE = (durable.STAGING_PREFIX, durable.DAMAGED_PREFIX)


def merge(
    run: Annotated[str, typer.Argument(metavar="RUN", help=RUN_HELP)],
    replace: Annotated[bool, typer.Option("--replace", help="Replace an earlier merged model.")] = False,
) -> None:
    """Merge base and adapter into one plain model folder.

    The merged model is compared with the adapter on held-out rows before it gets its name.
    """
    folder = runs.resolve(run)
    api = load_api()
    with console() as emit:
        report = api.merge(folder, emit, replace=replace)
    typer.echo(f"merged: {report.folder}")


def verify(
    place: Annotated[str, typer.Argument(metavar="RUN|DIR", help="A run, or any folder below which desktune wrote.")],
) -> None:
    """Check everything that was written against its hashes.

    That is a run with its checkpoints, models, lines and prepared rows, or all that lies below a folder.
    """
    folder = Path(place) if Path(place).is_dir() else runs.resolve(place)
    found = [path for path in folder.rglob("*") if _is_ours(path.relative_to(folder))]
    sealed = sorted(path.parent for path in found if path.name == durable.MANIFEST)
    if not sealed:
        raise RunError(f"{folder}: no {durable.MANIFEST} below it, so there is nothing to verify")
    living = sorted(path.parent for path in found if path.name == runs.CONFIG)
    sealed += [rows for one in living if (rows := runs.prepared_rows(one)) is not None and rows not in sealed]
    faults = [fault for one in sealed for fault in durable.verify(one)]
    faults += [fault for one in living for fault in runs.faults(one)]
    for one in living:
        if one not in sealed:
            typer.echo(f"note: {one}: was ended while its description was written; its next --resume seals it again")
    for left in folder.rglob(f"{durable.DAMAGED_PREFIX}*"):
        typer.echo(f"note: {left}: was found damaged at a resume and set aside; remove it when you have looked at it")
    for left in folder.rglob(f"{durable.STAGING_PREFIX}*"):
        typer.echo(f"note: {left}: left by a killed process; the next training of this run removes it")
    if faults:
        raise RunError("\n".join([f"{len(faults)} of the files below {folder} are not as written", *faults]))
    typer.echo(f"{folder}: {len(sealed)} folders, every file is as it was written")


def _is_ours(path: Path) -> bool:
    return not any(part in _NOT_OURS or part.startswith(_NOT_WHOLE) for part in path.parts)


VERBS = (
    ("merge", merge, "desktune merge latest"),
    ("verify", verify, "desktune verify latest"),
)
