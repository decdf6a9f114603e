"""What the corpus is made of: a case, and the bytes of nasty files."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet

GOOD = b'{"source": "a dog", "target": "un chien"}\n'
LOOSE: dict[str, Any] = {"max_rejected": 1.0}
CAUSAL = "starter:llama"


@dataclass(frozen=True)
class Case:
    """One nasty file of a rule, and what has to come out: a part of an error, or counts of rows.

    ``texts`` are (source, target) of kept rows as they are trained, ``said`` parts of what is printed. ``write`` makes
    what bytes cannot be (a pipe, a loop, a second file) in the folder; ``train`` is what the config then names.
    """

    rule: int
    name: str
    data: bytes = b""
    kept: int = 0
    reasons: Mapping[str, int] = field(default_factory=dict)
    error: str = ""
    settings: Mapping[str, Any] = field(default_factory=lambda: LOOSE)
    model: str = "starter:t5"
    texts: tuple[tuple[str, str], ...] = ()
    said: tuple[str, ...] = ()
    write: Callable[[Path], object] | None = None
    train: Any = None


def parquet(columns: Mapping[str, Any]) -> bytes:
    sink = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table(dict(columns)), sink)
    return sink.getvalue()


def line(**values: Any) -> bytes:
    return json.dumps(values).encode() + b"\n"


def archive(files: Mapping[str, bytes]) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, data in files.items():
            packed.writestr(name, data)
    return sink.getvalue()


def arrow(columns: Mapping[str, Any], *, stream: bool) -> bytes:
    sink, table = io.BytesIO(), pyarrow.table(dict(columns))
    make = pyarrow.ipc.new_stream if stream else pyarrow.ipc.new_file
    with make(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


def zstd(data: bytes) -> bytes:
    return pyarrow.Codec("zstd").compress(data, asbytes=True)


def tmx(units: str, header: str = '<header srclang="en"/>', doctype: str = "") -> bytes:
    return f'<?xml version="1.0"?>{doctype}<tmx version="1.4">{header}<body>\n{units}\n</body></tmx>'.encode()


UNIT = '<tu tuid="7"><tuv xml:lang="fr"><seg>un chien</seg></tuv><tuv xml:lang="en"><seg>a dog</seg></tuv></tu>'
UNITS_12 = (
    '<xliff version="1.2"><file source-language="en" target-language="fr"><body>'
    '<trans-unit id="1"><source>a <g id="1">dog</g><ph id="2">&lt;br/></ph></source><target>un chien</target>'
    "<alt-trans><source>no</source><target>non</target></alt-trans></trans-unit>\n"
    '<trans-unit id="2"><source>a cat</source></trans-unit></body></file></xliff>'
)
UNITS_20 = (
    '<?xml version="1.0"?><xliff version="2.0" srcLang="en" trgLang="fr"><file id="f"><unit id="1">'
    "<segment><source>a dog</source><target>un chien</target></segment>"
    "<segment><source>a cat</source><target>un chat</target></segment></unit></file></xliff>"
)
BOMB = '<!DOCTYPE tmx [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;">]>'
CALL = {
    "role": "assistant",
    "content": None,
    "tool_calls": [{"id": "x", "type": "function", "function": {"name": "f", "arguments": '{"n": 1}'}}],
}
CHAT = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
