"""Every YAML that ships is a config without faults."""

from __future__ import annotations

from pathlib import Path

from desktune.config.load import load

ROOT = Path(__file__).parents[2]
PATTERNS = ("*.md", "*.py", "*.toml", "*.yaml", "*.yml", "*.json", "*.jsonl", "*.jinja", "*.txt", "Makefile", ".ci/run")
IGNORED = {".git", ".venv", "runs", "build", "dist"}


def test_every_shipped_config_loads(tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"source": "a", "target": "b"}\n', encoding="utf-8")
    found = sorted((ROOT / "examples").rglob("*.yaml"))
    assert len(found) == 3
    for path in found:
        assert load(path, [f"data.train={rows}"]).config.training.max_steps


def test_no_path_of_a_machine_in_the_tree() -> None:
    """Texts of this project name no absolute path of somebody's machine."""
    words = ("/" + "work/", "/" + "root/", "/" + "home/")
    texts = [path for pattern in PATTERNS for path in ROOT.rglob(pattern) if path.is_file()]
    kept = [path for path in texts if not IGNORED & set(path.relative_to(ROOT).parts)]
    assert len(kept) > 80
    assert [str(path) for path in kept if any(word in path.read_text(encoding="utf-8") for word in words)] == []
