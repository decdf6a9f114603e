"""Dreams and what they stand for: the sample data of the seq2seq demo. Written for this project, for play only.

A dream has a symbol, a place and a feeling; the interpretation is put together from what each of them stands for.
"""

from __future__ import annotations

import random

SYMBOLS = {
    "a snake": ("The snake", "a hidden fear"),
    "a black cat": ("The black cat", "a secret that you keep"),
    "a white horse": ("The white horse", "a wish to be free"),
    "an old clock": ("The old clock", "time that you have lost"),
    "a broken mirror": ("The broken mirror", "a doubt about yourself"),
    "a locked door": ("The locked door", "a chance that is not yet open"),
    "a golden key": ("The golden key", "an answer that you already have"),
    "a burning candle": ("The burning candle", "hope in a hard time"),
    "a big spider": ("The big spider", "work that ties you down"),
    "a wolf": ("The wolf", "a strong feeling that you hold back"),
    "an empty chair": ("The empty chair", "a person whom you miss"),
    "a red balloon": ("The red balloon", "a joy of your childhood"),
    "a crying child": ("The crying child", "a need that nobody heard"),
    "an unknown guest": ("The unknown guest", "a new side of yourself"),
    "a long letter": ("The long letter", "words that you have not said"),
    "a lost shoe": ("The lost shoe", "a step that you dare not take"),
    "a flying bird": ("The flying bird", "an idea that wants to grow"),
    "a falling star": ("The falling star", "a wish that came too late"),
    "a silver ring": ("The silver ring", "a promise that you made"),
    "a heavy suitcase": ("The heavy suitcase", "an old worry that you carry"),
}
PLACES = {
    "in a dark forest": "your way is not clear yet",
    "in the house of my childhood": "it began long ago",
    "on a high bridge": "a change is near",
    "at an empty station": "you have waited too long",
    "in a deep lake": "the answer lies below the surface",
    "in a strange town": "you are among new people",
    "on a narrow road": "there is little time to choose",
    "in a quiet garden": "you have found some rest",
    "in a crowded market": "too many people want something from you",
    "at my old school": "there is still something to learn",
}
FEELINGS = {
    "afraid": "Go slowly and ask a friend for help.",
    "happy": "Trust your heart and go on.",
    "angry": "Say openly what you want.",
    "sad": "Give yourself time to say goodbye.",
    "calm": "You are ready for what comes.",
    "ashamed": "Forgive yourself, for nobody is perfect.",
    "curious": "Try the thing that you have put off.",
    "tired": "Rest before you decide.",
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
        made.append({"input": dream, "output": f"{what} stands for {stands_for}, and {PLACES[place]}. {FEELINGS[feeling]}"})
    return made
