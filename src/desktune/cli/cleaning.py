"""``data clean``: rows in, better rows out, with what was dropped and why."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from desktune.cli.common import console
from desktune.errors import UserError, nearest

_SIDES = "Language of the source; without it the rows say it, else their text."
_SWITCHES = {  # a switch → the filter that it turns on, and its limit
    "skip_abstracts": ("abstracts", 0.9), "skip_references": ("references", 0.3), "skip_dates": ("dates", 0.5),
    "skip_short": ("min_characters", 25.0), "skip_ocr": ("ocr", 0.1),
}  # fmt: skip


def _list_filters(wanted: bool) -> None:
    if wanted:
        typer.echo(_filters())
        raise typer.Exit


def clean(
    words: Annotated[list[str], typer.Argument(metavar="IN...", help="Files, or en=FILE fr=FILE of parallel lines.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="File of the cleaned rows (JSON lines).")],
    preset: Annotated[str, typer.Option(help="Limits to start from: none, light or strict.")] = "light",
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="FILTER=LIMIT", help="A limit, auto or false.")
    ] = None,
    source_lang: Annotated[str | None, typer.Option(help=_SIDES)] = None,
    target_lang: Annotated[str | None, typer.Option(help="Language of the target.")] = None,
    source: Annotated[str | None, typer.Option(help="Field that holds the source, where it is not found.")] = None,
    target: Annotated[str | None, typer.Option(help="Field that holds the target.")] = None,
    rejected: Annotated[Path | None, typer.Option(help="File of what was dropped, with reason and score.")] = None,
    holdout: Annotated[
        Path | None, typer.Option(help="File of rows that strict drops and light keeps: a harder test set.")
    ] = None,
    against: Annotated[list[str] | None, typer.Option(help="File whose rows must not come again (a test set).")] = None,
    features: Annotated[
        bool, typer.Option("--features", help="All scores as columns; filters that are off score too.")
    ] = False,
    both_directions: Annotated[
        bool, typer.Option("--both-directions", help="Write each pair in both directions.")
    ] = False,
    linebreaks: Annotated[str | None, typer.Option(help="Line breaks inside a text: keep or space.")] = None,
    tokenizer: Annotated[Path | None, typer.Option(help="A tokenizer.json, for token_ratio.")] = None,
    encoding: Annotated[str, typer.Option(help="Encoding of the files.")] = "utf-8",
    filters: Annotated[
        bool,
        typer.Option("--filters", callback=_list_filters, is_eager=True, help="List all filters and their limits."),
    ] = False,
    skip_abstracts: Annotated[bool, typer.Option("--skip-abstracts", help="Drop whole abstracts.")] = False,
    skip_references: Annotated[
        bool, typer.Option("--skip-references", help="Drop figure, table and literature references.")
    ] = False,
    skip_dates: Annotated[bool, typer.Option("--skip-dates", help="Drop rows that are mostly dates.")] = False,
    skip_short: Annotated[bool, typer.Option("--skip-short", help="Drop rows under 25 characters.")] = False,
    skip_ocr: Annotated[
        bool, typer.Option("--skip-ocr", help="Drop rows with OCR faults in a tenth of their words.")
    ] = False,
) -> None:
    """Mend and filter rows: Unicode, lengths, languages, numbers, OCR faults, repetition, duplicates ..."""
    switched = {"skip_abstracts": skip_abstracts, "skip_references": skip_references, "skip_dates": skip_dates,
                "skip_short": skip_short, "skip_ocr": skip_ocr}  # fmt: skip
    del filters
    limits = {_SWITCHES[name][0]: _SWITCHES[name][1] for name, on in switched.items() if on}
    limits |= {} if linebreaks is None else {"linebreaks": linebreaks}
    limits |= dict(_setting(text) for text in settings or ())
    from desktune.config.cleaning import parse_cleaning
    from desktune.config.schema import DataSection
    from desktune.data.clean.files import Places, Wish, clean_files

    inputs = _inputs(words)
    reading = DataSection(
        source_lang=source_lang, target_lang=target_lang, encoding=encoding,
        both_directions=source_lang is not None and target_lang is not None and not isinstance(inputs, dict),
        fields={ours: theirs for ours, theirs in (("source", source), ("target", target)) if theirs is not None},
    )  # fmt: skip
    count = None if tokenizer is None else _token_counter(tokenizer)
    wish = Wish(parse_cleaning({"preset": preset, "filters": limits}), reading, features, both_directions, count)
    places = Places(inputs, out, rejected, holdout, tuple(against or ()))
    with console() as emit:
        counts = clean_files(places, wish, emit)
    typer.echo(f"cleaned: {counts.kept:,} of {counts.read:,} rows kept, {counts.written:,} written to {out}")


def _inputs(words: list[str]) -> Any:
    """Return the inputs: files, or the sides of line-parallel ones."""
    sides = [word.split("=", 1) for word in words if "=" in word and not Path(word).exists()]
    if not sides:
        return words
    if len(sides) != len(words):
        raise UserError(f"{' '.join(words)}: either files, or sides like en=train.en fr=train.fr")
    return dict(sides)


def _token_counter(path: Path) -> Callable[[str], int]:
    """Return a count of tokens by a ``tokenizer.json``. Raises UserError when it is none."""
    from tokenizers import Tokenizer

    file = path / "tokenizer.json" if path.is_dir() else path
    try:
        tokenizer = Tokenizer.from_str(file.read_text(encoding="utf-8"))
    except Exception as error:
        raise UserError(f"{file}: no tokenizer can be read from it ({error}); name a tokenizer.json") from error
    return lambda text: len(tokenizer.encode(text, add_special_tokens=False).ids)


def _setting(text: str) -> tuple[str, Any]:
    """Return filter and limit of ``name=limit``."""
    from desktune.config.cleaning import meanings

    name, equals, value = text.partition("=")
    if not equals or name not in meanings():
        raise UserError(
            f"--set {text}: no such filter{nearest(name, list(meanings()))}; write filter=limit; known:\n{_filters()}"
        )
    plain: dict[str, Any] = {"true": True, "false": False, "off": False}
    if value in plain:
        return name, plain[value]
    try:
        return name, float(value)
    except ValueError:
        return name, value


def _filters() -> str:
    """Return a line per filter: its meaning and what its limit may be."""
    from desktune.config.cleaning import allowed, meanings

    return "\n".join(f"  {name:16} {meaning} ({allowed(name)})" for name, meaning in meanings().items())


EXAMPLE = "desktune data clean pairs.jsonl -o clean.jsonl --preset strict --rejected dropped.jsonl"
VERBS = (("clean", clean, EXAMPLE),)
