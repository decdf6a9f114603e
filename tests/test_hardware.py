"""What the machine can do, where a model runs and in what precision."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from desktune.errors import ConfigError, UserError
from desktune.hardware import Machine, machine, pick_device, pick_dtype, prepare_environment, sentences

CPU = Machine("Linux", "a processor", 4, 8 * 2**30, 10**10)
MAC = Machine("Darwin", "Apple M1", 8, 32 * 2**30, 10**11, mps=True)
OLD = Machine("Linux", "a processor", 4, 8 * 2**30, 10**10, cuda=(("Tesla T4", 15 * 2**30),))
NEW = Machine(
    "Linux", "a processor", 4, 8 * 2**30, 10**10, cuda=(("A100", 40 * 2**30), ("A100", 40 * 2**30)), bf16=True
)


@pytest.mark.parametrize(
    ("wanted", "here", "device"),
    [
        ("auto", CPU, "cpu"),
        ("auto", MAC, "mps"),
        ("auto", NEW, "cuda"),
        ("cpu", NEW, "cpu"),
        ("cuda", OLD, "cuda"),
        ("mps", MAC, "mps"),
    ],
)
def test_device(wanted: str, here: Machine, device: str) -> None:
    found, reason = pick_device(wanted, here)
    assert found == device
    assert reason


@pytest.mark.parametrize(
    ("wanted", "here", "message"),
    [
        ("cuda", CPU, "model.device: cuda: this machine has none that torch can use; available: cpu, or auto"),
        ("cuda", MAC, "available: mps, cpu, or auto"),
        ("mps", NEW, "available: cuda, cpu, or auto"),
    ],
)
def test_device_that_is_not_there(wanted: str, here: Machine, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        pick_device(wanted, here)


@pytest.mark.parametrize(
    ("wanted", "device", "here", "fp16_allowed", "dtype"),
    [
        ("auto", "cuda", NEW, True, "bfloat16"),
        ("auto", "cuda", OLD, True, "float32"),
        ("auto", "mps", MAC, True, "float32"),
        ("auto", "cpu", NEW, False, "float32"),
        ("float16", "cuda", OLD, True, "float16"),
        ("bfloat16", "cpu", CPU, True, "bfloat16"),
        ("float32", "cuda", NEW, True, "float32"),
    ],
)
def test_dtype(wanted: str, device: str, here: Machine, fp16_allowed: bool, dtype: str) -> None:
    found, reason = pick_dtype(wanted, device, fp16_allowed, here)
    assert found == dtype
    assert reason


@pytest.mark.parametrize(
    ("wanted", "device", "here", "fp16_allowed", "message"),
    [
        ("float16", "cuda", NEW, False, "overflow it"),
        ("float16", "cpu", CPU, True, "has no effect on a CPU"),
        ("bfloat16", "cuda", OLD, True, "this GPU does not have it"),
        ("float8", "cuda", NEW, True, "allowed: auto, float32"),
    ],
)
def test_dtype_that_is_refused(wanted: str, device: str, here: Machine, fp16_allowed: bool, message: str) -> None:
    with pytest.raises(UserError, match=message):
        pick_dtype(wanted, device, fp16_allowed, here)


def test_this_machine() -> None:
    here = machine(probe_torch=False)
    assert here.cores >= 1
    assert here.memory_bytes > 2**28
    assert here.free_disk_bytes > 0
    assert here.cuda == ()


def test_sentences() -> None:
    assert sentences(CPU)[-1] == "GPU: none that torch can use; training runs on the processor."
    assert sentences(NEW)[-1] == "GPU: A100 with 40.0 GiB, bfloat16 natively (CUDA)."
    assert "no bfloat16" in sentences(OLD)[-1]
    assert "MPS" in sentences(MAC)[-1]
    assert "Memory: 8.0 GiB." in sentences(CPU)


def test_environment_is_prepared_and_a_persons_values_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", {"TRANSFORMERS_VERBOSITY": "info"})
    prepare_environment()
    assert os.environ["TOKENIZERS_PARALLELISM"] == "false"
    assert os.environ["HF_HUB_DISABLE_TELEMETRY"] == "1"
    assert os.environ["TRANSFORMERS_VERBOSITY"] == "info"


def test_nothing_happens_at_import() -> None:
    code = (
        "import os, sys; before = dict(os.environ); import desktune.hardware;"
        "assert dict(os.environ) == before; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
