"""What is no number never becomes a weight; lack of memory changes nothing; losses that jump are said."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from tests.torture.numbers import SHORT, is_caught, places, straight_run, survives

from desktune.errors import Diverged
from desktune.events import Event, Warn
from desktune.train.checkpoint import Position
from desktune.train.honesty import Honesty
from desktune.train.processes import ONE


@pytest.mark.parametrize("what", ["loss", "gradient", "weight", "optimizer"])
def test_what_is_not_finite_is_caught_before_the_step(what: str, tiny_t5: Path, tmp_path: Path) -> None:
    place = next(place for place in places(50) if place[0] == what and place[2] == 3)
    assert is_caught(tiny_t5, tmp_path, place) == ""


@pytest.mark.parametrize(("where", "call"), [("forward", 3), ("backward", 2), ("evaluation", 2)])
def test_short_memory_takes_the_same_steps_over_the_same_rows(
    where: str, call: int, tiny_llama: Path, tmp_path: Path
) -> None:
    straight = straight_run(tiny_llama, tmp_path / "straight")
    assert survives(tiny_llama, tmp_path / "short", where, call, straight) == ""


@pytest.mark.slow
def test_fifty_numbers_and_twenty_shortages(tiny_t5: Path, tiny_llama: Path, tmp_path: Path) -> None:
    models = (tiny_t5, tiny_llama)
    for number, place in enumerate(places(50)):
        assert is_caught(models[number % 2], tmp_path / f"value{number}", place) == "", place
    straight = [straight_run(model, tmp_path / f"straight{number}") for number, model in enumerate(models)]
    for number, (where, call) in enumerate(SHORT):
        which = number % 2
        assert survives(models[which], tmp_path / f"short{number}", where, call, straight[which]) == "", (where, call)


def watched(how: str, losses: list[float], position: Position | None = None) -> tuple[Position, list[str]]:
    """Show losses to a watchdog; return where it stands and what it said."""
    said: list[Event] = []
    position = position or Position()
    honesty = Honesty(Path("nowhere"), how, ONE, said.append)  # type: ignore[arg-type]
    for loss in losses:
        honesty.watch(position, loss, ["rows.jsonl:3"])
        position.step += 1
    return position, [event.text for event in said if isinstance(event, Warn)]


USUAL = [3.0 + 0.3 * math.sin(number) - 0.02 * number for number in range(60)]


def test_the_watchdog_names_the_step_and_its_rows_once() -> None:
    position, said = watched("warn", [*USUAL, 9.0, 9.0, 9.0, *USUAL[-5:], 12.0])
    assert len(said) == 2
    assert "step 61: loss 9.000 is far over the" in said[0]
    assert "rows.jsonl:3" in said[0]
    assert len(position.recent_losses) == 50
    assert max(position.recent_losses) < 4  # spikes do not move the median


def test_the_watchdog_is_quiet_about_what_is_usual() -> None:
    assert watched("stop", [*USUAL, 2.5, 2.6, *USUAL])[1] == []
    assert watched("stop", [5.0, 50.0] * 9)[1] == []  # too few steps to know
    assert watched("off", [*USUAL, *[99.0] * 20])[1] == []


def test_the_watchdog_stops_after_five_in_a_row_also_over_a_resume() -> None:
    position, _ = watched("stop", [*USUAL, *[9.0] * 4])
    with pytest.raises(Diverged, match=r"step 65: 5 steps in a row with a loss far over .*last good checkpoint: none"):
        watched("stop", [9.0], position)
