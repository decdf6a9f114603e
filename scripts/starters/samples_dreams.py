"""Dreams and what they stand for: the sample data of the seq2seq demo. Written for this project, for play only.

A dream has a symbol, a place and a feeling; the interpretation is put together from what each of them stands for.
"""

from __future__ import annotations

import random

SYMBOLS = {
    "a black cat": ("The black cat", "a secret"),
    "a white horse": ("The white horse", "the wish to be free"),
    "an old clock": ("The old clock", "lost time"),
    "a broken mirror": ("The broken mirror", "a doubt about yourself"),
    "a closed door": ("The closed door", "a chance to come"),
    "a golden key": ("The golden key", "an answer that you know"),
    "a burning candle": ("The burning candle", "hope"),
    "a big spider": ("The big spider", "too much work"),
    "a wolf": ("The wolf", "a strong feeling"),
    "an empty chair": ("The empty chair", "a friend whom you miss"),
    "a crying child": ("The crying child", "an old need"),
    "a strange visitor": ("The strange visitor", "a new side of you"),
    "a long letter": ("The long letter", "words not yet said"),
    "a flying bird": ("The flying bird", "a new idea"),
    "a silver ring": ("The silver ring", "a promise"),
    "a heavy bag": ("The heavy bag", "an old problem"),
}
PLACES = {
    "in a dark forest": "Your way is not clear yet.",
    "in my first house": "It began long ago.",
    "on a high bridge": "A change is near.",
    "at an empty station": "You waited too long.",
    "in a deep lake": "The answer lies below.",
    "in a strange town": "You meet new people.",
    "on a narrow road": "There is little time.",
    "in a quiet garden": "You found some rest.",
}
FEELINGS = {
    "afraid": "Ask a friend for help.",
    "happy": "Trust your heart.",
    "angry": "Say what you want.",
    "sad": "Give yourself time.",
    "calm": "You are ready.",
    "tired": "Sleep before you choose.",
}
TOLD = [
    "I dreamed of {symbol} {place}, and I was {feeling}.",
    "Last night I saw {symbol} {place} and I felt {feeling}.",
    "In my dream there was {symbol} {place}. I was {feeling}.",
    "I was {place}. There I found {symbol}, and it made me {feeling}.",
]
ROWS = 400


def rows(seed: int) -> list[dict[str, str]]:
    """Return the dreams with their interpretations; no dream comes twice."""
    rng = random.Random(seed + 1)
    every = [(s, p, f) for s in SYMBOLS for p in PLACES for f in FEELINGS]
    made = []
    for symbol, place, feeling in rng.sample(every, ROWS):
        dream = rng.choice(TOLD).format(symbol=symbol, place=place, feeling=feeling)
        what, stands_for = SYMBOLS[symbol]
        made.append({"input": dream, "output": f"{what} stands for {stands_for}. {PLACES[place]} {FEELINGS[feeling]}"})
    return made
