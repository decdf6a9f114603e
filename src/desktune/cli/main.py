"""The program ``desktune``: parse, call ``api``, print. No logic of its own.

Nothing heavy is imported here: command bodies import what they need, so that ``--help`` and ``check`` start without
torch. ``run`` is the only place that turns an exception into an exit code.
"""

from __future__ import annotations

import errno
import io
import os
import signal
import sys
import threading
import traceback
from collections.abc import Sequence
from types import FrameType
from typing import Annotated, Any, NoReturn

import typer

from desktune import __version__
from desktune.cli import align, cleaning, configs, endurance, login, places, rows, ship, spelling, training, use
from desktune.cli.common import print_to_nobody
from desktune.cli.lines import laid_out, numbered
from desktune.cli.secrets import refuse_on_command_line, take_env_file
from desktune.cli.verbs import Verbs
from desktune.errors import ConfigError, DesktuneError, FailedElsewhere, OutOfDisk, OutOfMemory, RunError, Stopped
from desktune.hardware import NO_MEMORY_ON_CPU, one_process, world_size
from desktune.redact import redact

INTERRUPTED = 130  # 128 + SIGINT
_DISK = (errno.ENOSPC, errno.EDQUOT)
_RIGHTS = (errno.EACCES, errno.EPERM, errno.EROFS)

app = typer.Typer(
    name="desktune",
    cls=Verbs,
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Start here: desktune demo. With your own data: desktune init DATA, then desktune train.",
)
data = typer.Typer(cls=Verbs, no_args_is_help=True, rich_markup_mode=None, help=rows.HELP)


def main() -> NoReturn:
    """Run the command line of this process and leave with its exit code."""
    code = run(sys.argv[1:])
    if world_size() > 1:
        _leave_at_once(code)
    raise SystemExit(code)


def run(arguments: Sequence[str]) -> int:
    """Run a command line and return its exit code."""
    _open_streams()
    _ready_streams()
    _leave_on_signals()
    take_env_file()
    try:
        refuse_on_command_line(arguments)
        app(list(arguments), prog_name="desktune")
    except SystemExit as leaving:
        return _exit_code(leaving)
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as error:  # noqa: BLE001 - the last stop below which everything has an exit code
        return _explain(error)
    finally:
        _flush()
    return 0


def _version(wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"desktune {__version__}\n")
        raise typer.Exit


@app.callback()
def _root(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Fine-tune small translation, sequence-to-sequence and causal models on the computer you have."""
    if context.invoked_subcommand != "train":
        one_process()


def _register() -> None:
    """Fill the program; the order is that of ``--help``."""
    for module in (training, configs, cleaning, align, spelling, rows, use, ship, endurance, places, login):
        for verb, function, example in module.VERBS:
            group = data if module in (cleaning, align, spelling, rows) else app
            group.command(verb, epilog=f"\b\nExample:\n  {example}")(function)
        if module is rows:
            app.add_typer(data, name="data")


def _open_streams() -> None:
    """Open what a parent has closed (``<&- >&-``): the next file that is opened would get its number and its prints."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free number, which is this one
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if sys.__dict__[name] is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115 - until the end


def _ready_streams() -> None:
    """A character that the terminal's encoding lacks is printed as ``?``, not a crash."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def _leave_on_signals() -> None:
    """Leave through ``finally`` blocks on SIGTERM and SIGHUP: staging folders go, the cursor comes back."""
    if threading.current_thread() is threading.main_thread():
        for name in ("SIGTERM", "SIGHUP"):
            number = signal.Signals.__members__.get(name)
            if number is not None and signal.getsignal(number) is not signal.SIG_IGN:  # nohup ignores SIGHUP
                signal.signal(number, _leave)


def _leave(number: int, frame: FrameType | None) -> NoReturn:
    signal.signal(number, signal.SIG_DFL)  # the next one leaves at once
    raise SystemExit(128 + number)


def _exit_code(leaving: SystemExit) -> int:
    code: Any = leaving.code
    return code if isinstance(code, int) else int(code is not None)


def _explain(error: Exception) -> int:
    """Say what went wrong, without a trace where a person can mend it; returns the exit code."""
    if isinstance(error, FailedElsewhere):
        return error.exit_code
    known = error if isinstance(error, DesktuneError) else _of_the_system(error)
    if known is not None:
        _say(known)
        return known.exit_code
    if isinstance(error, BrokenPipeError):
        return 1
    sys.stderr.write(redact("".join(traceback.format_exception(error))))
    sys.stderr.write("error: this is desktune's fault, not yours; please report it with the lines above\n")
    return 1


def _of_the_system(error: Exception) -> DesktuneError | None:
    """What the system or torch says where no stage of ours stood in between: disk, rights, memory."""
    if isinstance(error, OSError) and error.errno in _DISK:
        return OutOfDisk(f"{error.filename or 'a file'}: no space left on the disk")
    if isinstance(error, OSError) and error.errno in _RIGHTS and error.filename is not None:
        return RunError(f"{error.filename}: {(error.strerror or 'not permitted').lower()}")
    torch = sys.modules.get("torch")
    typed = isinstance(error, MemoryError) or (torch is not None and isinstance(error, torch.OutOfMemoryError))
    if typed or NO_MEMORY_ON_CPU in str(error):
        return OutOfMemory("out of memory; take smaller batches (training.per_device_eval_batch_size) or shorter texts")
    return None


def _say(error: DesktuneError) -> None:
    from desktune.track.words import clean

    prefix = "" if isinstance(error, Stopped) else "error: "
    for fault in numbered(error.faults) if isinstance(error, ConfigError) else [str(error)]:
        sys.stderr.write(laid_out(clean(fault), prefix) + "\n")


def _leave_at_once(code: int) -> NoReturn:
    """Leave one of several processes without Python's own end, in which gloo's threads abort now and then.

    torchrun ends those that leave last; they keep their exit code.
    """
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.stderr.flush()
    os._exit(code)


def _flush() -> None:
    """Write what is left; when the reader has gone (``desktune runs | head``), leave quietly."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        print_to_nobody()


_register()
