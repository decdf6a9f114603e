"""The state of ``desktune chat RUN``: turns, settings, which of the two models answers. The CLI reads and prints."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from desktune import durable
from desktune.config.schema import GenerationSection
from desktune.errors import ConfigError, DesktuneError, nearest
from desktune.generate.decode import Decoding, decode, decoding
from desktune.models.load import Bundle
from desktune.rows import Message

HELP = """/set num_beams 4   change a generation setting
/base · /tuned     let the untouched base, or the tuned model answer
/reset             forget the conversation
/save FILE         write the conversation as JSON lines that can be trained on
/quit              leave"""

EncodePrompt = Callable[[Sequence[Message]], Sequence[int]]


@dataclass(frozen=True)
class Models:
    """The tuned model, and its base where that is a model of its own (an adapter is switched off instead)."""

    tuned: Bundle
    base: Bundle | None


class Chat:
    """A conversation with a run's model. Encoder-decoders answer the last text alone."""

    def __init__(self, models: Models, encode_prompt: EncodePrompt, how: Decoding) -> None:
        self._models, self._encode, self._how = models, encode_prompt, how
        self._turns: list[Message] = []
        self._tuned = True

    def answer(self, text: str) -> str:
        """Return the model's answer to the next turn and remember both."""
        asked = [*self._turns, Message("user", text)]
        prompt = self._encode(asked)
        bundle, switched_off = self._speaker()
        with switched_off:
            reply = decode(bundle, [prompt], self._how)[0]
        self._turns = [*asked, Message("assistant", reply)]
        return reply

    def command(self, line: str) -> str:
        """Carry out a slash command and return what to show; a wrong one says what there is."""
        name, _, rest = line.removeprefix("/").strip().partition(" ")
        commands: dict[str, Callable[[str], str]] = {
            "set": self._set,
            "base": lambda _: self._let("base"),
            "tuned": lambda _: self._let("tuned"),
            "reset": self._reset,
            "save": self._save,
            "help": lambda _: HELP,
        }
        if name not in commands:
            return f"/{name}: no such command{nearest(name, list(commands))}\n{HELP}"
        try:
            return commands[name](rest.strip())
        except (DesktuneError, OSError) as error:  # a full disk or a wrong file name does not end the conversation
            return str(error)

    def _speaker(self) -> tuple[Bundle, contextlib.AbstractContextManager]:
        if self._tuned:
            return self._models.tuned, contextlib.nullcontext()
        if self._models.base is not None:
            return self._models.base, contextlib.nullcontext()
        return self._models.tuned, self._models.tuned.model.disable_adapter()

    def _set(self, words: str) -> str:
        name, _, text = words.replace("=", " ", 1).partition(" ")
        if not name or not text.strip():
            return "write it like /set num_beams 4; now: " + ", ".join(
                f"{key}={value}" for key, value in self._how.settings.items()
            )
        try:
            value = YAML(typ="safe", pure=True).load(text)
        except YAMLError as error:
            raise ConfigError(f"/set {name}: {text.strip()!r} is not a value") from error
        section = GenerationSection.model_validate(dict(self._how.settings))
        self._how = replace(decoding(section, **{name: value}), seed=self._how.seed)
        return f"{name} = {self._how.settings.get(name)}"

    def _let(self, which: str) -> str:
        self._tuned = which == "tuned"
        return f"the {which} model answers from here on"

    def _reset(self, _: str) -> str:
        self._turns = []
        return "forgotten"

    def _save(self, name: str) -> str:
        if not name:
            return "write it like /save conversation.jsonl"
        path = Path(name).expanduser()
        if path.is_dir():
            return f"{path} is a folder; write it like /save conversation.jsonl"
        messages = [{"role": turn.role, "content": turn.content} for turn in self._turns]
        durable.make_folder(path.parent)
        lines = [line for line in (durable.read_lines(path) if path.is_file() else []) if isinstance(line, dict)]
        durable.write_rows(path, (json.dumps(row, ensure_ascii=False) for row in [*lines, {"messages": messages}]))
        return f"{path}: {len(messages)} turns"
