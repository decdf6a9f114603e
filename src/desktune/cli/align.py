"""``data align``: two documents in two languages → pairs of sentences."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from desktune.cli.common import console


def align(
    source: Annotated[Path, typer.Argument(help="Document (.txt, .md, .docx), folder, or a JSONL file of documents.")],
    target: Annotated[
        Path | None, typer.Argument(help="The same in the other language; folders are matched by number.")
    ] = None,
    source_lang: Annotated[str, typer.Option(help="Language of the source: en.")] = "",
    target_lang: Annotated[str, typer.Option(help="Language of the target: fr.")] = "",
    out: Annotated[Path | None, typer.Option("-o", "--out", help="File of the pairs (JSON lines).")] = None,
    both_directions: Annotated[
        bool, typer.Option("--both-directions", help="Write each pair in both directions.")
    ] = False,
    min_score: Annotated[
        float | None, typer.Option(min=0, max=1, help="Pairs that score less are left out (0.3).")
    ] = None,
    features: Annotated[bool, typer.Option("--features", help="Score and type (1-1, 1-2 ...) as columns.")] = False,
    rejected: Annotated[Path | None, typer.Option(help="File of gaps and of pairs that are left out.")] = None,
    abbreviations: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="Words that never end a sentence, one per line.")
    ] = None,
    embeddings: Annotated[Path | None, typer.Option(help="Folder of a sentence-transformers model.")] = None,
    encoding: Annotated[str, typer.Option(help="Encoding of the files.")] = "utf-8",
) -> None:
    """Cut two documents into sentences and find which stand for each other.

    Lengths, numbers, words that look alike, and a lexicon that is learnt on the way.
    """
    from desktune.data.align.documents import Wanted
    from desktune.data.align.files import MIN_SCORE, Outputs, align_files
    from desktune.errors import UserError

    missing = [
        name
        for name, value in (("--source-lang", source_lang), ("--target-lang", target_lang), ("-o", out))
        if not value
    ]
    if missing or out is None:
        raise UserError(f"data align needs {', '.join(missing)}; like: {EXAMPLE}")
    wanted = Wanted(source, target, source_lang, target_lang, encoding)
    outputs = Outputs(out, rejected, MIN_SCORE if min_score is None else min_score, both_directions, features)
    with console() as emit:
        counts = align_files(wanted, outputs, emit, abbreviations, embeddings)
    typer.echo(
        f"aligned: {counts.pairs:,} pairs out of {counts.documents:,} documents, {counts.written:,} rows in {out}"
    )


EXAMPLE = "desktune data align english/ french/ --source-lang en --target-lang fr -o pairs.jsonl"
VERBS = (("align", align, EXAMPLE),)
