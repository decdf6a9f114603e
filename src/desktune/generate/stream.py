"""One answer as it is written: greedy and drawn answers come in pieces, beams only when all are done.

The pieces together are the text that ``decode`` returns for the same prompt. The last word is held back until the next
one begins, since a tokenizer may still change it; of text without spaces all but the last characters.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from transformers.generation.streamers import BaseStreamer

from desktune.generate.decode import Decoding, generation_config
from desktune.models.load import Bundle

Write = Callable[[str], object]
_LONGEST_WORD = 24  # characters held back at most


def streams(how: Decoding) -> bool:
    """Whether an answer can come in pieces."""
    return how.settings.get("num_beams", 1) == 1


@torch.inference_mode()
def stream(bundle: Bundle, prompt: Sequence[int], how: Decoding, write: Write) -> str:
    """Hand the answer to ``write`` piece by piece and return it whole."""
    pieces = _Pieces(bundle.tokenizer, write)
    ids_BS = torch.tensor([list(prompt)], device=bundle.device)
    config = generation_config(bundle, how, how.target)
    with _evaluating(bundle.model), _seeded(bundle.device, how.seed):
        out_BT = bundle.model.generate(
            input_ids=ids_BS, attention_mask=torch.ones_like(ids_BS), generation_config=config, streamer=pieces
        )
    new_T = out_BT[0] if bundle.family.encoder_decoder else out_BT[0, ids_BS.shape[1] :]
    return pieces.finish(str(bundle.tokenizer.decode(new_T, skip_special_tokens=True)).strip())


class _Pieces(BaseStreamer):
    """Turns tokens into pieces of text that no later token changes."""

    def __init__(self, tokenizer: Any, write: Write) -> None:
        self._tokenizer, self._write = tokenizer, write
        self._ids: list[int] = []
        self._shown = ""
        self._past_prompt = False

    def put(self, value: torch.Tensor) -> None:
        """Take new tokens; the first are the prompt, or what starts a decoder."""
        if not self._past_prompt:
            self._past_prompt = True
            return
        self._ids += value.flatten().tolist()
        text = self._tokenizer.decode(self._ids, skip_special_tokens=True).lstrip()
        end = max(text.rstrip().rfind(" ") + 1, len(text) - _LONGEST_WORD)
        if text.startswith(self._shown) and "\ufffd" not in text[:end]:
            self._show(text[:end].rstrip())

    def end(self) -> None:
        """Take note of the end; ``finish`` knows the whole text."""

    def finish(self, text: str) -> str:
        """Show the rest; a text that turned out otherwise is shown anew."""
        if not text.startswith(self._shown):
            self._shown = ""
            self._write("\n")
        self._show(text)
        return text

    def _show(self, text: str) -> None:
        if len(text) > len(self._shown):
            self._write(text[len(self._shown) :])
            self._shown = text


@contextlib.contextmanager
def _evaluating(model: Any) -> Iterator[None]:
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was_training)


@contextlib.contextmanager
def _seeded(device: torch.device, seed: int) -> Iterator[None]:
    """Draw from a seed; the random states are put back."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield
