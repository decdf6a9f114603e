"""Encoded rows as the model gets them, for eyes: trained tokens in green brackets, context dim, specials bold.

Colour alone would be lost in a pipe, so a trained token also stands in ``[ ]``. White space is visible: ``·`` a space,
``⏎`` a line end, ``⇥`` a tab.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from rich.cells import cell_len
from rich.text import Text

from desktune.families import Family
from desktune.rows import IGNORE, Encoded

WIDTH = 100  # columns of a terminal; lines of tokens are broken here
_VISIBLE = str.maketrans({"▁": "·", " ": "·", "\n": "⏎", "\t": "⇥", "\r": "␍"})
_TRAINED, _CONTEXT, _SPECIAL = "green", "dim", "bold magenta"
_INDENT = "          "

Cell = tuple[str, str, str]  # token, id, style


def render_row(encoded: Encoded, tokenizer: Any, family: Family, ids: bool) -> Text:
    """Return one row with its origin, its tokens (and their ids), and a legend."""
    text = Text()
    languages = (
        f" · {encoded.source_lang} → {encoded.target_lang}" if encoded.source_lang or encoded.target_lang else ""
    )
    cut = " · cut to the limit" if encoded.truncated else ""
    text.append(
        f"{encoded.origin}{languages} · {len(encoded.input_ids)} tokens in, {encoded.trained_tokens} trained{cut}\n",
        "bold",
    )
    for name, cells in sides(encoded, tokenizer, family).items():
        _line(text, name, cells, ids)
    text.append(_INDENT)
    text.append("[trained]", _TRAINED)
    text.append(" context ", _CONTEXT)
    text.append("<special>", _SPECIAL)
    text.append(" · space  ⏎ line end\n", _CONTEXT)
    return text


def sides(encoded: Encoded, tokenizer: Any, family: Family) -> dict[str, list[Cell]]:
    """Return a row's tokens as written, with id and style, by side: source and target, or the one row."""
    if family.encoder_decoder:
        context = [IGNORE] * len(encoded.input_ids)
        return {
            "source": _cells(encoded.input_ids, context, tokenizer),
            "target": _cells(encoded.labels, encoded.labels, tokenizer),
        }
    return {"row": _cells(encoded.input_ids, encoded.labels, tokenizer)}


def _cells(tokens: Sequence[int], labels: Sequence[int], tokenizer: Any) -> list[Cell]:
    specials = set(tokenizer.all_special_ids)
    cells = []
    for token, label in zip(tokens, labels, strict=True):
        trained, special = label != IGNORE, token in specials
        piece = _piece(token, tokenizer)
        style = " ".join(
            (
                (_TRAINED if trained else _CONTEXT),
                *(("bold reverse",) if special and trained else ("bold magenta",) if special else ()),
            )
        )
        cells.append((f"[{piece}]" if trained else piece, str(token), style))
    return cells


def _piece(token: int, tokenizer: Any) -> str:
    """Return one token as it is written in the vocabulary, or as its text where the vocabulary holds bytes."""
    written = str(tokenizer.convert_ids_to_tokens([token])[0])
    text = written if "▁" in written else tokenizer.decode([token])
    shown = written if not text or "\ufffd" in text else text
    return "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in shown.translate(_VISIBLE)) or "∅"


def _line(text: Text, name: str, cells: Sequence[Cell], ids: bool) -> None:
    """Append tokens, and beneath them their ids, in lines that fit a terminal."""
    for number, row in enumerate(_wrapped(cells, ids)):
        text.append(f"{name if number == 0 else '':<{len(_INDENT)}}", "cyan")
        for token, token_id, style in row:
            text.append(_padded(token, _width(token, token_id, ids)), style)
            text.append(" ")
        text.append("\n")
        if ids:
            text.append(_INDENT)
            for token, token_id, _ in row:
                text.append(_padded(token_id, _width(token, token_id, ids)) + " ", _CONTEXT)
            text.append("\n")


def _wrapped(cells: Sequence[Cell], ids: bool) -> Iterator[list[Cell]]:
    row: list[Cell] = []
    used = len(_INDENT)
    for cell in cells:
        width = _width(cell[0], cell[1], ids) + 1
        if row and used + width > WIDTH:
            yield row
            row, used = [], len(_INDENT)
        row.append(cell)
        used += width
    if row:
        yield row


def _width(token: str, token_id: str, ids: bool) -> int:
    return max(cell_len(token), len(token_id)) if ids else cell_len(token)


def _padded(text: str, width: int) -> str:
    return text + " " * (width - cell_len(text))
