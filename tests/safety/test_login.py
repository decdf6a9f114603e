"""Tokens at a hidden prompt: shown nowhere, kept in the system's keyring, taken from there last of all."""

from __future__ import annotations

import json
import os
import pty
import sys
from pathlib import Path

import keyring
import pytest

from desktune.cli.main import run
from desktune.cli.secrets import take_keyring
from tests.safety.filed_keyring import FiledKeyring

TOKEN = "hf_CanaryCanaryCanaryCanary13"
ROOT = Path(__file__).parents[2]
Out = pytest.CaptureFixture[str]


@pytest.fixture
def held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of a keyring, and no token in the environment."""
    before = keyring.get_keyring()
    for name in ("HF_TOKEN", "WANDB_API_KEY"):
        monkeypatch.setenv(name, "x")  # so that it is taken away again
        monkeypatch.delenv(name)
    monkeypatch.setenv("KEYRING_FILE", str(tmp_path / "keyring.json"))
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "tests.safety.filed_keyring.FiledKeyring")
    monkeypatch.chdir(tmp_path)
    keyring.set_keyring(FiledKeyring())
    yield tmp_path / "keyring.json"
    keyring.set_keyring(before)


def at_a_terminal(words: list[str], typed: str) -> tuple[str, int]:
    """Run a command line at a terminal of its own; return all that is seen there, and the exit code."""
    pid, terminal = pty.fork()
    if not pid:
        os.environ["PYTHONPATH"] = f"{ROOT / 'src'}:{ROOT}"
        os.execv(sys.executable, [sys.executable, "-m", "desktune", *words])
    seen, sent = b"", False
    while True:
        try:
            piece = os.read(terminal, 1024)
        except OSError:  # Linux, once the other end is closed
            break
        if not piece:
            break
        seen += piece
        if not sent and b"not shown" in seen:
            os.write(terminal, typed.encode() + b"\n")
            sent = True
    os.close(terminal)
    return seen.decode(), os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_a_token_is_typed_unseen_kept_and_taken(held: Path, monkeypatch: pytest.MonkeyPatch, capsys: Out) -> None:
    seen, code = at_a_terminal(["login", "hub"], TOKEN)
    assert code == 0, seen
    assert "HF_TOKEN is in the keyring" in seen
    assert TOKEN not in seen
    assert json.loads(held.read_text()) == {"desktune/HF_TOKEN": TOKEN}
    take_keyring()
    assert os.environ["HF_TOKEN"] == TOKEN
    monkeypatch.setenv("HF_TOKEN", "hf_mine")
    take_keyring()
    assert os.environ["HF_TOKEN"] == "hf_mine"  # the environment goes first
    assert run(["login", "hub", "--forget"]) == 0
    assert run(["login", "hub", "--forget"]) == 0
    assert "holds no HF_TOKEN" in capsys.readouterr().out
    assert json.loads(held.read_text()) == {}


def test_without_a_terminal_nothing_is_asked(held: Path, capsys: Out) -> None:
    assert run(["login", "wandb"]) == 2
    assert "put WANDB_API_KEY=... into the environment or into .env" in capsys.readouterr().err
    assert run(["login", "wandb", "0123456789abcdef0123456789abcdef01234567"]) == 2
    assert run(["login", "0123456789abcdef0123456789abcdef01234567"]) == 2
    assert "0123456789" not in capsys.readouterr().err
    assert run(["login", "hubb"]) == 2
    assert "did you mean hub?" in capsys.readouterr().err.replace("'", "")


def test_a_system_without_a_keyring(held: Path, capsys: Out) -> None:
    from keyring.backends.fail import Keyring

    keyring.set_keyring(Keyring())
    take_keyring()  # nothing there is no fault
    assert "HF_TOKEN" not in os.environ
    assert run(["login", "--forget"]) == 2
    assert "no keyring that can be used" in capsys.readouterr().err
