"""French elision and contraction for sentences put together from parts."""

from __future__ import annotations

import re

_VOWELS = "aeiouâàéèêëîïôœùû"
_MUTE_H = ("huître", "homme", "heure", "herbe", "hiver", "hôtel")


def polish(text: str) -> str:
    """Elide and contract: ``la eau de le estuaire`` becomes ``l'eau de l'estuaire``, ``de le golfe`` ``du golfe``.

    An h is aspirated (no elision: ``le hareng``, ``le homard``) unless the word is listed as mute.
    """

    def elide(match: re.Match[str]) -> str:
        following = match[3].lower()
        mute = following.startswith(_MUTE_H) or following[0] in _VOWELS
        return f"{match[1]}'" if mute else match[0]

    text = re.sub(r"\b([ldn]|qu)([ea]) (?=(\w+))", elide, text)
    for old, new in (("de le ", "du "), ("de les ", "des "), ("à le ", "au "), ("à les ", "aux ")):
        text = re.sub(rf"(?<!\w){old}", new, text)
    return text[0].upper() + text[1:]
