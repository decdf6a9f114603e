"""``data spelling``: US and UK spelling of a file of rows."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, get_args

import typer

from desktune.cli.common import console
from desktune.errors import UserError

_Spelling = Literal["us", "uk"]


def spelling(
    source: Annotated[Path, typer.Argument(metavar="IN", help="Rows or text (.jsonl, .json, .csv, .tsv, .txt, .md).")],
    out: Annotated[Path, typer.Option("-o", "--out", help="File of the same kind.")],
    to: Annotated[str, typer.Option(help="uk or us.")],
    fields: Annotated[
        str | None, typer.Option(help="Fields, with commas; else all texts, of pairs the English.")
    ] = None,
    oxford: Annotated[bool, typer.Option("--oxford", help="UK spelling with -ize (organize, analyse).")] = False,
    encoding: Annotated[str, typer.Option(help="Encoding of the file.")] = "utf-8",
) -> None:
    """Turn English text into US or UK spelling.

    Case, word boundaries, addresses, paths and code stay. Words that depend on what is meant (program, license,
    practice, meter, draft, check ...) and names are left alone and listed.
    """
    from desktune.data.spelling.files import Respelt, respell_file

    wanted = next((one for one in get_args(_Spelling) if one == to.lower()), None)
    if wanted is None:
        raise UserError(f"--to {to}: allowed are uk and us")
    if oxford and wanted == "us":
        raise UserError("--oxford: is a UK spelling; leave it out, or write --to uk")
    names = None if fields is None else tuple(name.strip() for name in fields.split(",") if name.strip())
    with console() as emit:
        report = respell_file(source, out, Respelt(wanted, oxford, names, encoding), emit)
    typer.echo(
        f"spelling: {report.changed.total():,} words changed, {report.left.total():,} left alone; written to {out}"
    )


EXAMPLE = "desktune data spelling pairs.jsonl -o pairs-uk.jsonl --to uk"
VERBS = (("spelling", spelling, EXAMPLE),)
