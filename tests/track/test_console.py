"""What a person sees: plain lines, live lines, nothing that a data file could do to a terminal."""

from __future__ import annotations

import io

import pytest

from desktune.events import Decision, Evaluated, Note, Progress, Samples, Saved, Step, Table, Warn
from desktune.track.console import LiveConsole, PlainConsole, is_terminal, open_console, print_text
from desktune.track.fan import fan_out
from desktune.track.words import bytes_text, clock, numeric, table_lines

STEP = Step(20, 300, 0.5, 2.34161, 1.8e-4, 0.7, 1234.4, 512 * 2**20, 83.2, 2.1)
EVIL = "a\x1b[2Jb\x07\x9bc\rd"


class Terminal(io.StringIO):
    """A text stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.delenv("FORCE_COLOR", raising=False)


def plain(*events: object) -> tuple[str, str]:
    out, errors = io.StringIO(), io.StringIO()
    with PlainConsole(out, errors) as emit:
        for event in events:
            emit(event)  # pyright: ignore[reportArgumentType]
    return out.getvalue(), errors.getvalue()


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (STEP, "step  20/300  loss 2.3416  lr 1.8e-04  1,234 tok/s  512 MiB  eta 1:23  eval 2.1000\n"),
        (
            Step(1, 9, 0.1, 1.0, 0.0, 0.0, 0.0, 0, float("inf")),
            "step 1/9  loss 1.0000  lr 0.0e+00  0 tok/s  0 KiB  eta ?\n",
        ),
        (Decision("device", "cpu", "no CUDA"), "device: cpu (no CUDA)\n"),
        (Decision("steps", "30", ""), "steps: 30\n"),
        (Note("one\ntwo"), "one\ntwo\n"),
        (
            Evaluated(50, {"eval_loss": 2.0, "eval_bleu": 12.5}, True),
            "eval at step 50  loss 2.0000  bleu 12.5000  (best so far)\n",
        ),
        (Saved("model", "runs/a/model"), "saved model: runs/a/model\n"),
        (Samples(5, (("s\nx", "r", "o"),)), "samples at step 5\n  source     s x\n  reference  r\n  output     o\n"),
        (Note(EVIL), "a[2Jbcd\n"),
        (Saved("model", EVIL), "saved model: a[2Jbc d\n"),
        (
            Samples(5, ((EVIL, EVIL, EVIL),)),
            "samples at step 5\n  source     a[2Jbc d\n  reference  a[2Jbc d\n  output     a[2Jbc d\n",
        ),
    ],
)
def test_plain_lines(event: object, line: str) -> None:
    assert plain(event) == (line, "")


def test_warnings_go_to_stderr() -> None:
    assert plain(Warn("look \x1b[31mhere")) == ("", "warning: look [31mhere\n")


def test_tables_are_aligned_and_clean() -> None:
    table = Table("Rows\x1b", ("what", "rows"), (("read", "1,000"), ("日本", "12"), ("a\nb", "3 %")))
    assert table_lines(table) == ["Rows", "what   rows", "----  -----", "read  1,000", "日本     12", "a b     3 %"]
    assert plain(table)[0].startswith("\nRows\n")
    assert table_lines(Table("Empty", ("a", "b"), ())) == ["Empty", "a  b", "-  -"]


def test_plain_progress_speaks_every_ten_seconds_of_a_long_stage() -> None:
    now = [0.0]
    out = io.StringIO()
    emit = PlainConsole(out, out, now=lambda: now[0])
    for seconds, done in ((0, 0), (5, 10), (11, 20), (12, 25), (22, 30), (23, 40)):
        now[0] = seconds
        emit(Progress("encode", done, 40))
    assert out.getvalue() == "encode: 20/40 rows\nencode: 30/40 rows\nencode: 40/40 rows\n"
    emit(Progress("quick", 1, 2))
    emit(Progress("quick", 2, 2))
    assert "quick" not in out.getvalue()


def live(*events: object, errors: io.StringIO | None = None) -> str:
    out = Terminal()
    with LiveConsole(out, errors or Terminal()) as emit:
        for event in events:
            emit(event)  # pyright: ignore[reportArgumentType]
    return out.getvalue()


def test_live_prints_lines_above_a_bar_and_gives_the_cursor_back() -> None:
    text = live(STEP, Evaluated(20, {"eval_loss": 2.0}))
    assert "step  20/300  loss 2.3416" in text
    assert "eta 1:23" in text
    assert "━" in text
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l")


def test_live_keeps_controls_and_markup_of_data_out() -> None:
    events = (Note(EVIL + "[bold]x[/bold] :smile:"), Decision("k", EVIL, EVIL), Table(EVIL, (EVIL,), ((EVIL,),)))
    text = live(*events, Progress(EVIL, 1, 2, EVIL), Warn(EVIL), Samples(1, ((EVIL, EVIL, EVIL),)))
    assert "\x1b[2J" not in text
    assert "\x07" not in text
    assert "\x9b" not in text
    assert "[bold]x[/bold] :smile:" in text


def test_live_bar_ends_with_its_stage() -> None:
    out = Terminal()
    emit = LiveConsole(out, Terminal())
    emit(Progress("encode", 1, 2))
    emit(Progress("encode", 2, 2))
    assert out.getvalue().count("\x1b[?25h") == 1
    emit(STEP)
    emit(Saved("model", "x"))
    assert out.getvalue().count("\x1b[?25h") == 2


def test_live_warnings_reach_a_redirected_stderr() -> None:
    errors = io.StringIO()
    text = live(STEP, Warn("careful"), errors=errors)
    assert errors.getvalue() == "warning: careful\n"
    assert "careful" not in text
    assert "\x1b[33mwarning: careful" in live(STEP, Warn("careful"))


def test_no_color_and_dumb_terminals(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(open_console(Terminal()), LiveConsole)
    assert isinstance(open_console(io.StringIO()), PlainConsole)
    monkeypatch.setenv("TERM", "dumb")
    assert not is_terminal(Terminal())
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[3" not in live(Decision("a", "b", "c"), Evaluated(1, {"eval_loss": 1.0}), Warn("w"))
    errors = Terminal()
    PlainConsole(io.StringIO(), errors)(Warn("w"))
    assert errors.getvalue() == "warning: w\n"


def test_print_text_keeps_styles_and_marks_controls() -> None:
    from rich.text import Text

    text = Text().append("context\x1b[2J", "dim").append("trained", "green")
    out, terminal = io.StringIO(), Terminal()
    print_text(text, out)
    print_text(text, terminal)
    assert out.getvalue() == "context\ufffd[2Jtrained\n"
    assert "\x1b[2J" not in terminal.getvalue()
    assert "\x1b[32mtrained\x1b[0m" in terminal.getvalue()


def test_fan_out_keeps_the_order() -> None:
    seen: list[str] = []
    fan_out(lambda event: seen.append("a"), lambda event: seen.append("b"))(Note("x"))
    assert seen == ["a", "b"]


def test_words() -> None:
    assert [clock(seconds) for seconds in (0, 59.6, 3723, float("nan"))] == ["0:00", "1:00", "1:02:03", "?"]
    assert [bytes_text(count) for count in (10, 5 * 2**20, 12 * 2**30)] == ["0 KiB", "5 MiB", "12.0 GiB"]
    assert numeric(["1,000", "12.5 %", "-", ""])
    assert not numeric(["12 a"])
