"""Events for a person at the terminal: lines above a live bar, or plain lines where there is no terminal.

Plain lines carry no colour and no cursor movement, so that a log file and a pipe can be read and searched. Warnings go
to stderr. rich is imported only where something is coloured.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, TextIO

from desktune.events import Decision, Evaluated, Event, Progress, Samples, Saved, Step, Table, Warn
from desktune.redact import redact
from desktune.track.words import clean, clock, lines_of, numeric, one_line, visible

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.table import Table as RichTable
    from rich.text import Text

PLAIN_PROGRESS_SECONDS = 10.0  # between two lines of one stage in a log file
WARNING = "warning: "
_STYLES: dict[type, str] = {Evaluated: "green", Saved: "dim", Samples: "dim", Warn: "yellow"}


class Renderer(Protocol):
    """What ``open_console`` returns: an ``Emit`` that can be closed, and used in a ``with`` block."""

    def __call__(self, event: Event) -> None:
        """Show an event."""
        ...

    def __enter__(self) -> Renderer:
        """Begin."""
        ...

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        ...

    def close(self) -> None:
        """Give the terminal back as it was."""
        ...


def open_console(stream: TextIO | None = None) -> Renderer:
    """Return a renderer on ``stream`` (stdout when None): live on a terminal, else plain lines."""
    chosen = sys.stdout if stream is None else stream
    return LiveConsole(chosen, sys.stderr) if is_terminal(chosen) else PlainConsole(chosen, sys.stderr)


def is_terminal(stream: TextIO) -> bool:
    """Whether colours and cursor movement make sense there."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def print_text(text: Text, stream: TextIO | None = None) -> None:
    """Print a rich text (on stdout when None), coloured on a terminal only. Control characters become U+FFFD."""
    from rich.console import Console
    from rich.text import Text

    safe = text.copy() if redact(text.plain) == text.plain else Text(redact(text.plain))
    safe.plain = visible(safe.plain)
    Console(file=sys.stdout if stream is None else stream, highlight=False).print(safe, soft_wrap=True)


class PlainConsole:
    """One line per event, for files and pipes."""

    def __init__(self, stream: TextIO, errors: TextIO, now: Callable[[], float] = time.monotonic) -> None:
        self._stream, self._errors, self._now = stream, errors, now
        self._stages: dict[str, tuple[float, float]] = {}  # stage → when it began, when a line of it was written

    def __call__(self, event: Event) -> None:
        """Write the event's lines."""
        if isinstance(event, Warn):
            _write_warning(event, self._errors)
        elif not isinstance(event, Progress) or self._due(event):
            for line in lines_of(event):
                self._stream.write(line + "\n")
            self._stream.flush()

    def __enter__(self) -> PlainConsole:
        """Begin; nothing has to be set up."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        self.close()

    def close(self) -> None:
        """Nothing has to be given back."""

    def _due(self, event: Progress) -> bool:
        """Every few seconds of a long stage, and its end; a quick stage leaves no line."""
        now = self._now()
        began, written = self._stages.setdefault(event.stage, (now, now))
        if event.done == event.total:
            del self._stages[event.stage]
            return now - began >= PLAIN_PROGRESS_SECONDS
        if now - written < PLAIN_PROGRESS_SECONDS:
            return False
        self._stages[event.stage] = (began, now)
        return True


class LiveConsole:
    """Lines above a bar that lives as long as its stage."""

    def __init__(self, stream: TextIO, errors: TextIO) -> None:
        from rich.console import Console

        self._console = Console(file=stream, highlight=False, markup=False, emoji=False)
        self._errors = errors
        self._bars: Bars | None = None
        self._tasks: dict[str, Any] = {}

    def __call__(self, event: Event) -> None:
        """Print the event above the bars, and move them."""
        match event:
            case Progress():
                self._move(one_line(event.stage), event.done, event.total, one_line(event.unit))
            case Table():
                self._console.print(rich_table(event))
            case Warn():
                self._warn(event)
            case _:
                self._print(event)
        if isinstance(event, Step):
            status = f"loss {event.loss:.4f}  eta {clock(event.seconds_left)}"
            self._move("train", event.step, event.total_steps, status)
        elif isinstance(event, Saved) and event.what == "model":
            self._end("train")  # early stopping ends before the last step

    def __enter__(self) -> LiveConsole:
        """Begin; bars appear with their first event."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        self.close()

    def close(self) -> None:
        """Take the bars away and show the cursor again."""
        if self._bars is not None:
            self._bars.stop()
            self._bars = None
            self._tasks.clear()

    def _print(self, event: Event) -> None:
        for line in lines_of(event):
            self._console.print(_styled(event, line), soft_wrap=True)

    def _warn(self, event: Warn) -> None:
        """Above the bar when stderr is the same terminal, else where stderr goes."""
        if self._bars is not None and self._errors.isatty():
            from rich.text import Text

            self._console.print(Text(WARNING + clean(event.text), "yellow"), soft_wrap=True)
        else:
            _write_warning(event, self._errors)

    def _move(self, stage: str, done: int, total: int | None, status: str) -> None:
        if total is not None and done >= total:
            self._end(stage)
            return
        if self._bars is None:
            self._bars = _bars(self._console, self._errors.isatty())
            self._bars.start()
        if stage not in self._tasks:
            self._tasks[stage] = self._bars.add_task(stage, total=total, status=status)
        self._bars.update(self._tasks[stage], completed=done, total=total, status=status)

    def _end(self, stage: str) -> None:
        if self._bars is not None and stage in self._tasks:
            self._bars.remove_task(self._tasks.pop(stage))
            if not self._tasks:
                self.close()


def rich_table(event: Table) -> RichTable:
    """Return a table of events as rich draws it."""
    from rich import box
    from rich.table import Table as RichTable
    from rich.text import Text

    columns = list(zip(*event.rows, strict=True)) or [()] * len(event.columns)
    table = RichTable(title=Text(one_line(event.title), "bold"), title_justify="left", box=box.SIMPLE_HEAD)
    for name, cells in zip(event.columns, columns, strict=True):
        table.add_column(Text(one_line(name)), justify="right" if cells and numeric(cells) else "left", overflow="fold")
    for row in event.rows:
        table.add_row(*(Text(one_line(cell)) for cell in row))
    return table


def _styled(event: Event, line: str) -> Text:
    from rich.text import Text

    text = Text(line, _STYLES.get(type(event), ""))
    if isinstance(event, Decision):
        text.stylize("cyan", 0, len(one_line(event.key)))
        text.stylize("dim", len(one_line(f"{event.key}: {event.value}")))
    return text


def _bars(console: Any, catch_stderr: bool) -> Bars:
    """Bars below the lines. What libraries print to the terminal goes above them."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        TextColumn("{task.fields[status]}", markup=False),
    )
    return Progress(*columns, console=console, transient=True, refresh_per_second=4, redirect_stderr=catch_stderr)


def _write_warning(event: Warn, errors: TextIO) -> None:
    text = WARNING + clean(event.text)
    if is_terminal(errors) and not os.environ.get("NO_COLOR"):
        text = f"\x1b[33m{text}\x1b[0m"
    errors.write(text + "\n")
    errors.flush()
