"""Fixtures shared by all tests: tiny models, built once per session and shared by the workers."""

from __future__ import annotations

import os

os.environ.update({"HF_HUB_OFFLINE": "1", "DISABLE_SAFETENSORS_CONVERSION": "1", "TOKENIZERS_PARALLELISM": "false"})
os.environ["PYTHON_KEYRING_BACKEND"] = "keyring.backends.null.Keyring"  # not that of who runs the tests

from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock


def pytest_addoption(parser: pytest.Parser) -> None:
    """The durations gate: ``--max-test-seconds 45`` fails a run in which one test took longer."""
    parser.addoption("--max-test-seconds", type=float, default=None)


def pytest_configure(config: pytest.Config) -> None:
    """Watch durations where a limit is given (in the controller, when workers run the tests)."""
    limit = config.getoption("--max-test-seconds")
    if limit is not None and not hasattr(config, "workerinput"):
        config.pluginmanager.register(DurationsGate(limit), "durations-gate")


class DurationsGate:
    """Remembers tests over the limit and turns a passing run into a failing one."""

    def __init__(self, limit: float) -> None:
        self.limit, self.slow = limit, []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note a test that took too long."""
        if report.when == "call" and report.duration > self.limit:
            self.slow.append(
                f"{report.nodeid} took {report.duration:.0f} s (limit {self.limit:.0f} s); mark it slow or mend it"
            )

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Fail the run."""
        if self.slow and session.exitstatus == 0:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say which."""
        for line in self.slow:
            terminalreporter.write_line("durations gate: " + line, red=True)


def tiny(name: str, factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """Build a tiny model, or take the one another worker built."""
    from tests.tiny import BUILDERS

    root = factory.getbasetemp() if worker_id == "master" else factory.getbasetemp().parent
    folder, done = root / f"tiny-{name}", root / f"tiny-{name}.done"
    with FileLock(str(root / f"tiny-{name}.lock")):
        if not done.exists():
            BUILDERS[name](folder)
            done.touch()
    return folder


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Two workers on two cores: one thread each."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tiny_t5(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """A T5 with random weights."""
    return tiny("t5", tmp_path_factory, worker_id)


@pytest.fixture(scope="session")
def tiny_marian(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """A Marian with random weights."""
    return tiny("marian", tmp_path_factory, worker_id)


@pytest.fixture(scope="session")
def tiny_llama(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """A Llama with random weights."""
    return tiny("llama", tmp_path_factory, worker_id)


@pytest.fixture(scope="session")
def zoo(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Callable[[str], Path]:
    """Any of the tiny models by name, built when it is asked for."""
    return lambda name: tiny(name, tmp_path_factory, worker_id)


@pytest.fixture
def tiny_folders(tiny_t5: Path, tiny_marian: Path, tiny_llama: Path) -> dict[str, Path]:
    """All of them by family."""
    return {"t5": tiny_t5, "marian": tiny_marian, "llama": tiny_llama}
