"""The pieces of a page: sections, tables, histograms as SVG. Every text from data is escaped here and nowhere else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape

from desktune.data.survey import Histogram
from desktune.events import Table

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8881; --main: #2f6f9f; --warn: #b4441f; --good: #2e7d4f; }
body { font: 16px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 60rem; padding: 1rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.2rem; margin-top: 2.2rem; border-bottom: 1px solid var(--line); }
.scroll { overflow-x: auto; margin: .8rem 0; } table { border-collapse: collapse; font-size: .9rem; }
td, th { padding: .2rem .7rem .2rem 0; text-align: left; vertical-align: top; border-bottom: 1px solid var(--line); }
th { font-weight: 600; }
td:last-child:not(.number) { min-width: 9rem; }
td.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
figure { margin: 1rem 0; } figcaption { font-size: .9rem; } svg { width: 100%; height: auto; max-height: 14rem; }
.grid { display: grid; grid-template-columns: repeat(auto-fill, minmax(18rem, 1fr)); gap: 0 1.5rem; }
.grid text { font-size: 24px; } .grid figcaption { font-size: .8rem; }
.warn { color: var(--warn); } .note { opacity: .75; font-size: .9rem; }
.tokens { line-height: 2; word-break: break-word; }
.tokens span { border-radius: .2rem; padding: .1rem .15rem; margin: 0 .05rem; background: var(--soft); }
.tokens .trained { background: color-mix(in srgb, var(--good) 30%, transparent); }
.tokens .special { outline: 1px solid var(--main); }
"""
_WIDTH, _HEIGHT, _BASE = 640, 180, 150


def page(title: str, sections: Iterable[str]) -> str:
    """Return a whole HTML document."""
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<style>{_STYLE}</style></head>\n<body><h1>{escape(title)}</h1>\n" + "\n".join(sections) + "\n</body></html>\n"
    )


def section(title: str, *parts: str) -> str:
    """Return a headed part of a page; parts are HTML already."""
    return f"<section><h2>{escape(title)}</h2>\n" + "\n".join(parts) + "</section>"


def note(text: str, *, warn: bool = False) -> str:
    """Return a line of text."""
    return f'<p class="{"warn" if warn else "note"}">{escape(text)}</p>'


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; cells that look like numbers stand on the right."""
    head = "".join(f"<th>{escape(name)}</th>" for name in columns)
    body = "".join("<tr>" + "".join(_cell(value) for value in row) + "</tr>" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def event_table(found: Table) -> str:
    """Return a table that a stage emitted."""
    return table(found.columns, found.rows)


def counts(title: str, found: Mapping[str, int]) -> str:
    """Return names with their counts and shares."""
    total = max(1, sum(found.values()))
    return table((title, "rows", "share"), [(name, f"{n:,}", f"{n / total:.1%}") for name, n in found.items()])


def histogram(title: str, found: Histogram) -> str:
    """Return bars of rows, with a line at each limit; bars outside the limits have another colour."""
    highest, left, right = max(found.counts, default=1) or 1, found.edges[0], found.edges[-1]
    reach = (right - left) or 1

    def place(value: float) -> float:
        return 10 + (_WIDTH - 20) * (value - left) / reach

    def bar(start: float, end: float, count: int) -> str:
        width, height = max(place(end) - place(start) - 1, 0.8), 130 * count / highest
        middle = (start + end) / 2
        outside = (found.most is not None and middle > found.most) or (found.least is not None and middle < found.least)
        return (
            f'<rect x="{place(start):.1f}" y="{_BASE - height:.1f}" height="{height:.1f}" width="{width:.1f}" '
            f'fill="var(--{"warn" if outside else "main"})"><title>{_figure(start)} to {_figure(end)} {found.unit}: '
            f"{count:,} rows</title></rect>"
        )

    bars = "".join(map(bar, found.edges, found.edges[1:], found.counts))
    limits = [value for value in (found.least, found.most) if value is not None and left <= value <= right]
    lines = "".join(_limit(place(value), value) for value in limits)
    axis = "".join(
        f'<text x="{place(value):.1f}" y="{_HEIGHT - 4}" font-size="12" fill="currentColor" '
        f'text-anchor="{anchor}">{_figure(value)}</text>'
        for value, anchor in ((left, "start"), (left + reach / 2, "middle"), (right, "end"))
    )
    return (
        f"<figure><figcaption>{escape(title)} (highest bar: {highest:,} rows)</figcaption>"
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(title)}">'
        f"{bars}{lines}{axis}</svg></figure>"
    )


def _limit(x: float, value: float) -> str:
    anchor, shift = ("end", -4) if x > _WIDTH - 90 else ("start", 4)
    return (
        f'<line x1="{x:.1f}" x2="{x:.1f}" y1="8" y2="{_BASE}" stroke="var(--warn)" stroke-dasharray="4 3"/>'
        f'<text x="{x + shift:.1f}" y="20" fill="var(--warn)" font-size="12" text-anchor="{anchor}">'
        f"limit {_figure(value)}</text>"
    )


def _figure(value: float) -> str:
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.3g}"


def grid(parts: Iterable[str]) -> str:
    """Return parts side by side where the page is wide enough."""
    return '<div class="grid">' + "".join(parts) + "</div>"


def tokens(cells: Iterable[tuple[str, str, str]]) -> str:
    """Return tokens as boxes; a cell is text, id and style words."""
    return '<p class="tokens">' + " ".join(_token(*cell) for cell in cells) + "</p>"


def _token(text: str, token_id: str, style: str) -> str:
    trained = text.startswith("[") and text.endswith("]")
    kinds = " ".join(name for name, there in (("trained", trained), ("special", "bold" in style)) if there)
    shown = text[1:-1] if trained else text
    return f'<span class="{kinds}" title="{escape(token_id)}">{escape(shown)}</span>'


def _cell(value: str) -> str:
    number = value[:1].isdigit() and all(sign.isdigit() or sign in ",.%" for sign in value)
    kind = ' class="number"' if number else ""
    return f"<td{kind}>{escape(value)}</td>"
