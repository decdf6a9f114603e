"""English instruction tasks with one right answer: for the T5 starter (prefixes) and the Llama starter (chat)."""

from __future__ import annotations

import random
from collections.abc import Callable

from .lexicon import ADJECTIVES, EATING, INTRANSITIVE, NOUNS, TRANSITIVE, Noun, Verb
from .translation import pseudo_word

_ACTORS = [noun for noun in NOUNS if noun.kind in ("person", "animal")]
_OBJECTS = [noun for noun in NOUNS if noun.kind in ("thing", "animal", "place")]
_PLACES = [noun for noun in NOUNS if noun.kind == "place"]
_OPPOSITES = {
    "big": "small",
    "young": "old",
    "good": "bad",
    "new": "old",
    "black": "white",
    "happy": "sad",
    "strong": "weak",
    "rich": "poor",
    "heavy": "light",
    "clean": "dirty",
    "cold": "warm",
    "empty": "full",
    "open": "closed",
    "quiet": "loud",
    "dangerous": "safe",
    "dry": "wet",
    "expensive": "cheap",
    "simple": "difficult",
    "famous": "unknown",
    "strange": "normal",
    "deep": "shallow",
    "modern": "ancient",
    "high": "low",
    "slow": "fast",
    "beautiful": "ugly",
    "tired": "rested",
    "important": "trivial",
}
_CLASSES = {"person": "a person", "animal": "an animal", "thing": "a thing", "place": "a place", "food": "food"}
_EACH_WAY = {**_OPPOSITES, **{other: one for one, other in _OPPOSITES.items() if other != "old"}, "old": "young"}


class Scene:
    """Somebody does something to something somewhere: the parts of a sentence, to ask about and to change."""

    def __init__(self, rng: random.Random) -> None:
        self.verb: Verb = rng.choice(TRANSITIVE)
        self.subject = _phrase(rng, rng.choice(_ACTORS)) if rng.random() > 0.15 else pseudo_word(rng).capitalize()
        self.object = _phrase(rng, rng.choice(_OBJECTS)) if rng.random() > 0.08 else pseudo_word(rng).capitalize()
        self.place = f"{rng.choice(['in', 'near'])} {_phrase(rng, rng.choice(_PLACES))}" if rng.random() < 0.5 else ""

    def said(self, verb: str, subject: str | None = None, object_: str | None = None) -> str:
        """Return the sentence with another verb form, subject or object."""
        return sentence(
            " ".join(part for part in (subject or self.subject, verb, object_ or self.object, self.place) if part)
        )

    @property
    def present(self) -> str:
        """In the present tense."""
        return self.said(self.verb.en_third)

    @property
    def past(self) -> str:
        """In the past tense."""
        return self.said(self.verb.en_past)


def sentence(text: str) -> str:
    """Return text with a capital and a full stop."""
    return text[0].upper() + text[1:] + ("" if text[-1] in ".?!" else ".")


def _phrase(rng: random.Random, noun: Noun) -> str:
    adjective = rng.choice(ADJECTIVES).en + " " if rng.random() < 0.3 else ""
    words = adjective + noun.en
    return rng.choices(["the " + words, an(words), "my " + words], [6, 3, 1])[0]


def an(words: str) -> str:
    """Return words with the indefinite article."""
    return ("an " if words[0] in "aeiou" else "a ") + words


def _past(rng: random.Random) -> tuple[str, str, str]:
    scene = Scene(rng)
    return "past", scene.present, scene.past


def _future(rng: random.Random) -> tuple[str, str, str]:
    scene = Scene(rng)
    return "future", scene.present, scene.said("will " + scene.verb.en)


def _negate(rng: random.Random) -> tuple[str, str, str]:
    scene = Scene(rng)
    return "negate", scene.present, scene.said("does not " + scene.verb.en)


def _passive(rng: random.Random) -> tuple[str, str, str]:
    scene = Scene(rng)
    scene.place = ""
    return "passive", scene.past, scene.said(f"was {scene.verb.en_participle} by", scene.object, scene.subject)


def _first_person(rng: random.Random) -> tuple[str, str, str]:
    scene = Scene(rng)
    return "first person", scene.past, scene.said(scene.verb.en_past, "I")


def _question(rng: random.Random) -> tuple[str, str, str]:
    scene = Scene(rng)
    kind = rng.choice(["who", "what", "where"] if scene.place else ["who", "what"])
    tail = " " + scene.place if scene.place else ""
    if kind == "who":
        asked, answer = f"Who {scene.verb.en_past} {scene.object}{tail}?", scene.subject
    elif kind == "what":
        asked, answer = f"What did {scene.subject} {scene.verb.en}{tail}?", scene.object
    else:
        asked, answer = f"Where did {scene.subject} {scene.verb.en} {scene.object}?", scene.place
    return "question", f"{asked} context: {scene.past}", answer


def _opposite(rng: random.Random) -> tuple[str, str, str]:
    one = rng.choice(list(_EACH_WAY))
    noun = _phrase(rng, rng.choice(_OBJECTS + _ACTORS))
    return "opposite", sentence(f"{noun} is {one}"), sentence(f"{noun} is {_EACH_WAY[one]}")


def _class(rng: random.Random) -> tuple[str, str, str]:
    noun = rng.choice(NOUNS)
    whole = noun.en if noun.kind == "food" else an(noun.en)
    return "what is", whole, sentence(f"{whole} is {_CLASSES[noun.kind]}")


def _plural(rng: random.Random) -> tuple[str, str, str]:
    noun = rng.choice([noun for noun in NOUNS if noun.kind != "food"])
    adjective = rng.choice(ADJECTIVES).en + " " if rng.random() < 0.4 else ""
    return "plural", an(adjective + noun.en), f"many {adjective}{noun.en_plural}"


def _join(rng: random.Random) -> tuple[str, str, str]:
    one, two = _simple(rng), _simple(rng)
    word = rng.choice(["and", "but", "because", "so"])
    return "join with " + word, f"{sentence(one)} {sentence(two)}", sentence(f"{one} {word} {two}")


def _simple(rng: random.Random) -> str:
    noun = _phrase(rng, rng.choice(_ACTORS))
    verb = rng.choice(INTRANSITIVE)
    if rng.random() < 0.4:
        return f"{noun} is {rng.choice(ADJECTIVES).en}"
    food = rng.choice([noun for noun in NOUNS if noun.kind == "food"])
    return f"{noun} {verb.en_third}" if rng.random() < 0.6 else f"{noun} {rng.choice(EATING).en_third} {food.en}"


def _repeat(rng: random.Random) -> tuple[str, str, str]:
    words = " ".join(pseudo_word(rng) for _ in range(rng.choice([1, 2, 2, 3])))
    return "repeat", words, words


def _sum(rng: random.Random) -> tuple[str, str, str]:
    one, two = rng.randint(0, 12), rng.randint(0, 12)
    return "sum", f"{one} plus {two}", f"{one} plus {two} is {one + two}."


_TASKS: list[tuple[Callable[[random.Random], tuple[str, str, str]], float]] = [
    (_past, 3),
    (_future, 2),
    (_negate, 2),
    (_passive, 2),
    (_first_person, 2),
    (_question, 4),
    (_opposite, 2),
    (_class, 1),
    (_plural, 1),
    (_join, 2),
    (_repeat, 1.5),
    (_sum, 0.5),
]


def task(rng: random.Random) -> tuple[str, str, str]:
    """Return (name of the task, input, answer)."""
    chosen = rng.choices([one for one, _ in _TASKS], [weight for _, weight in _TASKS])[0]
    return chosen(rng)


def prefixed(rng: random.Random) -> tuple[str, str]:
    """Return (``past: ...``, answer), as T5 is asked."""
    name, text, answer = task(rng)
    return f"{name}: {text}", answer


_ASKED = {
    "past": ["Put this into the past: {}", "Say it in the past. {}", "Change to the past tense: {}"],
    "future": ["Put this into the future: {}", "Say it in the future. {}"],
    "negate": ["Say that it is not so: {}", "Make this negative: {}"],
    "passive": ["Put this into the passive: {}", "Say it in the passive. {}"],
    "first person": ["Say that I did it: {}", "Put me in the place of the subject: {}"],
    "opposite": ["Say the opposite: {}", "What is the opposite? {}"],
    "what is": ["What is {}?", "Tell me what {} is."],
    "plural": ["What is the plural of {}?", "Say it in the plural: {}"],
    "repeat": ["Repeat after me: {}", "Say this again: {}"],
    "sum": ["What is {}?", "How much is {}?", "Please work out {}."],
}


def conversation(rng: random.Random) -> list[tuple[str, str]]:
    """Return one or two (user, assistant) turns."""
    turns = []
    for _ in range(2 if rng.random() < 0.12 else 1):
        name, text, answer = task(rng)
        if name == "question":
            asked, _, context = text.partition(" context: ")
            text = f"{context} {asked}" if rng.random() < 0.7 else f"{asked} {context}"
            answer = sentence(answer)
        elif name.startswith("join"):
            text = f"Join these {name.partition(' ')[2]}: {text}"
        else:
            text = rng.choice(_ASKED[name]).format(text)
        turns.append((text, answer))
    return turns
