"""``init``, ``check`` and ``schema``: configs, without torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from desktune import durable
from desktune.cli.common import CONFIG_HELP, console, load_api, load_config
from desktune.errors import UserError
from desktune.track.words import clean


def init(
    data: Annotated[list[Path] | None, typer.Argument(metavar="DATA...", help="Your file(s) of rows.")] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="The file to write.  [default: desktune.yaml]")
    ] = None,
    project: Annotated[Path | None, typer.Option(help="Write a project folder instead.", metavar="DIR")] = None,
    sample: Annotated[
        str | None, typer.Option(help="Write sample data instead: marine, dreams or answers.", metavar="NAME")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite an existing file.")] = False,
) -> None:
    """Write a config fitted to your data and this machine."""
    if project is not None:
        _init_project(project)
    elif sample is not None:
        _init_sample(sample, output or Path(f"{sample}.jsonl"), force)
    elif data:
        _init_config(data, output or Path("desktune.yaml"), force)
    else:
        raise UserError("desktune init: name your data, e.g. desktune init pairs.json, or use --project or --sample")


def check(
    words: Annotated[list[str] | None, typer.Argument(metavar="CFG|RUN KEY=VALUE", help=CONFIG_HELP)] = None,
    full: Annotated[
        bool, typer.Option("--full", help="Also the plan on this machine, the ledger of rows and the cost.")
    ] = False,
) -> None:
    """Print the whole config, or all that is wrong with it."""
    from desktune.config.load import dump

    loaded = load_config(words)
    typer.echo(dump(loaded.config), nl=False)
    if full:
        api = load_api()
        with console() as emit:
            api.plan(loaded.config, emit)
            api.estimate(loaded.config, emit)


def schema() -> None:
    """Print the JSON schema of a config."""
    from desktune.config.reference import json_schema

    typer.echo(json.dumps(json_schema(), indent=2, ensure_ascii=False))


def _init_project(folder: Path) -> None:
    from desktune.config.init import init_project

    init_project(folder)
    typer.echo(f"{folder}: written; next: put rows into {folder}/data/raw, then desktune init {folder}/data/raw/FILE")


def _init_sample(name: str, output: Path, force: bool) -> None:
    from desktune import starters

    text = starters.sample(name).read_text(encoding="utf-8")
    _write(output, text, force)
    typer.echo(f"{output}: written; next: desktune init {output}")


def _init_config(data: list[Path], output: Path, force: bool) -> None:
    from desktune.config.init import init_config
    from desktune.hardware import machine, prepare_environment

    _check_free(output, force)
    prepare_environment()
    text = init_config(data[0] if len(data) == 1 else data, machine(probe_torch=True))
    _write(output, text, force)
    for line in text.splitlines():
        if "guess:" in line or line.lstrip().startswith("fields:"):
            typer.echo(clean(line.strip()))
    typer.echo(f"{output}: written; next: desktune check {output} · desktune data show {output}")


def _check_free(output: Path, force: bool) -> None:
    if output.exists() and not force:
        raise UserError(f"{output}: exists already; write another file with -o, or overwrite it with --force")


def _write(output: Path, text: str, force: bool) -> None:
    _check_free(output, force)
    durable.make_folder(output.parent)
    durable.write_text(output, text)


VERBS = (
    ("init", init, "desktune init pairs.json -o desktune.yaml"),
    ("check", check, "desktune check desktune.yaml --full"),
    ("schema", schema, "desktune schema > desktune.schema.json"),
)
