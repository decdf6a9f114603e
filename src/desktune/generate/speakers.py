"""Which of a run's two models answers: the tuned one, or the base it came from."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from desktune.models.load import Bundle

Speaker = Literal["base", "tuned"]


@dataclass(frozen=True)
class Models:
    """The tuned model, and its base where that is a model of its own (an adapter is switched off instead)."""

    tuned: Bundle
    base: Bundle | None

    @contextlib.contextmanager
    def asking(self, which: Speaker) -> Iterator[Bundle]:
        """Yield the model that answers; an adapter comes back when the block ends."""
        if which == "tuned":
            yield self.tuned
        elif self.base is not None:
            yield self.base
        else:
            with self.tuned.model.disable_adapter():
                yield self.tuned
