"""Training under a real torchrun on two processes: the run of one process, whatever happens to it on the way."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tests.bundles import FAMILIES, PAIRS

from desktune import durable
from desktune.batches.order import deal, micro_batches, shared_batches
from desktune.cli.main import run
from desktune.config.schema import ModelSection, TrainingSection
from desktune.errors import ConfigError, OutOfMemory
from desktune.hardware import pick_device_map
from desktune.models.load import Placement, load_base, load_tokenizer, locate
from desktune.train import joint
from desktune.train.processes import ONE, Processes

SETTINGS = (
    "training.max_steps=4 training.eval_steps=2 training.save_steps=2 training.logging_steps=1 "
    "evaluation.max_new_tokens=6 evaluation.smoke_test=false adapter.lora_dropout=0.0"
)
SGD = (
    "training.optim=sgd training.learning_rate=0.1 training.warmup_ratio=0 training.max_grad_norm=0 "
    "training.save_steps=1 training.save_total_limit=9"
)
EIGHT_ROWS, FOUR_ROWS = "training.per_device_train_batch_size=8", "training.per_device_train_batch_size=4"


@pytest.fixture
def models(tiny_folders: dict[str, Path], tmp_path: Path) -> dict[str, Path]:
    """The tiny models without dropout: other micro-batches would draw other masks."""
    folders = {name: tmp_path / "models" / name for name in tiny_folders}
    for name, folder in folders.items():
        shutil.copytree(tiny_folders[name], folder)
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        config.update({key: 0.0 for key in config if "dropout" in key})
        (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return folders


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a config and its rows."""
    monkeypatch.chdir(tmp_path)
    rows = [{"input": f"{one} {number}", "output": other} for number in range(8) for one, other in PAIRS]
    (tmp_path / "rows.jsonl").write_text("\n".join(json.dumps(row) for row in rows) + "\n", encoding="utf-8")
    (tmp_path / "desktune.yaml").write_text("data: {train: rows.jsonl}\n", encoding="utf-8")
    return tmp_path


@contextmanager
def torchrun(*words: str) -> Iterator[subprocess.Popen]:
    """Start ``desktune`` on two processes; whatever is left of them at the end is killed."""
    launcher = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc_per_node",
        "2",
        "-m",
        "desktune",
    ]
    process = subprocess.Popen(
        [*launcher, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            for pid in family_of(process.pid):
                os.kill(pid, signal.SIGKILL)
            process.wait()


def on_two(*words: str) -> tuple[int, str]:
    """Return torchrun's exit code and what was printed by all."""
    with torchrun("train", "desktune.yaml", *SETTINGS.split(), *words) as process:
        said, _ = process.communicate(timeout=180)
    return process.returncode, said


def on_one(*words: str) -> int:
    return run(["train", "desktune.yaml", *SETTINGS.split(), *words])


def metrics(folder: str, *keys: str) -> list[dict[str, float]]:
    """Return the wanted figures of every line of metrics.jsonl that has them."""
    found = durable.read_lines(Path(folder) / "metrics.jsonl")
    return [{key: line[key] for key in keys} for line in found if all(key in line for key in keys)]


def close(one: list[dict[str, float]], other: list[dict[str, float]], tolerance: float = 1e-5) -> bool:
    return len(one) == len(other) > 0 and all(
        a == pytest.approx(b, rel=tolerance) for a, b in zip(one, other, strict=True)
    )


def weights(folder: str, step: int) -> dict[str, torch.Tensor]:
    return load_file(Path(folder) / f"checkpoints/step-{step:06d}/weights.safetensors")


def same_weights(one: str, other: str, step: int) -> bool:
    mine, theirs = weights(one, step), weights(other, step)
    return mine.keys() == theirs.keys() and all(torch.allclose(mine[key], theirs[key], atol=1e-5) for key in mine)


def test_every_micro_batch_is_dealt_once_in_equally_many_passes() -> None:
    random = np.random.default_rng(0)
    for processes in (1, 2, 3, 8):
        for count in (1, 2, 5, 8, 17):
            costs = random.integers(1, 100, count).tolist()
            dealt = deal(costs, processes)
            assert len({len(mine) for mine in dealt}) == 1
            assert sorted(index for mine in dealt for index in mine if index is not None) == list(range(count))
            assert sum(index is None for mine in dealt for index in mine) < processes
    assert deal([9, 5, 5, 1], 2) == [[0, 3], [1, 2]]


def test_a_step_is_cut_for_as_many_as_work_on_it() -> None:
    random = np.random.default_rng(1)
    lengths, labels = random.integers(2, 30, 64), random.integers(2, 30, 64)
    step = np.arange(64)
    for processes, budget in ((2, 100_000), (3, 100_000), (4, 400), (2, 60)):
        batches = shared_batches(step, lengths, labels, budget, processes)
        whole = micro_batches(step, lengths, labels, budget)
        padded = [len(rows) * (max(lengths[rows]) + max(labels[rows])) for rows in batches]
        assert sorted(row for rows in batches for row in rows) == list(range(64))
        assert (
            processes * -(-len(whole) // processes) - processes
            < len(batches)
            <= processes * -(-len(whole) // processes)
        )
        assert max(padded) <= max(budget, max(lengths + labels))
        loads = [
            sum(padded[i] for i in mine if i is not None) for mine in deal([int(one) for one in padded], processes)
        ]
        assert max(loads) < 1.6 * sum(padded) / processes
    assert shared_batches(step, lengths, labels, 400, 1) == micro_batches(step, lengths, labels, 400)


@pytest.mark.parametrize(
    ("wanted", "processes", "possible", "becomes"),
    [
        (None, 1, True, None),
        (None, 2, False, None),
        ("auto", 1, True, "auto"),
        ("cpu", 1, True, "cpu"),
        ("balanced", 2, True, None),
        ("auto", 1, False, None),
        ("sequential", 8, False, None),
    ],
)
def test_device_map_rule(wanted: str | None, processes: int, possible: bool, becomes: str | None) -> None:
    given, why = pick_device_map(wanted, processes, possible)
    assert given == becomes
    assert bool(why) == (wanted is not None)
    assert ("ignored" in why) == (wanted is not None and becomes is None)


@pytest.mark.parametrize(
    ("section", "device", "dtype", "words"),
    [
        ({}, "mps", None, "Apple"),
        ({}, "cuda", None, "no GPU of its own"),
        ({"distributed": "fsdp", "optim": "adafactor"}, "cpu", None, "adafactor"),
        ({"distributed": "fsdp"}, "cpu", torch.float16, "float16"),
    ],
)
def test_what_several_processes_cannot_do(section: dict, device: str, dtype: torch.dtype | None, words: str) -> None:
    arguments = TrainingSection(**section), torch.device(device), dtype
    with pytest.raises(ConfigError, match=words):
        joint.check(*arguments, Processes(99, 99, 100))
    joint.check(*arguments, ONE)


def test_other_verbs_are_refused_once(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    for rank, said in (("0", "only desktune train"), ("1", "")):
        monkeypatch.setenv("RANK", rank)
        assert run(["evaluate", "runs/one"]) == 2
        assert (said in capsys.readouterr().err) if said else (capsys.readouterr().err == "")
    assert run(["train", *SETTINGS.split()]) == 2
    assert "start the processes with torchrun" in capsys.readouterr().err


def test_two_processes_train_as_one(models: dict[str, Path], here: Path) -> None:
    """Loss, gradient and weights of the same 8 rows; then a resume on one process goes on with the same rows."""
    words = [f"model.name={models['t5']}", "adapter.type=none", "training.load_best_model_at_end=false", *SGD.split()]
    assert on_one(*words, EIGHT_ROWS, "output.dir=one") == 0
    code, said = on_two(*words, FOUR_ROWS, "output.dir=two")
    assert code == 0, said
    assert said.count("step 1/4") == said.count("saved model") == said.count("next:") == 1
    assert close(metrics("one", "loss", "grad_norm"), metrics("two", "loss", "grad_norm"))
    assert close(metrics("one", "eval_loss"), metrics("two", "eval_loss"))
    first, start = weights("one", 1), load_file(models["t5"] / "model.safetensors")
    gradient = torch.cat([(first[name] - start[name]).flatten() for name in first])
    difference = torch.cat([(first[name] - weights("two", 1)[name]).flatten() for name in first])
    assert torch.linalg.vector_norm(difference) < 1e-5 * torch.linalg.vector_norm(gradient)
    assert same_weights("one", "two", 4)
    assert not durable.verify(Path("two/model"))


def test_a_resume_keeps_the_rows_of_a_step(
    models: dict[str, Path], here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A run that says it was begun on two processes: four rows on one are refused, eight go on."""
    words = [f"model.name={models['t5']}", "output.dir=one"]
    assert on_one(*words, FOUR_ROWS) == 0
    environment = json.loads(Path("one/environment.json").read_text(encoding="utf-8"))
    assert environment["processes"] == 1
    Path("one/environment.json").write_text(json.dumps({**environment, "processes": 2}), encoding="utf-8")
    status = json.loads(Path("one/status.json").read_text(encoding="utf-8"))
    Path("one/status.json").write_text(json.dumps({**status, "status": "stopped"}), encoding="utf-8")
    assert on_one(*words, FOUR_ROWS, "--resume") == 2
    assert "8 on 2 process(es) → 4 on 1" in capsys.readouterr().err
    assert on_one(*words, EIGHT_ROWS, "--resume") == 0


@pytest.mark.slow
@pytest.mark.parametrize("adapter", ["lora", "none"])
@pytest.mark.parametrize("family", FAMILIES)
def test_every_task_with_adapter_and_all_weights(
    family: str, adapter: str, models: dict[str, Path], here: Path
) -> None:
    """DDP and FSDP: losses, generated metrics and weights of one process; FSDP's checkpoint goes on in one."""
    words = [f"model.name={models[family]}", f"adapter.type={adapter}", "training.metric_for_best_model=eval_chrf"]
    assert on_one(*words, EIGHT_ROWS, "output.dir=one") == 0
    for how in ("ddp", "fsdp"):
        code, said = on_two(*words, FOUR_ROWS, f"training.distributed={how}", f"output.dir={how}")
        assert code == 0, said
        assert close(metrics("one", "loss", "grad_norm"), metrics(how, "loss", "grad_norm"))
        assert close(metrics("one", "eval_loss", "eval_chrf"), metrics(how, "eval_loss", "eval_chrf"))
        assert same_weights("one", how, 4)
        assert run(["evaluate", how]) == 0
    shutil.rmtree("fsdp/checkpoints/step-000004")
    shutil.rmtree("fsdp/model")
    status = json.loads(Path("fsdp/status.json").read_text(encoding="utf-8"))
    Path("fsdp/status.json").write_text(json.dumps({**status, "status": "stopped"}), encoding="utf-8")
    assert on_one(*words, EIGHT_ROWS, "output.dir=fsdp", "--resume") == 0
    assert same_weights("one", "fsdp", 4)


LONG = (
    "training.max_steps=60 training.eval_steps=20 training.save_steps=5 training.logging_steps=1 "
    "training.per_device_train_batch_size=4 evaluation.smoke_test=false"
)


def long_run(*words: str) -> tuple[int, str]:
    with torchrun("train", "desktune.yaml", *LONG.split(), *words) as process:
        said, _ = process.communicate(timeout=180)
    return process.returncode, said


def wait_for_checkpoint(folder: str) -> None:
    deadline = time.monotonic() + 120
    while not list(Path(folder).glob("checkpoints/step-*")) and time.monotonic() < deadline:
        time.sleep(0.005)


def family_of(pid: int) -> list[int]:
    """Return a process and all below it; torchrun gives each of its own a session."""
    children = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True).stdout.split()
    return [pid, *(one for child in children for one in family_of(int(child)))]


@pytest.mark.slow
@pytest.mark.parametrize("how", ["ddp", "fsdp"])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_group_ends_with_the_same_bits(
    number: signal.Signals, how: str, tiny_folders: dict[str, Path], here: Path
) -> None:
    """Dropout on. SIGTERM to torchrun stops both processes at one step, with a checkpoint of it."""
    words = [f"model.name={tiny_folders['t5']}", f"training.distributed={how}"]
    code, said = long_run(*words, "output.dir=straight")
    assert code == 0, said
    with torchrun("train", "desktune.yaml", *LONG.split(), *words, "output.dir=killed") as process:
        wait_for_checkpoint("killed")
        for pid in [process.pid] if number == signal.SIGTERM else family_of(process.pid):
            os.kill(pid, number)
        said, _ = process.communicate(timeout=60)
    assert process.returncode != 0
    last = len(metrics("killed", "loss"))
    assert 5 <= last < 60
    if number == signal.SIGTERM:
        assert said.count("stopped by SIGTERM after step") == 1, said
        assert Path(f"killed/checkpoints/step-{last:06d}").is_dir()
        assert json.loads(Path("killed/status.json").read_text(encoding="utf-8"))["status"] == "stopped"
    code, said = long_run(*words, "output.dir=killed", "--resume")
    assert code == 0, said
    assert metrics("killed", "step", "loss") == metrics("straight", "step", "loss")
    for name in ("model/adapter_model.safetensors", "checkpoints/step-000060/optimizer.safetensors"):
        assert (Path("killed") / name).read_bytes() == (Path("straight") / name).read_bytes()


def ended_with(code: int, said: str) -> None:
    """A process ended so by torchrun's report; the other too, or by the signal that it got when the first one left."""
    codes = {int(found) for found in re.findall(r"exitcode +: (-?\d+) ", said)}
    assert code in codes, said
    assert all(one == code or one < 0 for one in codes), said


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["training.learning_rat=1"], "training.learning_rat"),
        (["model.name=./nowhere"], "no such folder"),
        (["output.dir=used"], "in use"),
    ],
)
def test_an_error_is_said_once_and_ends_all(words: list[str], text: str, models: dict[str, Path], here: Path) -> None:
    Path("used").mkdir()
    Path("used/thesis.txt").write_text("mine", encoding="utf-8")
    began = time.monotonic()
    code, said = on_two(f"model.name={models['t5']}", *words)
    errors = [line for line in said.splitlines() if line.startswith("error:")]
    assert code != 0
    assert len(errors) == 1, said
    assert text in errors[0]
    ended_with(2, said)
    assert "desktune's fault" not in said
    assert time.monotonic() - began < 60


@pytest.mark.slow
def test_a_locked_run_ends_all(models: dict[str, Path], here: Path) -> None:
    from desktune import runs

    Path("one").mkdir()
    with runs.lock(Path("one")):
        code, said = on_two(f"model.name={models['t5']}", "output.dir=one")
    assert code != 0
    assert said.count("in use by process") == 1, said


OUT_OF_MEMORY = """
import os, sys, torch
from desktune.cli.main import main
from desktune.train import loop
honest = loop.summed_loss
def small(model, batch, smoothing=0.0):
    if os.environ["RANK"] == "1" and len(batch["input_ids"]) > {rows} and model.training:
        raise torch.OutOfMemoryError("no room")
    return honest(model, batch, smoothing)
loop.summed_loss = small
main()
"""


@pytest.mark.slow
@pytest.mark.parametrize(("rows", "fits"), [(1, True), (0, False)])
def test_lack_of_memory_on_one_halves_on_all(rows: int, fits: bool, models: dict[str, Path], here: Path) -> None:
    """Process 1 has room for so many rows: all go on with smaller micro-batches, or all end with one message."""
    Path("small.py").write_text(OUT_OF_MEMORY.format(rows=rows), encoding="utf-8")
    words = [f"model.name={models['t5']}", "adapter.type=none"]
    assert on_one(*words, EIGHT_ROWS, "output.dir=one") == 0
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", "small.py"]
    done = subprocess.run(
        [*launcher, "train", "desktune.yaml", *SETTINGS.split(), *words, FOUR_ROWS, "output.dir=two"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        timeout=120,
    )
    said = done.stdout
    assert (done.returncode == 0) == fits, said
    assert "out of memory: micro-batches of" in said
    if fits:
        assert close(metrics("one", "loss", "grad_norm"), metrics("two", "loss", "grad_norm"))
    else:
        assert said.count("one row alone does not fit") == 1
        assert OutOfMemory.exit_code == 5
        ended_with(5, said)


def test_a_mapped_model_answers_as_a_placed_one(tiny_folders: dict[str, Path]) -> None:
    located = locate(ModelSection(name=str(tiny_folders["t5"])))
    tokenizer, logits = load_tokenizer(located), []
    for device_map in (None, "cpu"):
        placement = Placement(torch.device("cpu"), torch.float32, device_map=device_map)
        bundle = load_base(located, tokenizer, "seq2seq", placement)
        assert bundle.device == torch.device("cpu")
        ids = torch.tensor([[5, 6, 1]])
        with torch.no_grad():
            logits.append(bundle.model(input_ids=ids, decoder_input_ids=ids).logits)
    assert torch.equal(logits[0], logits[1])


def on_two_machines(folders: list[Path], port: int, *words: str) -> list[tuple[int, str]]:
    """Run one process in each folder, as machines that share no disk; return exit codes and what was printed."""
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nnodes", "2", "--nproc_per_node", "1"]
    meeting = ["--master_addr", "127.0.0.1", "--master_port", str(port)]
    running = [
        subprocess.Popen(
            [*launcher, *meeting, "--node_rank", str(rank), "-m", "desktune", "train", *SETTINGS.split(), *words],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        for rank, folder in enumerate(folders)
    ]
    said = [process.communicate(timeout=180)[0] for process in running]
    return [(process.returncode, text) for process, text in zip(running, said, strict=True)]


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@pytest.mark.slow
def test_two_machines_without_a_shared_disk(models: dict[str, Path], here: Path) -> None:
    """The run lies with the first; it is resumed there; other rows on the second are refused with one message."""
    words = ["model.name=./t5", FOUR_ROWS, "output.dir=runs/two"]
    folders = [here / "first", here / "second"]
    for folder in folders:
        shutil.copytree(models["t5"], folder / "t5")
        for name in ("rows.jsonl", "desktune.yaml"):
            shutil.copy(here / name, folder / name)
    assert on_one(f"model.name={models['t5']}", EIGHT_ROWS, "output.dir=one") == 0
    outcome = on_two_machines(folders, free_port(), *words)
    assert [code for code, _ in outcome] == [0, 0], outcome
    run_folder = folders[0] / "runs/two"
    assert not (folders[1] / "runs/two").exists()
    assert close(metrics("one", "loss", "grad_norm"), metrics(str(run_folder), "loss", "grad_norm"))
    shutil.rmtree(run_folder / "checkpoints/step-000004")
    status = json.loads((run_folder / "status.json").read_text(encoding="utf-8"))
    (run_folder / "status.json").write_text(json.dumps({**status, "status": "stopped"}), encoding="utf-8")
    outcome = on_two_machines(folders, free_port(), *words, "--resume")
    assert [code for code, _ in outcome] == [0, 0], outcome
    assert same_weights("one", str(run_folder), 4)
    with (folders[1] / "rows.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"input": "one more", "output": "row"}\n')
    outcome = on_two_machines(folders, free_port(), *words[:-1], "output.dir=runs/three")
    said = "".join(text for _, text in outcome)
    assert said.count("the processes have different rows") == 1, said
    ended_with(2, said)
