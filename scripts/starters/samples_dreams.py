"""Dreams and what they stand for: the sample data of the seq2seq demo. Written for this project, for play only.

A dream has a symbol, a place and a feeling; the interpretation is put together from what each of them stands for.
The phrases are short and seldom repeat a word: so small a model loops where two like pieces follow each other.
"""

from __future__ import annotations

import random

SYMBOLS = {
    "a black cat": ("The black cat", "a secret"),
    "a white horse": ("The white horse", "the wish to be free"),
    "an old clock": ("The old clock", "lost time"),
    "a broken mirror": ("The broken mirror", "fear"),
    "a closed door": ("The closed door", "a chance"),
    "a golden key": ("The golden key", "the truth"),
    "a burning candle": ("The burning candle", "hope"),
    "a big spider": ("The big spider", "hard work"),
    "a wolf": ("The wolf", "anger"),
    "an empty chair": ("The empty chair", "a lost friend"),
    "a crying child": ("The crying child", "a wish for love"),
    "a strange visitor": ("The strange visitor", "a change"),
    "a long letter": ("The long letter", "hidden words"),
    "a flying bird": ("The flying bird", "a new idea"),
    "a silver ring": ("The silver ring", "a promise"),
    "a heavy bag": ("The heavy bag", "an old problem"),
}
PLACES = {
    "in a dark forest": "Your way is not clear yet.",
    "in my first house": "It began long ago.",
    "on a high bridge": "It ends soon.",
    "at an empty station": "You waited too long.",
    "in a deep lake": "The answer lies below.",
    "in a strange town": "Friends are coming.",
    "on a narrow road": "You must choose now.",
    "in a quiet garden": "You are safe.",
}
FEELINGS = {
    "afraid": "Ask a friend.",
    "happy": "Open the door.",
    "angry": "Speak openly.",
    "sad": "It will pass.",
    "calm": "It is a gift.",
    "tired": "Take a rest.",
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
