"""``python -m tests.torture.numbers``: numbers that are none, and memory that is short, put in at many places.

Not finite: a NaN or an infinity in a loss, a gradient, a weight or the optimizer's state, at any step and micro-batch:
it must be caught before the step, and no checkpoint may hold it. Out of memory: at forward passes, backward passes and
evaluations: the same steps over the same rows, and weights within 1e-6 of the run that had room.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from desktune.errors import Diverged
from desktune.evaluate import heldout
from desktune.events import Evaluated, Event, Step, Warn
from desktune.train import checkpoint, loop
from desktune.train.checkpoint import named_trained
from desktune.train.loop import Loop
from tests.train.loops import bundle_of, calls_of, make_loop

SETTINGS: dict[str, Any] = {"max_steps": 10, "save_steps": 1, "save_total_limit": 20, "eval_strategy": "no"}
WHAT = ("loss", "gradient", "weight", "optimizer")
VALUES = (math.nan, math.inf, -math.inf)


def places(count: int) -> list[tuple[str, float, int, int]]:
    """Return ``count`` places: what, which value, at which step, in which micro-batch (or tensor)."""
    every = itertools.product((1, 3, 5, 8), (0, 1), VALUES, WHAT)
    chosen = [(what, value, step, index) for step, index, value, what in every]
    return (chosen * (1 + count // len(chosen)))[:count]


@contextlib.contextmanager
def poisoned(one: Loop, place: tuple[str, float, int, int]) -> Iterator[None]:
    """Put a value that is no number into a run, once."""
    what, value, step, index = place
    parameter = [parameter for _, parameter in named_trained(one.model)][index]
    seen = [0]
    honest = loop.summed_loss

    def with_value(*arguments: Any) -> torch.Tensor:
        loss = honest(*arguments)
        seen[0] = seen[0] + 1 if one.position.step == step else 0
        if one.position.step != step or seen[0] != index + 1 or what in ("weight", "optimizer"):
            return loss
        if what == "gradient":
            loss.register_hook(lambda gradient: gradient * value)
            return loss
        return loss * value

    def after_the_step(_: int) -> None:
        if one.position.step == step and what in ("weight", "optimizer"):
            state = one.optimizer.state[parameter]
            with torch.no_grad():
                (parameter if what == "weight" else state["exp_avg"]).view(-1)[0] = value

    loop.summed_loss = with_value
    try:
        with _before_saves(after_the_step):
            yield
    finally:
        loop.summed_loss = honest


@contextlib.contextmanager
def _before_saves(before: Any) -> Iterator[None]:
    honest = checkpoint.Snapshot.of

    def of(*arguments: Any) -> checkpoint.Snapshot:
        before(0)
        return honest(*arguments)

    checkpoint.Snapshot.of = of  # type: ignore[method-assign]
    try:
        yield
    finally:
        checkpoint.Snapshot.of = honest  # type: ignore[method-assign]


def is_caught(model: Path, folder: Path, place: tuple[str, float, int, int]) -> str:
    """Train with something that is not finite; return what went wrong, nothing when all is well."""
    what, _, step, _ = place
    events: list[Event] = []
    one = make_loop(bundle_of(model, "lora"), folder, events, **SETTINGS)
    stopped = ""
    with poisoned(one, place):
        try:
            one.run()
        except Diverged as error:
            stopped = str(error)
    for kept in checkpoint.all_of(folder):
        for name in (checkpoint.WEIGHTS, checkpoint.OPTIMIZER):
            if not all(torch.isfinite(tensor).all() for tensor in load_file(kept / name).values()):
                return f"{kept.name} holds a number that is none"
    if what in ("weight", "optimizer"):
        last = f"last good checkpoint: step-{step - 1:06d}" if step > 1 else "last good checkpoint: none"
        return "" if last in stopped and one.position.step == step else f"went on: {stopped!r}"
    said = [event.text for event in events if isinstance(event, Warn)]
    if stopped or one.position.step != SETTINGS["max_steps"] or one.position.skipped_steps != 1:
        return f"{one.position.skipped_steps} steps skipped, {stopped!r}"
    if not any(f"step {step + 1}:" in text and "rows.jsonl:" in text for text in said):
        return f"not said: {said}"
    return "" if _unmoved(folder, step) else "the weights moved in a step that was skipped"


def _unmoved(run: Path, step: int) -> bool:
    if step == 0:
        return True
    before, after = (load_file(checkpoint.folder_of(run, one) / checkpoint.WEIGHTS) for one in (step, step + 1))
    return all(torch.equal(before[name], after[name]) for name in before)


class Rows:
    """Remembers the rows of every micro-batch of the steps that were taken."""

    def __init__(self, one: Loop) -> None:
        self.one, self.now, self.taken = one, [], []
        self._gradient, self._apply = one._gradient, one._apply
        one._gradient, one._apply = self.gradient, self.apply  # type: ignore[method-assign]

    def gradient(self, batches: list[list[int]]) -> tuple[float, int]:
        """Note what is tried."""
        self.now = sorted(row for rows in batches for row in rows)
        return self._gradient(batches)

    def apply(self, loss_sum: float, tokens: int) -> None:
        """Note what is taken."""
        self.taken.append(self.now)
        self._apply(loss_sum, tokens)


@contextlib.contextmanager
def short_of_memory(where: str, call: int) -> Iterator[None]:
    """Let memory be short once, at the n-th forward pass, backward pass or evaluated batch."""
    counted = [0]

    def no_room(*_: object) -> None:
        counted[0] += 1
        if counted[0] == call:
            raise torch.OutOfMemoryError("no room")

    if where == "evaluation":
        with calls_of(heldout, "summed_loss", no_room):
            yield
        return
    if where == "forward":
        with calls_of(loop, "summed_loss", no_room):
            yield
        return
    honest = loop.summed_loss

    def with_hook(*arguments: Any) -> torch.Tensor:
        loss = honest(*arguments)
        loss.register_hook(no_room)
        return loss

    loop.summed_loss = with_hook
    try:
        yield
    finally:
        loop.summed_loss = honest


def survives(model: Path, folder: Path, where: str, call: int, straight: tuple[list, dict, list]) -> str:
    """Train with memory that is short once; return what differs from a run that had room."""
    events: list[Event] = []
    one = quiet_loop(model, folder, events)
    rows = Rows(one)
    with short_of_memory(where, call):
        one.run()
    if not any(isinstance(event, Warn) and "out of memory" in event.text for event in events):
        return "memory was never short"
    if rows.taken != straight[0]:
        return "other rows or steps"
    far = max((one.model.state_dict()[name] - tensor).abs().max().item() for name, tensor in straight[1].items())
    losses = [event.metrics["eval_loss"] for event in events if isinstance(event, Evaluated)]
    apart = max(abs(mine - other) for mine, other in zip(losses, straight[2], strict=True))
    if where == "evaluation" and far > 0:
        return "an evaluation changed the weights"
    return "" if far <= 1e-6 and apart <= 1e-5 else f"weights differ by {far}, losses by {apart}"


def quiet_loop(model: Path, folder: Path, events: list[Event]) -> Loop:
    """Return a loop without dropout, whose weights do not depend on how a step is cut."""
    bundle = bundle_of(model, "full")
    for module in bundle.model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
        for name in ("dropout", "attention_dropout", "activation_dropout"):  # what T5 and Marian hand to functions
            if isinstance(module.__dict__.get(name), float):
                setattr(module, name, 0.0)
    return make_loop(bundle, folder, events, max_steps=6, save_strategy="no", optim="sgd", learning_rate=0.05)


def straight_run(model: Path, folder: Path) -> tuple[list, dict, list]:
    """Return rows, weights and evaluated losses of a run that had room."""
    events: list[Event] = []
    one = quiet_loop(model, folder, events)
    rows = Rows(one)
    one.run()
    assert [event.step for event in events if isinstance(event, Step)]
    losses = [event.metrics["eval_loss"] for event in events if isinstance(event, Evaluated)]
    return rows.taken, {name: tensor.clone() for name, tensor in one.model.state_dict().items()}, losses


SHORT = [
    *(("forward", call) for call in (1, 2, 3, 4, 5, 7, 9, 12)),
    *(("backward", call) for call in (1, 2, 3, 5, 6, 8, 10)),
    *(("evaluation", call) for call in (1, 2, 3, 1, 2)),
]


def main() -> int:
    """Print the counts; 1 when a trial failed."""
    from tests.tiny import BUILDERS

    failures, caught, survived = [], 0, 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for family in ("t5", "llama"):
            BUILDERS[family](folder / family)
        for number, place in enumerate(places(50)):
            wrong = is_caught(folder / ("t5", "llama")[number % 2], folder / f"value{number}", place)
            caught += not wrong
            failures += [f"{place}: {wrong}"] if wrong else []
        models = {family: straight_run(folder / family, folder / f"straight-{family}") for family in ("t5", "llama")}
        for number, (where, call) in enumerate(SHORT):
            family = ("t5", "llama")[number % 2]
            wrong = survives(folder / family, folder / f"short{number}", where, call, models[family])
            survived += not wrong
            failures += [f"{where} {call}: {wrong}"] if wrong else []
    print(f"not finite: {caught}/50 caught, none in a checkpoint")
    print(f"out of memory: {survived}/{len(SHORT)} with the same rows, weights within 1e-6")
    print("\n".join(failures))
    return int(bool(failures))


if __name__ == "__main__":
    sys.exit(main())
