"""The schema as a page for people (``reference.yaml``, compared by a test) and as JSON schema for editors.

``python -m desktune.config.reference`` prints the page.
"""

from __future__ import annotations

import sys
import textwrap
from typing import Any

from desktune.config import describe
from desktune.config.emit import to_yaml
from desktune.config.faults import Path
from desktune.config.rules import EXCLUSIVE
from desktune.config.schema import Config

_WIDTH = 110
_HEAD = """\
# desktune.yaml: every key with its default. Generated from the schema; a config of yours needs data.train only.
# null: not set. auto: decided on your machine for your model, and said aloud.
"""


def reference_yaml() -> str:
    """Return every key with its default, meaning and bounds as YAML that parses to the defaults.

    Of two keys that exclude each other the unset one stands as ``null``.
    """
    defaults = Config().model_dump()
    lines = [_HEAD]
    for name, value in defaults.items():
        section = describe.sections().get(name)
        if section is None:
            lines += [*_comment((name,), ""), f"{name}: {to_yaml(value)}"]
            continue
        lines += ["", f"# {_first_line(section.__doc__)}", f"{name}:"]
        for key, inner in value.items():
            lines += [*_comment((name, key), "  "), f"  {key}: {to_yaml(inner)}"]
    return "\n".join(lines) + "\n"


def json_schema() -> dict[str, Any]:
    """Return the JSON schema (draft 2020-12) of a config, with descriptions and bounds."""
    schema = Config.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "desktune.yaml"}


def comment(path: Path, indent: str = "  ") -> list[str]:
    """Return the comment lines of one key: meaning, then what is allowed."""
    return _comment(path, indent)


def _comment(path: Path, indent: str) -> list[str]:
    description = describe.known_keys()[path].description or ""
    excluded = [second[-1] for first, second in EXCLUSIVE if first == path]
    instead = f" Excludes {' and '.join(excluded)}." if excluded else ""
    text = f"{description}. Allowed: {describe.allowed(path)}.{instead}"
    return textwrap.wrap(
        text, _WIDTH, initial_indent=f"{indent}# ", subsequent_indent=f"{indent}#   ", break_on_hyphens=False
    )


def _first_line(docstring: str | None) -> str:
    return (docstring or "").strip().splitlines()[0]


if __name__ == "__main__":
    sys.stdout.write(reference_yaml())
