"""A fork server: torch is imported once, and every trial is a child that really is killed.

``Server.start(words)`` forks a child that runs the command line and leaves; nothing of a trial stays in the parent, so
that a thousand trials cost the time of their steps alone. The parent must not train before it forks: the threads of a
backward pass do not live on in a child. Its standard output and error go to a file.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass
class Child:
    """A process of a trial."""

    pid: int
    log: Path
    started: float

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send a signal; no harm when the child is gone already (it is not waited for yet)."""
        os.kill(self.pid, number)

    def wait(self, seconds: float = 120.0) -> int:
        """Return the exit code, negative for a signal. Raises TimeoutError when it takes longer."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            done, status = os.waitpid(self.pid, os.WNOHANG)
            if done:
                return os.waitstatus_to_exitcode(status)
            time.sleep(0.002)
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        raise TimeoutError(f"process {self.pid} did not end in {seconds} s:\n{self.said()}")

    def said(self) -> str:
        """Return what it printed."""
        return self.log.read_text(encoding="utf-8", errors="replace")


def warm_up() -> None:
    """Import all that a training imports."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.update({"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"})
    from desktune.cli import main  # noqa: F401
    from desktune.cli.common import load_api

    load_api()
    import torch
    from transformers import (  # noqa: F401 - what the tiny models are made of, imported lazily otherwise
        AutoTokenizer,
        LlamaForCausalLM,
        MarianMTModel,
        MarianTokenizer,
        PreTrainedTokenizerFast,
        T5ForConditionalGeneration,
    )

    torch.set_num_threads(1)


def fork(work: Callable[[], int], log: Path, folder: Path | None = None) -> Child:
    """Fork a child that does some work in a folder and leaves with its code; a trace goes to its log."""
    sys.stdout.flush()
    sys.stderr.flush()
    started = time.monotonic()
    pid = os.fork()
    if pid:
        return Child(pid, log, started)
    code = 1
    try:
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 - pytest's own would swallow it
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        if folder is not None:
            os.chdir(folder)
        code = work()
    except BaseException:  # noqa: BLE001 - a child says why and never returns into its parent's code
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def start(words: list[str], log: Path, folder: Path) -> Child:
    """Fork a child that runs a command line of desktune."""

    def work() -> int:
        from desktune.cli.main import run

        return run(words)

    return fork(work, log, folder)
