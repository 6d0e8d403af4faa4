"""A classifier: one of its labels for any text. A real one would ask a model that runs in this process."""

from __future__ import annotations

from engine.core.plugins import ClassifierPlugin

GOOD = {"great", "good", "love", "thanks", "perfect", "happy"}
BAD = {"bad", "angry", "broken", "terrible", "worse", "never"}


def classify(text: str, locale: str) -> str:
    del locale  # these words are English
    words = {word.strip(".,!?").lower() for word in text.split()}
    balance = len(words & GOOD) - len(words & BAD)
    return "positive" if balance > 0 else "negative" if balance < 0 else "neutral"


PLUGIN = ClassifierPlugin("sentiment", ("positive", "negative", "neutral"), classify)
