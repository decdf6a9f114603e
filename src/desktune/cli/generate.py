"""``generate``: one answer per text, or several settings (``--grid``, ``--variant``) and both models side by side."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from desktune import durable, runs
from desktune.cli.common import RUN_HELP, console, load_api
from desktune.cli.texts import read_texts
from desktune.errors import ConfigError, UserError, nearest
from desktune.track.words import clean

if TYPE_CHECKING:
    from desktune.config.schema import Config
    from desktune.generate.side_by_side import SideBySide

EXAMPLES = """desktune generate latest "The whale dives." --set num_beams=1
  desktune generate latest --input texts.txt -o answers.jsonl
  desktune generate latest "The whale dives." --grid num_beams=1,4 --grid repetition_penalty=1.0,1.5
  desktune generate latest "The whale dives." --variant careful --variant wild --both
  desktune generate latest --split validation -n 50 --grid num_beams=1,4 --grid length_penalty=0.8,1.2"""

AS_CONFIGURED = "as configured"


@dataclass(frozen=True)
class _Wanted:
    """What is asked to be set side by side; nothing of it: one answer per text."""

    grid: Sequence[str]
    variant: Sequence[str]
    variants: bool
    both: bool
    split: str | None

    @property
    def several(self) -> bool:
        return bool(self.grid or self.variant or self.variants or self.both or self.split)


def generate(
    run: Annotated[str, typer.Argument(metavar="RUN", help=RUN_HELP)],
    text: Annotated[
        str | None, typer.Argument(metavar="TEXT", help="One text; without it, lines from --input or stdin.")
    ] = None,
    source: Annotated[Path | None, typer.Option("--input", "-i", help="Lines of text, or JSON lines (.jsonl).")] = None,
    split: Annotated[
        str | None, typer.Option(help="Instead of texts: held-out rows of validation or test, and their metrics.")
    ] = None,
    count: Annotated[int, typer.Option("-n", min=1, help="Rows of --split.")] = 50,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Write JSON lines here.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON lines.")] = False,
    base: Annotated[bool, typer.Option("--base", help="Ask the untouched base model.")] = False,
    both: Annotated[bool, typer.Option("--both", help="Ask base and tuned model.")] = False,
    setting: Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Over generation:.")] = None,
    grid: Annotated[
        list[str] | None, typer.Option("--grid", metavar="KEY=A,B", help="Compare settings; several multiply.")
    ] = None,
    variant: Annotated[
        list[str] | None, typer.Option("--variant", metavar="NAME", help="Compare these of generation.variants.")
    ] = None,
    variants: Annotated[bool, typer.Option("--variants", help="Compare all of generation.variants.")] = False,
    source_lang: Annotated[str | None, typer.Option(help="Language of the texts, where several were trained.")] = None,
    target_lang: Annotated[str | None, typer.Option(help="Language of the answers.")] = None,
) -> None:
    """Answer a text, or every line of a file or of stdin.

    With --grid, --variant, --variants, --both or --split several settings, or both models, answer side by side: text by
    text, with a table at the end. These answers are kept in the run's generations/.
    """
    folder = runs.resolve(run)
    wanted = _Wanted(grid or [], variant or [], variants, both, split)
    _hold_together(wanted, base=base, texts=text is not None or source is not None)
    config, settings = _settings(folder, setting or [])
    chosen = _chosen(config, settings, wanted) if wanted.several else {}
    texts = [text] if text is not None else [] if split else read_texts(source, config.data.fields.get("source"))
    api = load_api()
    if not wanted.several:
        with console(sys.stderr) as emit:
            answers = api.generate(
                folder, texts, emit, tuned=not base, settings=settings or None, languages=(source_lang, target_lang)
            )
        if text is not None and output is None and not as_json:
            typer.echo(clean(answers[0]))
            return
        pairs = zip(texts, answers, strict=True)
        _lines((json.dumps({"source": one, "output": answer}, ensure_ascii=False) for one, answer in pairs), output)
        return
    from desktune.generate.side_by_side import Split

    asked = Split(split, count) if split else texts
    models = ("base", "tuned") if both else ("base",) if base else ("tuned",)
    with console(sys.stderr) as emit:
        result = api.generate_variants(
            folder, asked, emit, variants=chosen, models=models, languages=(source_lang, target_lang)
        )
    if as_json or output is not None:
        _lines(result.json_lines(), output)
    if not as_json:
        _show(result, with_texts=split is None)


def _hold_together(wanted: _Wanted, *, base: bool, texts: bool) -> None:
    """Raises UserError for options of which only one can hold."""
    pairs = (
        ("--base", base, "--both", wanted.both),
        ("--grid", bool(wanted.grid), "--variant", bool(wanted.variant or wanted.variants)),
        ("--split", wanted.split is not None, "a text or --input", texts),
    )
    for one, has_one, other, has_other in pairs:
        if has_one and has_other:
            raise UserError(f"desktune generate: {one} and {other} contradict each other; take one of them")


def _settings(run: Path, words: Sequence[str]) -> tuple[Config, dict[str, Any]]:
    """The run's config with ``--set`` in it, and these settings after the same checks as those of a config."""
    bad = next((word for word in words if "=" not in word), None)
    if bad is not None:
        raise UserError(f"--set {bad}: write it key=value, e.g. --set num_beams=1")
    from desktune.config.load import load
    from desktune.config.names import generation_key

    plain = [word.strip().removeprefix("generation.") for word in words]
    config = load(runs.Run(run).config, [f"generation.{word}" for word in plain], check_files=False).config
    names = [generation_key(word.partition("=")[0]) for word in plain]
    values = config.generation.model_dump()
    return config, {name: values[name] for name in names if name in values}


def _chosen(config: Config, settings: Mapping[str, Any], wanted: _Wanted) -> dict[str, dict[str, Any]]:
    """Return the settings to compare by name, each with those of ``--set`` below its own."""
    if wanted.grid:
        from desktune.config.generation_grid import generation_grid

        found = generation_grid(config.generation, wanted.grid)
        for note in found.notes:
            sys.stderr.write(f"note: {note}\n")
        named: Mapping[str, Mapping[str, Any]] = found.combinations
    elif wanted.variants or wanted.variant:
        named = _named(config.generation.variants, wanted)
    else:
        named = {AS_CONFIGURED: {}}
    return {name: {**settings, **own} for name, own in named.items()}


def _named(known: Mapping[str, dict[str, Any]], wanted: _Wanted) -> Mapping[str, dict[str, Any]]:
    if not known:
        raise ConfigError(
            "generation.variants: the run's config has none; add some to its config.yaml, or take --grid num_beams=1,4"
        )
    for name in wanted.variant:
        if name not in known:
            raise ConfigError(
                f"--variant {name}: no such variant{nearest(name, list(known))}; there are {', '.join(known)}"
            )
    return known if wanted.variants else {name: known[name] for name in wanted.variant}


def _lines(lines: Iterable[str], output: Path | None) -> None:
    """Print lines, or write them into the file that the person named."""
    if output is None:
        for line in lines:
            typer.echo(clean(line))
        return
    durable.make_folder(output.parent)
    typer.echo(f"{output}: {durable.write_rows(output, lines):,} answers")


def _show(result: SideBySide, *, with_texts: bool) -> None:
    """Print a block per text, and the table of the settings."""
    from desktune.evaluate.metrics import LABELS
    from desktune.generate.layout import blocks
    from desktune.generate.side_by_side import table

    if with_texts:
        for line in blocks(result, shutil.get_terminal_size((100, 24)).columns):
            typer.echo(line)
    with console() as emit:
        emit(table(result, LABELS))
