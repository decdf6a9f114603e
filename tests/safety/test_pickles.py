"""S1: no file of a person or of a model is unpickled, in no flow of ours; forged ones make nothing happen."""

from __future__ import annotations

import ast
import io
import json
import os
import pickle
import shutil
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
import torch

from desktune import durable
from desktune.cli.main import run
from desktune.config.load import load
from desktune.config.schema import AdapterSection, DataSection, ModelSection
from desktune.data.read import read
from desktune.data.store import open_set
from desktune.errors import DesktuneError, UserError
from desktune.models.adapters import attach
from desktune.models.convert import converted
from desktune.models.load import Placement, load_base, load_tokenizer, locate
from desktune.models.save import save_model
from desktune.train import checkpoint
from tests.bundles import PAIRS, open_tiny
from tests.safety.forged import forged

SOURCES = Path(__file__).parents[2] / "src"
READERS = ("pickle", "_pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "multiprocessing")
CPU = Placement(torch.device("cpu"), torch.float32)
_WATCHED: list[list[str]] = []


def _hook(event: str, arguments: tuple) -> None:
    if _WATCHED and event == "pickle.find_class":
        where = [frame for frame in traceback.extract_stack() if "/_pytest/" not in frame.filename][-8:]
        _WATCHED[-1].append(f"{arguments} " + " < ".join(f"{one.filename}:{one.lineno}" for one in reversed(where)))


@pytest.fixture(scope="session")
def audit() -> None:
    sys.addaudithook(_hook)  # for good: Python has no way to take one away


@pytest.fixture
def unpickled(audit: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What was looked up by an unpickler, or went through torch.load, while the test ran."""
    found: list[str] = []
    loads = torch.load
    monkeypatch.setattr(torch, "load", lambda *args, **named: (found.append("torch.load"), loads(*args, **named))[1])
    _WATCHED.append(found)
    yield found
    _WATCHED.remove(found)


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    return tmp_path / "canary"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def test_the_watch_sees_an_unpickler(unpickled: list[str], canary: Path) -> None:
    before = len(unpickled)
    pickle.loads(forged(canary)["mkdir-protocol-2"])
    assert canary.is_dir()
    assert len(unpickled) == before + 1


def test_most_forged_files_are_alive(tmp_path: Path) -> None:
    """In a process of their own, since they do what they say."""
    code = (
        "import sys, os, pickle\nfrom pathlib import Path\nalive = 0\n"
        "for file in sorted(Path(sys.argv[1]).iterdir()):\n"
        "    try: pickle.loads(file.read_bytes())\n"
        "    except BaseException: pass\n"
        "    import time\n"
        "    if os.path.isdir(sys.argv[2]): alive += 1; os.rmdir(sys.argv[2])\n"
        "print(alive)"
    )
    (tmp_path / "files").mkdir()
    for name, data in forged(tmp_path / "canary").items():
        if "popen" not in name:  # its shell ends later
            (tmp_path / "files" / name).write_bytes(data)
    command = [sys.executable, "-c", code, str(tmp_path / "files"), str(tmp_path / "canary")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=SOURCES.parent)
    assert int(done.stdout) >= 25


def test_no_unpickler_is_imported_by_our_sources() -> None:
    found = []
    for path in SOURCES.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names = [one.name for one in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("torch.load", "numpy.load", "np.load"):
                found.append(f"{path.name}: {ast.unparse(node.func)}")
                continue
            else:
                continue
            found += [f"{path.name}: {name}" for name in names if name.split(".")[0] in READERS]
    trials = ["child.py: multiprocessing", "child.py: multiprocessing.connection"]  # what our own processes say
    assert sorted(found) == [*trials, "unpickle.py: torch.load"]


def chat_rows(folder: Path) -> None:
    rows = [
        {"messages": [{"role": "user", "content": f"{one} {n}"}, {"role": "assistant", "content": other}]}
        for n in range(6)
        for one, other in PAIRS
    ]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def pair_rows(folder: Path) -> None:
    rows = [{"input": f"{one} {n}", "output": other} for n in range(6) for one, other in PAIRS]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


@pytest.mark.parametrize(
    ("family", "rows", "settings"),
    [
        ("llama", chat_rows, []),
        pytest.param("t5", pair_rows, ["adapter.type=none"], marks=pytest.mark.slow),
        pytest.param("marian", pair_rows, ["data.source_lang=en", "data.target_lang=fr"], marks=pytest.mark.slow),
    ],
)
def test_every_flow_of_ours(
    family: str, rows: Callable[[Path], None], settings: list[str], tiny_folders: dict[str, Path], here: Path,
    unpickled: list[str], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Every verb that reads rows, models or runs: 0 pickles are read."""
    rows(here)
    (here / "desktune.yaml").write_text("data: {train: rows.jsonl}\n", encoding="utf-8")
    words = [
        "desktune.yaml", f"model.name={tiny_folders[family]}", "output.dir=runs/one", "training.max_steps=4",
        "training.eval_steps=2", "training.save_steps=2", "training.per_device_train_batch_size=4",
        "evaluation.max_new_tokens=4", "generation.max_new_tokens=4", "data.max_length=64",
        "evaluation.bootstrap_samples=0", "tracking.report_to=[tensorboard]", *settings,
    ]  # fmt: skip
    assert run(["check", *words, "--full"]) == 0
    assert run(["data", "prepare", *words]) == 0
    assert run(["data", "show", *words, "-n", "1"]) == 0
    assert run(["data", "inspect", *words]) == 0
    assert run(["data", "report", *words]) == 0
    assert run(["data", "clean", "rows.jsonl", "--out", "clean.jsonl", "--preset", "strict"]) == 0
    assert run(["data", "spelling", "clean.jsonl", "--to", "uk", "--out", "uk.jsonl"]) == 0
    (here / "en.txt").write_text("The dog sees a cat. My house is red.\n", encoding="utf-8")
    (here / "fr.txt").write_text("Le chien voit un chat. Ma maison est rouge.\n", encoding="utf-8")
    align = ["en.txt", "fr.txt", "--source-lang", "en", "--target-lang", "fr", "--out", "aligned.jsonl"]
    assert run(["data", "align", *align]) == 0
    assert run(["train", *words]) == 0
    for gone in ("model", "checkpoints/step-000004"):
        shutil.rmtree(here / "runs/one" / gone)
    (here / "runs/one/status.json").unlink()
    assert run(["train", "runs/one", "--resume"]) == 0
    for verb in ("evaluate", "merge", "verify", "show"):
        assert run([verb, "runs/one"]) == 0
    assert run(["generate", "runs/one", "my house is red"]) == 0
    assert run(["generate", "runs/one", "my house is red", "--grid", "num_beams=1,2"]) == 0
    monkeypatch.setattr(sys, "stdin", io.StringIO("hello\n/both\nhello\n/quit\n"))
    assert run(["chat", "runs/one"]) == 0
    assert run(["runs"]) == 0
    assert unpickled == []


# --- forged files in every place that is read


def quietly(work: Callable[[], object]) -> str:
    """Do something; returns the name of the typed error, or nothing where the file was ignored."""
    try:
        work()
    except DesktuneError as error:
        return type(error).__name__
    return ""


def read_rows(file: Path) -> None:
    for _ in read(str(file), DataSection(max_rejected=0.0), lambda event: None):
        pass


DATA_NAMES = ("rows.jsonl", "rows.json", "rows.csv", "rows.txt", "rows.parquet", "rows.arrow", "rows.pkl", "rows.npy")


def test_forged_data_files(canary: Path, here: Path, unpickled: list[str]) -> None:
    """47 files under 8 names each."""
    count = 0
    for data in forged(canary).values():
        for name in DATA_NAMES:
            (here / name).write_bytes(data)
            quietly(lambda name=name: read_rows(here / name))
            count += 1
    assert count >= 300
    assert (canary.exists(), unpickled) == (False, [])


def test_forged_arrow_metadata(canary: Path, here: Path, unpickled: list[str]) -> None:
    """Old pyarrow unpickled the metadata of Python extension types."""
    bad = forged(canary)["mkdir-protocol-2"]
    for name in (b"arrow.py_extension_type", b"pandas", b"arrow.fixed_shape_tensor"):
        field = pyarrow.field(
            "text", pyarrow.string(), metadata={b"ARROW:extension:name": name, b"ARROW:extension:metadata": bad}
        )
        schema = pyarrow.schema([field], metadata={b"pandas": bad, name: bad})
        table = pyarrow.Table.from_arrays([pyarrow.array(["one", "two"])], schema=schema)
        pyarrow.parquet.write_table(table, here / "rows.parquet")
        with pyarrow.ipc.new_file(str(here / "rows.arrow"), table.schema) as writer:
            writer.write_table(table)
        for work in (
            lambda: read_rows(here / "rows.parquet"),
            lambda: read_rows(here / "rows.arrow"),
            lambda: open_set(here / "rows.arrow"),
        ):
            quietly(work)
    assert (canary.exists(), unpickled) == (False, [])


def test_forged_config_files(canary: Path, here: Path, unpickled: list[str]) -> None:
    for data in forged(canary).values():
        for name in ("desktune.yaml", "desktune.json"):
            (here / name).write_bytes(data)
            assert quietly(lambda name=name: load(here / name, check_files=False)) == "ConfigError"
    assert (canary.exists(), unpickled) == (False, [])


@pytest.fixture
def base(tiny_t5: Path, here: Path) -> Path:
    shutil.copytree(tiny_t5, here / "base")
    return here / "base"


def test_forged_weights_under_the_name_of_safetensors(canary: Path, base: Path, unpickled: list[str]) -> None:
    located = locate(ModelSection(name=str(base)))
    tokenizer = load_tokenizer(located)
    for data in forged(canary).values():
        (base / "model.safetensors").write_bytes(data)
        assert quietly(lambda: load_base(located, tokenizer, "seq2seq", CPU)) == "ModelNotFound"
    assert (canary.exists(), unpickled) == (False, [])


def test_forged_files_beside_the_weights(canary: Path, base: Path, unpickled: list[str]) -> None:
    """With good safetensors, nothing else of that kind is looked at."""
    data = forged(canary)["torch-zip"]
    for name in ("pytorch_model.bin", "training_args.bin", "optimizer.pt", "scheduler.pt", "rng_state.pth",
                 "model.ckpt", "tf_model.h5", "flax_model.msgpack", "adapter_model.bin", "modeling_x.py"):  # fmt: skip
        (base / name).write_bytes(data)
    open_tiny(base)
    assert (canary.exists(), unpickled) == (False, [])


@pytest.mark.parametrize("shard", ["evil.bin", "../evil.safetensors", "/etc/passwd", "pytorch_model.bin", "a\0b"])
def test_an_index_that_names_other_files(shard: str, canary: Path, base: Path, unpickled: list[str]) -> None:
    for place in (base / "evil.bin", base / "pytorch_model.bin", base.parent / "evil.safetensors"):
        place.write_bytes(forged(canary)["torch-zip"])
    index = {"metadata": {"total_size": 1}, "weight_map": {"shared.weight": shard}}
    (base / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")
    assert quietly(lambda: locate(ModelSection(name=str(base)))) == "ModelNotFound"
    assert (canary.exists(), unpickled) == (False, [])


JSON_FILES = ("config.json", "generation_config.json", "tokenizer_config.json", "tokenizer.json", "spiece.model",
              "special_tokens_map.json", "added_tokens.json", "chat_template.jinja")  # fmt: skip


@pytest.mark.parametrize("name", JSON_FILES)
def test_forged_files_of_a_tokenizer_and_config(name: str, canary: Path, base: Path, unpickled: list[str]) -> None:
    files = forged(canary)
    for kind in ("mkdir-protocol-0", "torch-zip", "json"):
        (base / name).write_bytes(files[kind])
        quietly(lambda: open_tiny(base))
    assert (canary.exists(), unpickled) == (False, [])


def test_forged_adapters(canary: Path, base: Path, here: Path, unpickled: list[str]) -> None:
    bundle = open_tiny(base, AdapterSection(r=2))
    with durable.staging(here / "model") as staged:
        save_model(bundle, staged)
    plain = open_tiny(base)
    for data in forged(canary).values():
        (here / "model/adapter_model.safetensors").write_bytes(data)
        assert quietly(lambda: attach(plain, here / "model")) == "AdapterError"
    (here / "model/adapter_model.safetensors").rename(here / "model/adapter_model.bin")
    assert quietly(lambda: attach(plain, here / "model")) == "AdapterError"
    for data in list(forged(canary).values())[::6]:
        (here / "model/adapter_config.json").write_bytes(data)
        assert quietly(lambda: attach(plain, here / "model")) in ("AdapterError", "ModelNotFound")
    assert (canary.exists(), unpickled) == (False, [])


def test_forged_checkpoints(canary: Path, here: Path, unpickled: list[str]) -> None:
    """A forged file in a checkpoint breaks its manifest; what lies beside it is never opened."""
    for step, (name, data) in enumerate(forged(canary).items()):
        folder = checkpoint.folder_of(here, step)
        with durable.staging(folder) as staged:
            durable.write_bytes(staged / "weights.safetensors", b"good")
            durable.write_json(staged / "state.json", {})
        for file in ("weights.safetensors", "optimizer.pt", "rng_state.pth", "training_args.bin"):
            (folder / file).write_bytes(data)
        assert durable.verify(folder), name
    assert checkpoint.newest(here, lambda event: None) is None
    assert (canary.exists(), unpickled) == (False, [])


@pytest.mark.parametrize("name", ["environment.json", "status.json", "ledger.json", "metrics.jsonl", "config.yaml"])
def test_forged_files_of_a_run(name: str, canary: Path, here: Path, unpickled: list[str]) -> None:
    folder = here / "runs/one"
    folder.mkdir(parents=True)
    for data in list(forged(canary).values())[::5]:
        (folder / "config.yaml").write_text("model: {name: 'starter:t5'}\n", encoding="utf-8")
        (folder / name).write_bytes(data)
        for verb in ("show", "evaluate"):
            assert run([verb, "runs/one"]) in (0, 2)
    assert (canary.exists(), unpickled) == (False, [])


_ALL_IN_ONE = """
import sys
from pathlib import Path
from desktune.models import unpickle
for file in sorted(Path(sys.argv[1]).iterdir()):
    try:
        unpickle.main([sys.argv[2], str(file)])
        print("read", file.name)
    except Exception as error:
        print("refused", type(error).__name__, file.name)
"""


def test_forged_bin_weights(canary: Path, here: Path) -> None:
    """In the child process that reads .bin weights: all of them in one, since torch takes seconds to start."""
    (here / "files").mkdir()
    for name, data in forged(canary).items():
        (here / "files" / name).write_bytes(data)
    command = [sys.executable, "-c", _ALL_IN_ONE, str(here / "files"), str(here / "out.safetensors")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ})
    said = done.stdout.splitlines()
    assert len(said) == len(forged(canary))
    assert [line for line in said if not line.startswith("refused")] == []
    assert not canary.exists()


def test_bin_weights_that_say_they_are_larger(base: Path, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DESKTUNE_CACHE", str(here / "cache"))
    (base / "model.safetensors").unlink()
    torch.save({"shared.weight": torch.zeros(1).expand(1 << 40)}, base / "pytorch_model.bin")
    with pytest.raises(UserError, match="refused"):
        converted(base)
    assert not list((here / "cache/converted").glob("*"))


def test_the_child_has_no_network(here: Path) -> None:
    code = (
        "import sys, socket, subprocess\nfrom desktune.models import unpickle\n"
        "sys.addaudithook(unpickle._wall)\n"
        "for work in (lambda: socket.create_connection(('127.0.0.1', 9)), lambda: socket.getaddrinfo('a', 1),\n"
        "             lambda: subprocess.run(['true'])):\n"
        "    try: work(); print('open')\n"
        "    except RuntimeError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.count("not here") == 3
