"""The state of ``desktune chat RUN``: turns, settings, which of the two models answers. The CLI reads and prints.

A causal model with a chat template sees the whole conversation, as far as it has positions; every other model answers
each text alone. A turn is remembered when its answer is whole, so that what was stopped or failed leaves no trace.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

from jinja2 import TemplateError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from desktune import durable
from desktune.config.emit import to_yaml
from desktune.config.names import generation_key
from desktune.config.rules_generation import SETTINGS, idle
from desktune.config.schema import GenerationSection
from desktune.errors import ConfigError, DataError, DesktuneError, nearest
from desktune.generate.decode import Decoding, decode, decoding
from desktune.generate.room import EncodePrompt, fit
from desktune.generate.speakers import Models, Speaker
from desktune.generate.stream import Write, stream, streams
from desktune.generate.tongue import Tongue
from desktune.rows import Message

HELP = """/set num_beams 4   change a generation setting; /set alone shows all
/unset num_beams   back to the setting of the run
/variant NAME      take the settings of a variant of the config; alone: list them
/base · /tuned     let the untouched base, or the tuned model answer
/both              let both answer; the conversation goes on with the tuned one's words
/lang en fr        the languages of text and answer, for a model that is told them; alone: show them
/system TEXT       what a chat model is told first; alone: show it; /system - takes it away
/retry             answer the last text again
/undo              forget the last text and its answer
/reset             forget the conversation
/save FILE         add the conversation to a file of JSON lines that can be trained on
/help · /quit      this list · leave (a text that starts with / is written //)"""
ALONE = "this model answers each text alone; it does not see what was said before"

_Command = Callable[[str], str]


class Chat:
    """A conversation with a run's model.

    Args:
        models: Who answers.
        encode_prompt: Messages → token ids.
        how: The settings of the run.
        variants: Its named settings.
        fields: The run's own names for the fields of a row (``data.fields``), for ``/save``.
        tongue: The languages of the conversation, for a model that is told them.
    """

    def __init__(
        self,
        models: Models,
        encode_prompt: EncodePrompt,
        how: Decoding,
        variants: Mapping[str, Decoding] | None = None,
        fields: Mapping[str, str] | None = None,
        tongue: Tongue | None = None,
    ) -> None:
        self._models, self._encode, self._how, self._start = models, encode_prompt, how, how
        self._variants, self._fields, self._tongue = dict(variants or {}), dict(fields or {}), tongue
        self._system: str | None = None
        self._turns: list[Message] = []
        self._last: str | None = None  # the last text, answered or not
        self._retries = 0
        self._speakers: tuple[Speaker, ...] = ("tuned",)

    @property
    def converses(self) -> bool:
        """Whether the model sees the turns before."""
        bundle = self._models.tuned
        return not bundle.family.encoder_decoder and bool(bundle.tokenizer.chat_template)

    def take(self, line: str, write: Write, *, live: bool = False) -> None:
        """Carry out a command or answer a text, and hand what there is to show to ``write``, line ends included.

        With ``live`` an answer comes in pieces where its settings allow that.
        """
        if line == "/retry":
            self._again(write, live=live)
        elif line.startswith("/") and not line.startswith("//"):
            write(self.command(line) + "\n")
        else:
            self.answer(line[1:] if line.startswith("//") else line, write, live=live)

    def answer(self, text: str, write: Write = len, *, live: bool = False) -> str:
        """Return the model's answer to the next turn (of two the tuned one's) and remember both.

        Raises:
            DataError: the text does not fit the model.
        """
        self._last, self._retries = text, 0
        return self._answer(text, write, live=live)

    def command(self, line: str) -> str:
        """Carry out a slash command and return what to show; a wrong one says what there is."""
        name, _, rest = line.removeprefix("/").strip().partition(" ")
        commands = self._commands()
        if name not in commands:
            return f"/{name}: no such command{nearest(name, list(commands))}\n{HELP}"
        try:
            return commands[name](rest.strip())
        except (DesktuneError, OSError) as error:  # a full disk or a wrong file name does not end the conversation
            return str(error)

    def _commands(self) -> dict[str, _Command]:
        """What a command is called."""
        return {
            "set": self._set,
            "unset": self._unset,
            "variant": self._variant,
            "base": lambda _: self._let("base"),
            "tuned": lambda _: self._let("tuned"),
            "both": self._both,
            "system": self._tell,
            "lang": self._speak,
            "retry": self._retried,
            "undo": self._undo,
            "reset": self._reset,
            "save": self._save,
            "help": lambda _: HELP,
        }

    # --- answers ------------------------------------------------------------------------------------------------------

    def _answer(self, text: str, write: Write, *, live: bool) -> str:
        turns = [*self._turns, Message("user", text)]
        told = [Message("system", self._system)] if self._system is not None else []
        reply = ""
        for which in self._speakers:
            reply = self._reply(which, [*told, *turns], write, live=live)
        self._turns = [*turns, Message("assistant", reply)]
        return reply

    def _reply(self, which: Speaker, asked: Sequence[Message], write: Write, *, live: bool) -> str:
        with self._models.asking(which) as bundle:
            target = self._tongue.direction[1] if self._tongue is not None else None
            how = replace(self._how, seed=self._how.seed + self._retries, target=target)
            fitted = fit(bundle, asked, self._encode, how)
            if fitted.dropped:
                write(f"(the model has no room for the {fitted.dropped} oldest turns)\n")
            if len(self._speakers) > 1:
                write(f"{which}: ")
            if live and streams(fitted.how):
                reply = stream(bundle, fitted.prompt, fitted.how, write)
                write("\n" if reply else "(empty)\n")
            else:
                reply = decode(bundle, [fitted.prompt], fitted.how)[0]
                write(f"{reply or '(empty)'}\n")
        return reply

    def _again(self, write: Write, *, live: bool) -> None:
        if self._last is None:
            write("nothing to answer again yet\n")
            return
        if not self._how.settings.get("do_sample"):
            write("(without sampling the answer is the same; /set do_sample true draws another)\n")
        before, last = self._turns, self._last
        if len(before) > 1 and before[-2].content == last:
            self._turns = before[:-2]
        self._retries += 1
        try:
            self._answer(last, write, live=live)
        except BaseException:
            self._turns = before
            raise

    def _retried(self, _: str) -> str:
        shown: list[str] = []
        self._again(shown.append, live=False)
        return "".join(shown).rstrip("\n")

    # --- settings -----------------------------------------------------------------------------------------------------

    def _set(self, words: str) -> str:
        spelled, _, text = words.replace("=", " ", 1).partition(" ")
        if not spelled:
            return "\n".join(f"{key} = {self._value(key)}" for key in SETTINGS)
        key = generation_key(spelled)
        if not text.strip():
            known = key in SETTINGS
            return f"{key} = {self._value(key)}" if known else self._strange(spelled)
        try:
            value = YAML(typ="safe", pure=True).load(text)
        except YAMLError as error:
            raise ConfigError(f"/set {spelled}: {text.strip()!r} is not a value") from error
        section = GenerationSection.model_validate(dict(self._how.settings))
        self._how = replace(decoding(section, **{key: value}), seed=self._how.seed)
        why = next((why for _, why in idle(GenerationSection(**self._how.settings), [key])), "")
        return f"{key} = {self._value(key)}" + (f"; without effect while {why}" if why else "")

    def _unset(self, word: str) -> str:
        key = generation_key(word)
        if key not in SETTINGS:
            return self._strange(word) if word else "write it like /unset num_beams"
        settings = {name: value for name, value in self._how.settings.items() if name != key}
        if key in self._start.settings:
            settings[key] = self._start.settings[key]
        self._how = replace(decoding(GenerationSection.model_validate(settings)), seed=self._how.seed)
        return f"{key} = {self._value(key)}"

    def _variant(self, name: str) -> str:
        if not self._variants:
            return "the run's config has no variants (generation.variants)"
        if not name:
            return "\n".join(f"{one}: {self._differing(how)}" for one, how in self._variants.items())
        if name not in self._variants:
            return f"/variant {name}: no such variant{nearest(name, list(self._variants))}; there are " + ", ".join(
                self._variants
            )
        self._how = self._variants[name]
        return f"{name}: {self._differing(self._how)}"

    def _differing(self, how: Decoding) -> str:
        """Return the settings that are not those of the run."""
        keys = [key for key in SETTINGS if how.settings.get(key) != self._start.settings.get(key)]
        return ", ".join(f"{key}={to_yaml(how.settings.get(key))}" for key in keys) or "the settings of the run"

    def _value(self, key: str) -> str:
        value = self._how.settings.get(key)
        return "the model's own" if value is None else to_yaml(value)

    def _strange(self, word: str) -> str:
        return f"{word}: no such setting{nearest(word, SETTINGS)}; there are {', '.join(SETTINGS)}"

    # --- who answers, and what is remembered --------------------------------------------------------------------------

    def _let(self, which: Speaker) -> str:
        self._speakers = (which,)
        return f"the {which} model answers from here on"

    def _both(self, _: str) -> str:
        self._speakers = get_args(Speaker)
        goes_on = "; the conversation goes on with the tuned one's words" if self.converses else ""
        return f"base and tuned model answer from here on{goes_on}"

    def _tell(self, text: str) -> str:
        if not self.converses:
            return f"no system text here: {ALONE}"
        if not text:
            return self._system if self._system is not None else "no system text; write it like /system Answer briefly."
        if text == "-":
            self._system = None
            return "no system text from here on"
        try:
            self._encode([Message("system", text), Message("user", "a")])
        except TemplateError as error:
            return f"the model's chat template takes no system text ({error})"
        self._system = text
        return "the model is told so from here on"

    def _speak(self, words: str) -> str:
        return "this model is not told languages" if self._tongue is None else self._tongue.turn(words)

    def _undo(self, _: str) -> str:
        if not self._turns:
            return "nothing to undo"
        gone = self._turns[-2].content
        self._turns, self._last = self._turns[:-2], None
        return f"forgotten: {gone}"

    def _reset(self, _: str) -> str:
        self._turns, self._last = [], None
        return "forgotten" + ("; the system text stays (/system - takes it away)" if self._system is not None else "")

    def _save(self, name: str) -> str:
        if not name:
            return "write it like /save conversation.jsonl"
        path = Path(name).expanduser()
        if path.is_dir():
            return f"{path} is a folder; write it like /save conversation.jsonl"
        if not self._turns:
            return "nothing was said yet; nothing saved"
        durable.make_folder(path.parent)
        rows = self._rows()
        kept = [row for row in _rows_of(path) if not any(_begins(row, new) for new in rows)]
        durable.write_rows(path, (json.dumps(row, ensure_ascii=False) for row in [*kept, *rows]))
        return f"{path}: {len(self._turns)} turns" if self.converses else f"{path}: {len(rows)} pairs"

    def _rows(self) -> list[dict[str, Any]]:
        """Return what was said as rows that the run's config reads: one conversation, or a pair for each answer."""
        if self.converses:
            told = [Message("system", self._system)] if self._system is not None else []
            turns = [{"role": turn.role, "content": turn.content} for turn in (*told, *self._turns)]
            return [{self._fields.get("messages", "messages"): turns}]
        source, target = self._fields.get("source", "source"), self._fields.get("target", "target")
        texts = [turn.content for turn in self._turns]
        return [{source: one, target: other} for one, other in zip(texts[::2], texts[1::2], strict=True)]


def _rows_of(path: Path) -> list[dict[str, Any]]:
    """Return the rows that a file has already. Raises DataError for a file that is something else."""
    if not path.is_file():
        return []
    rows = []
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        rows = [json.loads(line) for line in lines if line.strip()]
    except ValueError as error:
        raise DataError(f"{path}: not a file of JSON lines; name another one") from error
    if not all(isinstance(row, dict) for row in rows):
        raise DataError(f"{path}: not a file of JSON lines with rows; name another one")
    return rows


def _begins(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Whether an old row is the new one, or the same conversation when it was shorter."""
    if old.keys() != new.keys():
        return False
    return all(
        old[key] == value or (isinstance(value, list) and bool(old[key]) and value[: len(old[key])] == old[key])
        for key, value in new.items()
    )
