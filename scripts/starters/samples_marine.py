"""Marine and fisheries science in English and French: the sample data of the translation demo.

Two thirds come from sentence patterns over tables of domain words, the rest are written out. Every pattern builds both
languages at once; French agreement is carried by the tables (gender, number) and elision by ``french.polish``.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import NamedTuple

from .french import polish


class Term(NamedTuple):
    """A noun phrase with its articles; ``fr`` starts with ``le``, ``la`` or ``les``, elided later."""

    en: str
    fr: str

    @property
    def plural(self) -> bool:
        """Say whether it is plural."""
        return self.fr.startswith("les ")

    @property
    def fem(self) -> bool:
        """Say whether it is a feminine singular, or a plural of a feminine listed in ``_FEMININE``."""
        return self.fr.startswith("la ") or self.fr.split()[-1] in _FEMININE or self.fr.split()[1] in _FEMININE


_FEMININE = {"abondance", "acidité", "huîtres", "moules", "baleines", "tortues", "anguilles", "larves", "anse"}

SPECIES = [
    Term("the cod", "la morue"),
    Term("the herring", "le hareng"),
    Term("the salmon", "le saumon"),
    Term("the halibut", "le flétan"),
    Term("the haddock", "le aiglefin"),
    Term("the squid", "le calmar"),
]
ANIMALS = [
    Term("the seals", "les phoques"),
    Term("the whales", "les baleines"),
    Term("the seabirds", "les oiseaux de mer"),
    Term("the crabs", "les crabes"),
    Term("the lobsters", "les homards"),
    Term("the oysters", "les huîtres"),
    Term("the mussels", "les moules"),
    Term("the sea urchins", "les oursins"),
    Term("the eels", "les anguilles"),
]
SHELLFISH = [ANIMALS[i] for i in (3, 4, 5, 6, 7)]
PREDATORS = [ANIMALS[i] for i in (0, 1, 2)]
STOCK_QUANTITIES = [
    Term("the biomass", "la biomasse"),
    Term("the abundance", "la abondance"),
    Term("the growth", "la croissance"),
    Term("the mortality", "la mortalité"),
    Term("the recruitment", "le recrutement"),
]
WATER_QUANTITIES = [
    Term("the salinity", "la salinité"),
    Term("the acidity", "la acidité"),
    Term("the turbidity", "la turbidité"),
    Term("the temperature", "la température"),
]
PLACES = [
    Term("the bay", "la baie"),
    Term("the gulf", "le golfe"),
    Term("the estuary", "le estuaire"),
    Term("the strait", "le détroit"),
    Term("the channel", "le chenal"),
    Term("the fjord", "le fjord"),
    Term("the lagoon", "la lagune"),
    Term("the inlet", "la anse"),
]
PEOPLE = [
    Term("the biologist", "le biologiste"),
    Term("the diver", "le plongeur"),
    Term("the observer", "le observateur"),
    Term("the crew", "le équipage"),
]
GEAR = [("net", "filet"), ("trawl", "chalut"), ("trap", "casier")]
SEASONS = [
    ("in spring", "au printemps"),
    ("in summer", "en été"),
    ("in autumn", "en automne"),
    ("in winter", "en hiver"),
]
STATES = [
    ("low", "faible", "faible"),
    ("high", "élevé", "élevée"),
    ("stable", "stable", "stable"),
    ("unknown", "inconnu", "inconnue"),
]
CHANGES = [("increased", "a augmenté"), ("decreased", "a diminué"), ("doubled", "a doublé")]
COUNTS = [("three", "trois"), ("five", "cinq"), ("eight", "huit"), ("twelve", "douze"), ("twenty", "vingt")]


def _bare(term: Term) -> tuple[str, str]:
    return term.en.removeprefix("the "), term.fr.split(" ", 1)[1]


def _year(rng: random.Random) -> str:
    return str(rng.randint(1998, 2023))


def _trend(rng: random.Random) -> tuple[str, str]:
    what, whose, where, change = (rng.choice(t) for t in (STOCK_QUANTITIES, SPECIES, PLACES, CHANGES))
    year = _year(rng)
    return (
        f"{what.en} of {whose.en} {change[0]} in {where.en} in {year}",
        f"{what.fr} de {whose.fr} {change[1]} dans {where.fr} en {year}",
    )


def _measured(rng: random.Random) -> tuple[str, str]:
    who, what, where = rng.choice(PEOPLE), rng.choice(WATER_QUANTITIES), rng.choice(PLACES)
    en, fr = rng.choice([("near", "près de"), ("in", "dans")])
    return (
        f"{who.en} measured {what.en} of the water {en} {where.en}",
        f"{who.fr} a mesuré {what.fr} de la eau {fr} {where.fr}",
    )


def _assessment(rng: random.Random) -> tuple[str, str]:
    what, whose, state = rng.choice(STOCK_QUANTITIES), rng.choice(SPECIES), rng.choice(STATES)
    opener = rng.choice(
        [
            ("the stock assessment shows", "la évaluation du stock montre"),
            ("the trawl survey shows", "le relevé au chalut montre"),
            ("the model shows", "le modèle montre"),
        ]
    )
    return (
        f"{opener[0]} that {what.en} of {whose.en} is {state[0]}",
        f"{opener[1]} que {what.fr} de {whose.fr} est {state[1 + what.fem]}",
    )


def _otolith(rng: random.Random) -> tuple[str, str]:
    whose, age = rng.choice(SPECIES[:5]), rng.randint(2, 9)
    who = rng.choice(PEOPLE[:3])
    return rng.choice(
        [
            (
                f"the otolith of {whose.en} shows an age of {age} years",
                f"le otolithe de {whose.fr} montre un âge de {age} ans",
            ),
            (f"{who.en} studies the otoliths of {whose.en}", f"{who.fr} étudie les otolithes de {whose.fr}"),
            (f"the age of {whose.en} was read on an otolith", f"le âge de {whose.fr} a été lu sur un otolithe"),
        ]
    )


def _feeding(rng: random.Random) -> tuple[str, str]:
    who, where = rng.choice(PREDATORS), rng.choice(PLACES)
    krill, plankton = Term("the krill", "le krill"), Term("the plankton", "le plancton")
    seal = "seals" in who.en
    what = rng.choice([*SPECIES[:2], SPECIES[5], SHELLFISH[0]] if seal else [SPECIES[1], SPECIES[5], krill, plankton])
    return f"{who.en} eat {what.en} near {where.en}", f"{who.fr} mangent {what.fr} près de {where.fr}"


def _survey(rng: random.Random) -> tuple[str, str]:
    what = rng.choice([("trawl survey", "relevé au chalut"), ("acoustic survey", "relevé acoustique")])
    where, year = rng.choice(PLACES), _year(rng)
    return (
        f"the {what[0]} was carried out in {where.en} in {year}",
        f"le {what[1]} a été effectué dans {where.fr} en {year}",
    )


def _catching(rng: random.Random) -> tuple[str, str]:
    what, where = rng.choice(SPECIES + SHELLFISH[:2]), rng.choice(PLACES)
    gear = GEAR[2] if what in SHELLFISH else rng.choice(GEAR[:2])
    return (
        f"the fishers catch {what.en} with a {gear[0]} in {where.en}",
        f"les pêcheurs capturent {what.fr} avec un {gear[1]} dans {where.fr}",
    )


def _sediment(rng: random.Random) -> tuple[str, str]:
    where = rng.choice(PLACES)
    what = rng.choice([Term("the kelp", "le varech"), Term("the seabed", "le fond marin"), *SHELLFISH[2:4]])
    return rng.choice(
        [
            (f"the sediment covers {what.en} in {where.en}", f"le sédiment couvre {what.fr} dans {where.fr}"),
            (
                f"the current carries the sediment towards {where.en}",
                f"le courant transporte le sédiment vers {where.fr}",
            ),
            (f"a sediment sample was taken in {where.en}", f"un échantillon de sédiment a été prélevé dans {where.fr}"),
        ]
    )


def _threat(rng: random.Random) -> tuple[str, str]:
    where = rng.choice(PLACES)
    cause = rng.choice(
        [
            ("ocean acidification threatens", "la acidification de le océan menace", SHELLFISH),
            ("pollution threatens", "la pollution menace", [*SHELLFISH, *SPECIES[:3]]),
            ("bycatch threatens", "les prises accessoires menacent", [*PREDATORS, ANIMALS[8]]),
        ]
    )
    what = rng.choice(cause[2])
    return f"{cause[0]} {what.en} of {where.en}", f"{cause[1]} {what.fr} de {where.fr}"


def _migration(rng: random.Random) -> tuple[str, str]:
    who, when = rng.choice(PREDATORS + ANIMALS[8:]), rng.choice(SEASONS)
    one, two = rng.sample(PLACES, 2)
    return (
        f"{who.en} migrate from {one.en} to {two.en} {when[0]}",
        f"{who.fr} migrent de {one.fr} vers {two.fr} {when[1]}",
    )


def _more(rng: random.Random) -> tuple[str, str]:
    what = _bare(rng.choice(ANIMALS))
    one, two = rng.sample(PLACES, 2)
    more = rng.choice([("more", "plus"), ("fewer", "moins")])
    return (
        f"there are {more[0]} {what[0]} in {one.en} than in {two.en}",
        f"il y a {more[1]} de {what[1]} dans {one.fr} que dans {two.fr}",
    )


def _quota(rng: random.Random) -> tuple[str, str]:
    what, where, tonnes = _bare(rng.choice(SPECIES)), rng.choice(PLACES), rng.randint(2, 95) * 10
    return (
        f"the {what[0]} quota is {tonnes} tonnes in {where.en}",
        f"le quota de {what[1]} est de {tonnes} tonnes dans {where.fr}",
    )


def _larvae(rng: random.Random) -> tuple[str, str]:
    where, whose = rng.choice(PLACES), rng.choice([*SHELLFISH, *SPECIES[:3]])
    carrier = rng.choice([("the tide", "la marée"), ("the current", "le courant")])
    return rng.choice(
        [
            (
                f"{carrier[0]} carries the larvae towards {where.en}",
                f"{carrier[1]} transporte les larves vers {where.fr}",
            ),
            (f"the larvae of {whose.en} live in {where.en}", f"les larves de {whose.fr} vivent dans {where.fr}"),
        ]
    )


def _seen(rng: random.Random) -> tuple[str, str]:
    who, where, many = rng.choice(PEOPLE), rng.choice(PLACES), rng.choice(COUNTS)
    what = _bare(rng.choice(ANIMALS))
    return (
        f"{who.en} observed {many[0]} {what[0]} near {where.en}",
        f"{who.fr} a observé {many[1]} {what[1]} près de {where.fr}",
    )


def _level(rng: random.Random) -> tuple[str, str]:
    where, whole, part = rng.choice(PLACES), rng.randint(4, 19), rng.randint(1, 9)
    return rng.choice(
        [
            (
                f"the temperature of the water in {where.en} is {whole}.{part} degrees",
                f"la température de la eau dans {where.fr} est de {whole},{part} degrés",
            ),
            (
                f"the salinity of the water in {where.en} is {whole + 12} grams per litre",
                f"la salinité de la eau dans {where.fr} est de {whole + 12} grammes par litre",
            ),
        ]
    )


def _plankton(rng: random.Random) -> tuple[str, str]:
    where, when = rng.choice(PLACES), rng.choice(SEASONS)
    what = rng.choice([("plankton", "le plancton"), ("krill", "le krill"), ("kelp", "le varech")])
    state = rng.choice([("abundant", "abondant"), ("rare", "rare")])
    return f"{what[0]} is {state[0]} in {where.en} {when[0]}", f"{what[1]} est {state[1]} dans {where.fr} {when[1]}"


def _spawning(rng: random.Random) -> tuple[str, str]:
    what, where, when = (
        rng.choice([s for s in SPECIES if s.en != "the salmon"]),
        rng.choice(PLACES),
        rng.choice(SEASONS),
    )
    return f"{what.en} spawns in {where.en} {when[0]}", f"{what.fr} fraie dans {where.fr} {when[1]}"


def _buoy(rng: random.Random) -> tuple[str, str]:
    what, where = rng.choice(WATER_QUANTITIES), rng.choice(PLACES)
    return (
        f"a buoy records {what.en} of the water in {where.en}",
        f"une bouée enregistre {what.fr} de la eau dans {where.fr}",
    )


PATTERNS: list[tuple[Callable[[random.Random], tuple[str, str]], int]] = [
    (_trend, 34),
    (_measured, 24),
    (_assessment, 28),
    (_otolith, 20),
    (_feeding, 20),
    (_survey, 10),
    (_catching, 24),
    (_sediment, 20),
    (_threat, 22),
    (_migration, 20),
    (_more, 20),
    (_quota, 14),
    (_larvae, 18),
    (_seen, 22),
    (_level, 12),
    (_plankton, 14),
    (_spawning, 16),
    (_buoy, 12),
]

WRITTEN = [
    (
        "The stock assessment uses the trawl survey and the catch of the fishers.",
        "L'évaluation du stock utilise le relevé au chalut et la capture des pêcheurs.",
    ),
    (
        "Kelp protects the larvae of the lobsters against the current.",
        "Le varech protège les larves des homards contre le courant.",
    ),
    (
        "The biologist compares the otoliths of the cod and of the haddock.",
        "Le biologiste compare les otolithes de la morue et de l'aiglefin.",
    ),
    ("Without plankton, the herring disappears from the gulf.", "Sans plancton, le hareng disparaît du golfe."),
    (
        "Seals and seabirds eat the herring of the strait.",
        "Les phoques et les oiseaux de mer mangent le hareng du détroit.",
    ),
    (
        "The acidity of the water changes the growth of the oysters.",
        "L'acidité de l'eau change la croissance des huîtres.",
    ),
    ("The crew lost a trap near the channel.", "L'équipage a perdu un casier près du chenal."),
    (
        "The diver took a sediment sample under the kelp.",
        "Le plongeur a prélevé un échantillon de sédiment sous le varech.",
    ),
    ("The tide is strong in the inlet.", "La marée est forte dans l'anse."),
    ("The quota protects the biomass of the cod.", "Le quota protège la biomasse de la morue."),
    ("The whales follow the krill towards the fjord.", "Les baleines suivent le krill vers le fjord."),
    ("The salinity of the estuary changes with the tide.", "La salinité de l'estuaire change avec la marée."),
    ("The turbidity of the lagoon is high after the tide.", "La turbidité de la lagune est élevée après la marée."),
    ("The observer counts the seabirds near the channel.", "L'observateur compte les oiseaux de mer près du chenal."),
    (
        "The model uses the mortality and the growth of the salmon.",
        "Le modèle utilise la mortalité et la croissance du saumon.",
    ),
    ("Bycatch increases the mortality of the seals.", "Les prises accessoires augmentent la mortalité des phoques."),
    ("The fishers do not catch the halibut in winter.", "Les pêcheurs ne capturent pas le flétan en hiver."),
    ("The sea urchins eat the kelp of the bay.", "Les oursins mangent le varech de la baie."),
    ("The trawl touches the seabed and moves the sediment.", "Le chalut touche le fond marin et déplace le sédiment."),
    ("The buoy of the gulf was lost in winter.", "La bouée du golfe a été perdue en hiver."),
    ("The salmon migrates towards the estuary in autumn.", "Le saumon migre vers l'estuaire en automne."),
    ("The eels live under the sediment of the lagoon.", "Les anguilles vivent sous le sédiment de la lagune."),
    ("The recruitment of the squid is unknown.", "Le recrutement du calmar est inconnu."),
    ("Pollution threatens the mussels and the oysters.", "La pollution menace les moules et les huîtres."),
    ("The acoustic survey shows that the krill is abundant.", "Le relevé acoustique montre que le krill est abondant."),
    ("The crabs hide under the kelp.", "Les crabes se cachent sous le varech."),
    ("The haddock lives near the seabed.", "L'aiglefin vit près du fond marin."),
    ("The net catches the squid and the herring.", "Le filet capture le calmar et le hareng."),
    ("The temperature of the water is low in the fjord.", "La température de l'eau est faible dans le fjord."),
    (
        "Ocean acidification decreases the growth of the mussels.",
        "L'acidification de l'océan diminue la croissance des moules.",
    ),
]


def rows(seed: int) -> list[dict[str, str]]:
    """Return all pairs in both directions; both directions of a pair carry the same publication number."""
    rng = random.Random(seed)
    pairs = dict(WRITTEN)
    for pattern, count in PATTERNS:
        wanted = len(pairs) + count
        for _ in range(50 * count):
            if len(pairs) == wanted:
                break
            en, fr = pattern(rng)
            pairs.setdefault(en[0].upper() + en[1:] + ".", polish(fr) + ".")
    found = list(pairs.items())
    rng.shuffle(found)
    made = []
    for en, fr in found:
        number = f"{rng.randint(1998, 2023)}/{rng.randint(1, 120):03d}"
        made.append({"source": en, "target": fr, "source_lang": "en", "pub_number": number})
        made.append({"source": fr, "target": en, "source_lang": "fr", "pub_number": number})
    return made
