"""English–French sentence pairs from a small grammar: general domain, right agreement, elision and contraction.

Every phrase is built in both languages at once. About one sentence in five holds made-up names, numbers or units, which
are copied: so every piece of the vocabulary is trained, and a model that meets a new word can spell it.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from .lexicon import ADJECTIVES, EATING, INTRANSITIVE, NOUNS, TRANSITIVE, Adjective, Noun, Verb

_VOWELS = "aeiouyhâàéèêëîïôûœ"
_PEOPLE = [noun for noun in NOUNS if noun.kind == "person"]
_ANIMALS = [noun for noun in NOUNS if noun.kind == "animal"]
_THINGS = [noun for noun in NOUNS if noun.kind == "thing"]
_PLACES = [noun for noun in NOUNS if noun.kind == "place"]
_FOOD = [noun for noun in NOUNS if noun.kind == "food"]
_ACTORS = _PEOPLE + _ANIMALS
_NUMBERS = [
    ("two", "deux"),
    ("three", "trois"),
    ("four", "quatre"),
    ("five", "cinq"),
    ("six", "six"),
    ("seven", "sept"),
    ("eight", "huit"),
    ("ten", "dix"),
    ("twelve", "douze"),
    ("twenty", "vingt"),
]
_PREPOSITIONS = [
    ("in", "dans"),
    ("near", "près de"),
    ("behind", "derrière"),
    ("in front of", "devant"),
    ("under", "sous"),
    ("on", "sur"),
    ("with", "avec"),
    ("for", "pour"),
    ("between", "entre"),
    ("after", "après"),
    ("before", "avant"),
    ("during", "pendant"),
    ("without", "sans"),
    ("against", "contre"),
    ("across", "à travers"),
]
_TIMES = {
    "past": [
        ("yesterday", "hier"),
        ("last week", "la semaine dernière"),
        ("this morning", "ce matin"),
        ("last year", "l'année dernière"),
        ("in 2012", "en 2012"),
        ("last month", "le mois dernier"),
    ],
    "present": [
        ("every day", "tous les jours"),
        ("often", "souvent"),
        ("today", "aujourd'hui"),
        ("in summer", "en été"),
        ("in winter", "en hiver"),
        ("in spring", "au printemps"),
        ("every year", "chaque année"),
        ("now", "maintenant"),
    ],
    "future": [
        ("tomorrow", "demain"),
        ("next week", "la semaine prochaine"),
        ("next year", "l'année prochaine"),
        ("tonight", "ce soir"),
    ],
}
_UNITS = [
    ("metres", "mètres"),
    ("kilometres", "kilomètres"),
    ("kilos", "kilos"),
    ("degrees", "degrés"),
    ("hours", "heures"),
    ("days", "jours"),
    ("years", "ans"),
    ("percent", "pour cent"),
    ("euros", "euros"),
    ("tons", "tonnes"),
    ("centimetres", "centimètres"),
]
_ONSETS = [
    "b",
    "c",
    "d",
    "f",
    "g",
    "h",
    "j",
    "k",
    "l",
    "m",
    "n",
    "p",
    "r",
    "s",
    "t",
    "v",
    "w",
    "z",
    "br",
    "cr",
    "dr",
    "fl",
    "gr",
    "pl",
    "st",
    "tr",
    "ch",
    "sh",
    "th",
    "ph",
    "qu",
    "sc",
    "sp",
    "",
]
_VOICES = ["a", "e", "i", "o", "u", "ai", "au", "ea", "ee", "io", "ou", "oi", "y", "é"]
_CODAS = ["", "", "", "n", "r", "l", "s", "t", "m", "x", "ck", "nd", "lt", "rn", "st", "ng", "ph", "c", "d"]


@dataclass(frozen=True)
class Phrase:
    """A noun phrase in both languages; ``plural`` and ``gender`` are what a French verb and adjective agree with."""

    en: str
    fr: str
    gender: str
    plural: bool


def pseudo_word(rng: random.Random) -> str:
    """Return a made-up word of one to three syllables."""
    return "".join(
        rng.choice(_ONSETS) + rng.choice(_VOICES) + rng.choice(_CODAS) for _ in range(rng.choice([1, 2, 2, 3]))
    )


def pair(rng: random.Random) -> tuple[str, str]:
    """Return one (English, French) sentence."""
    en, fr = rng.choices(_PATTERNS, _WEIGHTS)[0](rng)
    return _sentence(en), _sentence(fr)


def _sentence(text: str) -> str:
    text = text.strip()
    end = "" if text[-1] in ".?!" else "."
    return text[0].upper() + text[1:] + end


def _elide(word: str, short: str, text: str) -> str:
    """``le`` + ``arbre`` → ``l'arbre``; ``short`` is the word without its vowel."""
    return f"{short}'{text}" if text[0].lower() in _VOWELS else f"{word} {text}"


def of(fr: str) -> str:
    """Return ``de`` + a French phrase, contracted."""
    for start, contracted in (("le ", "du "), ("les ", "des ")):
        if fr.startswith(start):
            return contracted + fr[len(start) :]
    return _elide("de", "d", fr)


def to(fr: str) -> str:
    """Return ``à`` + a French phrase, contracted."""
    for start, contracted in (("le ", "au "), ("les ", "aux ")):
        if fr.startswith(start):
            return contracted + fr[len(start) :]
    return "à " + fr


def agree(adjective: Adjective, gender: str, plural: bool) -> str:
    """Return the French form of an adjective."""
    form = adjective.masculine if gender == "m" else adjective.feminine
    if not plural or form.endswith(("s", "x")):
        return form
    return form[:-2] + "aux" if form.endswith("al") else form + ("x" if form.endswith("eau") else "s")


def _with_adjective(noun: Noun, plural: bool, adjective: Adjective | None) -> tuple[str, str]:
    en, fr = (noun.en_plural, noun.fr_plural) if plural else (noun.en, noun.fr)
    if adjective is None:
        return en, fr
    form = agree(adjective, noun.gender, plural)
    if adjective.before and not plural and noun.gender == "m" and fr[0] in _VOWELS:
        form = {"vieux": "vieil", "beau": "bel", "nouveau": "nouvel"}.get(form, form)
    return f"{adjective.en} {en}", f"{form} {fr}" if adjective.before else f"{fr} {form}"


def noun_phrase(rng: random.Random, nouns: list[Noun], adjectives: float = 0.3) -> Phrase:
    """Return a noun phrase with a determiner, and sometimes an adjective."""
    noun = rng.choice(nouns)
    plural = noun.kind != "food" and rng.random() < 0.35
    adjective = rng.choice(ADJECTIVES) if rng.random() < adjectives else None
    en, fr = _with_adjective(noun, plural, adjective)
    kind = rng.choices(["the", "a", "this", "my", "our", "his", "number", "many"], [10, 5, 2, 2, 1.5, 1, 1.5, 1])[0]
    if noun.kind == "food" and kind in ("a", "number", "many"):
        kind = "the"
    if not plural and kind in ("number", "many"):
        kind = "the"
    en, fr = _determined(rng, kind, (en, fr), noun.gender, plural)
    return Phrase(en, fr, noun.gender, plural)


def _determined(rng: random.Random, kind: str, words: tuple[str, str], gender: str, plural: bool) -> tuple[str, str]:
    en, fr = words
    feminine, vowel = gender == "f", fr[0] in _VOWELS
    if kind == "the":
        return f"the {en}", f"les {fr}" if plural else _elide("la" if feminine else "le", "l", fr)
    if kind == "a":
        if plural:
            before = any(
                fr.startswith(agree(adjective, gender, True) + " ") for adjective in ADJECTIVES if adjective.before
            )
            return f"some {en}", _elide("de", "d", fr) if before else f"des {fr}"
        return ("an " if en[0] in "aeiou" else "a ") + en, ("une " if feminine else "un ") + fr
    if kind == "this":
        singular = "cette" if feminine else "cet" if vowel else "ce"
        return (f"these {en}", f"ces {fr}") if plural else (f"this {en}", f"{singular} {fr}")
    if kind in ("my", "his"):
        letter = "m" if kind == "my" else "s"
        return f"{kind} {en}", letter + ("es" if plural else "a" if feminine and not vowel else "on") + " " + fr
    if kind == "our":
        return f"our {en}", ("nos " if plural else "notre ") + fr
    if kind == "many":
        return f"many {en}", "beaucoup " + _elide("de", "d", fr)
    number = rng.choice(_NUMBERS) if rng.random() < 0.7 else (str(rng.randint(2, 2000)),) * 2
    return f"{number[0]} {en}", f"{number[1]} {fr}"


def name_phrase(rng: random.Random) -> Phrase:
    """Return a made-up name; it is copied."""
    name = pseudo_word(rng).capitalize()
    if rng.random() < 0.15:
        name += " " + pseudo_word(rng).capitalize()
    return Phrase(name, name, "m", False)


def _subject(rng: random.Random, nouns: list[Noun] = _ACTORS) -> Phrase:
    if rng.random() < 0.12:
        return name_phrase(rng)
    if rng.random() < 0.18:
        return rng.choice(
            [Phrase("he", "il", "m", False), Phrase("she", "elle", "f", False), Phrase("they", "ils", "m", True)]
        )
    return noun_phrase(rng, nouns)


def _conjugated(verb: Verb, subject: Phrase, tense: str, negative: bool) -> tuple[str, str]:
    fr = verb.fr_plural if subject.plural else verb.fr_singular
    if tense == "present":
        en = verb.en if subject.plural else verb.en_third
        if negative:
            return ("do not " if subject.plural else "does not ") + verb.en, _elide("ne", "n", fr) + " pas"
        return en, fr
    if tense == "past":
        have = "ont" if subject.plural else "a"
        if negative:
            return f"did not {verb.en}", f"n'{have} pas {verb.fr_participle}"
        return verb.en_past, f"{have} {verb.fr_participle}"
    fr = verb.fr_future + ("ont" if subject.plural else "a")
    if negative:
        return f"will not {verb.en}", _elide("ne", "n", fr) + " pas"
    return f"will {verb.en}", fr


def _be(subject: Phrase, tense: str) -> tuple[str, str]:
    if tense == "past":
        return ("were", "étaient") if subject.plural else ("was", "était")
    if tense == "future":
        return ("will be", "seront" if subject.plural else "sera")
    return ("are", "sont") if subject.plural else ("is", "est")


def _tense(rng: random.Random) -> str:
    return rng.choices(["present", "past", "future"], [5, 4, 2])[0]


def _where(rng: random.Random) -> tuple[str, str]:
    en, fr = rng.choice(_PREPOSITIONS)
    place = noun_phrase(rng, _PLACES if en in ("in", "near", "across") else _PLACES + _THINGS, 0.2)
    return f"{en} {place.en}", "près " + of(place.fr) if fr == "près de" else f"{fr} {place.fr}"


def _tail(rng: random.Random, tense: str) -> tuple[str, str]:
    chance = rng.random()
    if chance < 0.3:
        en, fr = _where(rng)
        return " " + en, " " + fr
    if chance < 0.5:
        en, fr = rng.choice(_TIMES[tense])
        return " " + en, " " + fr
    return "", ""


def _transitive(rng: random.Random) -> tuple[str, str]:
    tense, subject = _tense(rng), _subject(rng)
    object_ = name_phrase(rng) if rng.random() < 0.06 else noun_phrase(rng, _THINGS + _ANIMALS + _PLACES + _PEOPLE)
    en, fr = _conjugated(rng.choice(TRANSITIVE), subject, tense, rng.random() < 0.15)
    tail = _tail(rng, tense)
    return f"{subject.en} {en} {object_.en}{tail[0]}", f"{subject.fr} {fr} {object_.fr}{tail[1]}"


def _intransitive(rng: random.Random) -> tuple[str, str]:
    tense, subject = _tense(rng), _subject(rng)
    en, fr = _conjugated(rng.choice(INTRANSITIVE), subject, tense, rng.random() < 0.15)
    tail = _tail(rng, tense)
    return f"{subject.en} {en}{tail[0]}", f"{subject.fr} {fr}{tail[1]}"


def _eating(rng: random.Random) -> tuple[str, str]:
    tense, subject, food = _tense(rng), _subject(rng), rng.choice(_FOOD)
    en, fr = _conjugated(rng.choice(EATING), subject, tense, False)
    partitive = (
        of(_elide("la" if food.gender == "f" else "le", "l", food.fr))
        if food.fr[0] not in _VOWELS
        else f"de l'{food.fr}"
    )
    tail = _tail(rng, tense)
    return f"{subject.en} {en} {food.en}{tail[0]}", f"{subject.fr} {fr} {partitive}{tail[1]}"


def _attribute(rng: random.Random) -> tuple[str, str]:
    tense, subject = _tense(rng), noun_phrase(rng, _ACTORS + _THINGS + _PLACES, 0.15)
    adjective = rng.choice(ADJECTIVES)
    en, fr = _be(subject, tense)
    degree = rng.choice([("", ""), ("", ""), ("very ", "très "), ("too ", "trop ")])
    form = agree(adjective, subject.gender, subject.plural)
    return f"{subject.en} {en} {degree[0]}{adjective.en}", f"{subject.fr} {fr} {degree[1]}{form}"


def _comparison(rng: random.Random) -> tuple[str, str]:
    one, two = noun_phrase(rng, _ACTORS + _THINGS + _PLACES, 0), noun_phrase(rng, _ACTORS + _THINGS + _PLACES, 0)
    adjective = rng.choice([adjective for adjective in ADJECTIVES if adjective.en != "good"])
    more = rng.choice([("more", "plus"), ("less", "moins")])
    be = _be(one, "present")
    return (
        f"{one.en} {be[0]} {more[0]} {adjective.en} than {two.en}",
        f"{one.fr} {be[1]} {more[1]} {agree(adjective, one.gender, one.plural)} {_elide('que', 'qu', two.fr)}",
    )


def _existence(rng: random.Random) -> tuple[str, str]:
    noun, plural = rng.choice(_THINGS + _ACTORS), rng.random() < 0.5
    en, fr = _with_adjective(noun, plural, rng.choice(ADJECTIVES) if rng.random() < 0.3 else None)
    kind = rng.choice(["number", "many", "a"]) if plural else "a"
    en, fr = _determined(rng, kind, (en, fr), noun.gender, plural)
    where = _where(rng)
    return f"there {'are' if plural else 'is'} {en} {where[0]}", f"il y a {fr} {where[1]}"


def _possession(rng: random.Random) -> tuple[str, str]:
    part, whole = rng.choice(_THINGS + _PEOPLE), noun_phrase(rng, _PEOPLE + _PLACES + _THINGS, 0.1)
    owned = _determined(rng, "the", (part.en, part.fr), part.gender, False)
    adjective, be = rng.choice(ADJECTIVES), _be(Phrase("", "", "m", False), "present")
    return (
        f"{owned[0]} of {whole.en} {be[0]} {adjective.en}",
        f"{owned[1]} {of(whole.fr)} {be[1]} {agree(adjective, part.gender, False)}",
    )


def _wish(rng: random.Random) -> tuple[str, str]:
    subject, verb, object_ = _subject(rng, _PEOPLE), rng.choice(TRANSITIVE), noun_phrase(rng, _THINGS + _PLACES)
    en, fr = rng.choice(
        [
            (("want to", "wants to"), ("veulent", "veut")),
            (("can", "can"), ("peuvent", "peut")),
            (("must", "must"), ("doivent", "doit")),
        ]
    )
    index = 0 if subject.plural else 1
    return f"{subject.en} {en[index]} {verb.en} {object_.en}", f"{subject.fr} {fr[index]} {verb.fr} {object_.fr}"


def _relative(rng: random.Random) -> tuple[str, str]:
    subject, tense = noun_phrase(rng, _ACTORS, 0), rng.choice(["present", "past"])
    inner = _conjugated(rng.choice(TRANSITIVE), subject, tense, False)
    object_, adjective, be = noun_phrase(rng, _THINGS, 0), rng.choice(ADJECTIVES), _be(subject, "present")
    return (
        f"{subject.en} that {inner[0]} {object_.en} {be[0]} {adjective.en}",
        f"{subject.fr} qui {inner[1]} {object_.fr} {be[1]} {agree(adjective, subject.gender, subject.plural)}",
    )


def _passive(rng: random.Random) -> tuple[str, str]:
    subject, verb, by = (
        noun_phrase(rng, _THINGS + _PLACES + _ANIMALS, 0.15),
        rng.choice(TRANSITIVE),
        noun_phrase(rng, _PEOPLE, 0.1),
    )
    participle = (
        verb.fr_participle
        + ("e" if subject.gender == "f" else "")
        + ("s" if subject.plural and not verb.fr_participle.endswith("s") else "")
    )
    if subject.plural and subject.gender == "f" and not participle.endswith("s"):
        participle += "s"
    past = rng.random() < 0.6
    en = ("were" if subject.plural else "was") if past else ("are" if subject.plural else "is")
    fr = ("ont été" if subject.plural else "a été") if past else ("sont" if subject.plural else "est")
    tail = (f" by {by.en}", f" par {by.fr}") if rng.random() < 0.5 else tuple(" " + text for text in _where(rng))
    return f"{subject.en} {en} {verb.en_participle}{tail[0]}", f"{subject.fr} {fr} {participle}{tail[1]}"


def _measurement(rng: random.Random) -> tuple[str, str]:
    subject = name_phrase(rng) if rng.random() < 0.3 else noun_phrase(rng, _THINGS + _PLACES, 0.1)
    unit, decimals = rng.choice(_UNITS), rng.random() < 0.4
    number = (
        f"{rng.randint(0, 300)}.{rng.randint(1, 99)}"
        if decimals
        else str(rng.choice([rng.randint(2, 99), rng.randint(100, 9999)]))
    )
    verb = ("measure", "mesurent") if subject.plural else ("measures", "mesure")
    return f"{subject.en} {verb[0]} {number} {unit[0]}", f"{subject.fr} {verb[1]} {number.replace('.', ',')} {unit[1]}"


def _two_clauses(rng: random.Random) -> tuple[str, str]:
    one, two = (
        rng.choice([_transitive, _attribute, _intransitive])(rng),
        rng.choice([_transitive, _attribute, _intransitive])(rng),
    )
    en, fr = rng.choice(
        [("and", "et"), ("but", "mais"), ("because", "parce que"), ("when", "quand"), ("while", "tandis que")]
    )
    joined = (
        _elide("parce que", "parce qu", two[1])
        if fr == "parce que"
        else _elide("tandis que", "tandis qu", two[1])
        if "que" in fr
        else f"{fr} {two[1]}"
    )
    return f"{one[0]} {en} {two[0]}", f"{one[1]} {joined}"


def _naming(rng: random.Random) -> tuple[str, str]:
    subject, names = (
        noun_phrase(rng, _PLACES + _PEOPLE + _ANIMALS, 0.1),
        [name_phrase(rng) for _ in range(rng.choice([1, 1, 2, 3]))],
    )
    be = ("are called", "s'appellent") if subject.plural else ("is called", "s'appelle")
    en, fr = (
        f" {word} ".join([", ".join(p.en for p in names[:-1]), names[-1].en]) if len(names) > 1 else names[0].en
        for word in ("and", "et")
    )
    return f"{subject.en} {be[0]} {en}", f"{subject.fr} {be[1]} {fr}"


def _going(rng: random.Random) -> tuple[str, str]:
    subject, place = _subject(rng, _PEOPLE), noun_phrase(rng, _PLACES, 0.1)
    verb = ("go", "vont") if subject.plural else ("goes", "va")
    tail = rng.choice([("", ""), *((" " + en, " " + fr) for en, fr in _TIMES["present"])])
    return f"{subject.en} {verb[0]} to {place.en}{tail[0]}", f"{subject.fr} {verb[1]} {to(place.fr)}{tail[1]}"


def _copying(rng: random.Random) -> tuple[str, str]:
    """Two or three made-up words and a number: only spelling."""
    words = [pseudo_word(rng) for _ in range(rng.choice([1, 2, 3]))]
    words = [word.capitalize() if rng.random() < 0.5 else word for word in words] + (
        [str(rng.randint(0, 2030))] if rng.random() < 0.5 else []
    )
    rng.shuffle(words)
    return (" ".join(words),) * 2


_PATTERNS = [
    _transitive,
    _intransitive,
    _eating,
    _attribute,
    _comparison,
    _existence,
    _possession,
    _wish,
    _relative,
    _passive,
    _measurement,
    _two_clauses,
    _naming,
    _going,
    _copying,
]
_WEIGHTS = [20, 8, 4, 9, 5, 6, 6, 5, 5, 8, 6, 5, 5, 3, 5]
