"""S9: tokens come from the environment or .env, and are written and printed nowhere."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from desktune import api
from desktune.cli.main import run
from desktune.cli.secrets import refuse_on_command_line, take_env_file
from desktune.redact import HIDDEN, redact
from desktune.track.words import clean
from tests.bundles import PAIRS

ENVIRONMENT = {  # 1-5: in the environment
    "HF_TOKEN": "hf_CanaryCanaryCanaryCanary01",
    "WANDB_API_KEY": "canary02" * 5,
    "MY_SECRET": "canary03-with-(signs)+of[regex]",
    "AWS_SECRET_ACCESS_KEY": "canary04canary04canary04",
    "DB_PASSWORD": "canary05 with a space",
}
DOTENV = {"HUGGING_FACE_HUB_TOKEN": "hf_CanaryCanaryCanaryCanary06", "OPENAI_API_KEY": "canary07canary07canary07"}
CONFIGS = {  # refused, and not repeated
    "canary08": "output: {hub_token: canary08canary08canary08}",
    "hf_CanaryCanaryCanaryCanary09": "tracking: {report_to: [wandb, hf_CanaryCanaryCanaryCanary09]}",
    "canary10": "model: {name: 'https://canary10:canary10@example.org/model'}",
}
WORDS = {  # 11, 12: on the command line
    "canary11": "output.hub_token=canary11canary11",
    "hf_CanaryCanaryCanaryCanary12": "model.name=hf_CanaryCanaryCanaryCanary12",
}


def leaks(text: str) -> list[str]:
    canaries = [*ENVIRONMENT.values(), *DOTENV.values(), *CONFIGS, *WORDS, "anary0", "anary1"]
    return [canary for canary in canaries if canary in text]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    for name in DOTENV:
        monkeypatch.setenv(name, "x")  # so that it is taken away again
        monkeypatch.delenv(name)
    text = "# mine\n" + "".join(f'export {name}="{value}"\n' for name, value in DOTENV.items()) + "PATH=/nowhere\n"
    (tmp_path / ".env").write_text(text, encoding="utf-8")
    rows = [{"input": f"{one} {n}", "output": other} for n in range(4) for one, other in PAIRS]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return tmp_path


def settings(folder: Path) -> list[str]:
    (Path.cwd() / "desktune.yaml").write_text("data: {train: rows.jsonl}\n", encoding="utf-8")
    return ["desktune.yaml", f"model.name={folder}", "output.dir=runs/one", "training.max_steps=2",
            "evaluation.max_new_tokens=4", "training.save_steps=1"]  # fmt: skip


def test_nothing_leaks_from_a_whole_run(
    tiny_t5: Path, here: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Train, evaluate, merge and a crash; all that was printed and every byte that was written."""
    assert run(["train", *settings(tiny_t5), "tracking.report_to=[tensorboard]"]) == 0
    assert os.environ["OPENAI_API_KEY"] == DOTENV["OPENAI_API_KEY"]
    assert os.environ["PATH"] != "/nowhere"
    assert run(["evaluate", "runs/one"]) == 0
    assert run(["merge", "runs/one"]) == 0

    def crash(*arguments: object, **named: object) -> None:
        raise ZeroDivisionError("asked the hub with " + " ".join([*ENVIRONMENT.values(), *DOTENV.values()]))

    monkeypatch.setattr(api, "evaluate", crash)
    assert run(["evaluate", "runs/one"]) == 1
    said = capfd.readouterr()
    assert leaks(said.out + said.err) == []
    assert said.err.count(HIDDEN) == 7
    written = [path for path in here.rglob("*") if path.is_file() and path.name != ".env"]
    assert len(written) > 30
    for path in written:
        assert leaks(path.read_bytes().decode("latin-1")) == [], path


@pytest.mark.parametrize("canary", CONFIGS)
def test_secrets_in_a_config_are_refused(canary: str, here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (here / "desktune.yaml").write_text(f"data: {{train: rows.jsonl}}\n{CONFIGS[canary]}\n", encoding="utf-8")
    for words in (["check", "desktune.yaml"], ["train", "desktune.yaml"]):
        assert run(words) == 2
        said = capfd.readouterr()
        assert leaks(said.out + said.err) == []
    assert not (here / "runs").exists()


@pytest.mark.parametrize("canary", WORDS)
def test_secrets_on_the_command_line_are_refused(
    canary: str, tiny_t5: Path, here: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(["train", *settings(tiny_t5), WORDS[canary]]) == 2
    said = capfd.readouterr()
    assert "is a secret" in said.err
    assert leaks(said.out + said.err) == []


def test_a_crash_of_the_whole_program(here: Path) -> None:
    """The traceback of a process of its own, with a token in the message and in the source line."""
    code = (
        "import sys\nfrom desktune.cli import use\nfrom desktune.cli.main import run, app\n"
        "@app.command('boom')\ndef boom() -> None:\n"
        "    raise ZeroDivisionError('hf_CanaryCanaryCanaryCanary01 canary02' * 5)\n"
        "sys.exit(run(['boom']))\n"
    )
    (here / "boom.py").write_text(code, encoding="utf-8")
    done = subprocess.run([sys.executable, "boom.py"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "ZeroDivisionError" in done.stderr
    assert "hf_Canary" not in done.stderr + done.stdout


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("no secret here", "no secret here"),
        ("token hf_abcdefghijklmnopqrst.", f"token {HIDDEN}."),
        ("https://me:pass@host/x", f"https://{HIDDEN}@host/x"),
        ("Authorization: Bearer abcdefgh12345678", f"Authorization: Bearer {HIDDEN}"),
        ("key sk-abcdefghijklmnopqrst1v", f"key {HIDDEN}"),
        ("ghp_abcdefghijklmnopqrst", HIDDEN),
        ("hf_short and a_hf_model", "hf_short and a_hf_model"),
        ("the bearer certificate is valid", "the bearer certificate is valid"),
        ("sk-learn-compatible-models", "sk-learn-compatible-models"),
        ("ssh://git@github.com/x", "ssh://git@github.com/x"),
        ("https://host?mail=a@b.c", "https://host?mail=a@b.c"),
        ("the dog@host sees https://host/a@b", "the dog@host sees https://host/a@b"),
    ],
)
def test_known_shapes(text: str, shown: str) -> None:
    assert redact(text) == shown


@pytest.mark.parametrize("word", ["key=configuration", "runs/api_key=abcdefgh.yaml", "data.fields.key=question_text"])
def test_words_that_are_no_secrets(word: str) -> None:
    refuse_on_command_line(["generate", word])


def test_a_secret_is_hidden_however_it_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    value = 'pass"word\\12é'
    monkeypatch.setenv("MY_SECRET", value)
    for text in (value, repr(ValueError(value)), json.dumps({"a": value})):
        assert "word" not in redact(text)
    assert clean("hf_Canary\x07CanaryCanaryCanary01") == HIDDEN


def test_an_env_file_with_a_mark_and_comments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HF_TOKEN", "WANDB_API_KEY"):
        monkeypatch.setenv(name, "x")
        monkeypatch.delenv(name)
    (tmp_path / ".env").write_text("\ufeffHF_TOKEN=one\nWANDB_API_KEY=two # mine\n", encoding="utf-8")
    take_env_file(tmp_path / ".env")
    assert (os.environ["HF_TOKEN"], os.environ["WANDB_API_KEY"]) == ("one", "two")


@pytest.mark.parametrize(
    "text", ["", "\x00\xff", "HF_TOKEN", "=x", "HF_TOKEN=", "A B=c", "x" * 100_000, "HF_TOKEN=a\0b"]
)
def test_a_strange_env_file_is_passed_over(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_TOKEN", raising=False)
    (tmp_path / ".env").write_text(text, encoding="latin-1")
    before = dict(os.environ)
    take_env_file(tmp_path / ".env")
    assert dict(os.environ) == before
