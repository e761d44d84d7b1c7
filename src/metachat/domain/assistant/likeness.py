"""What an embedding model's similarities mean: each model has a scale of its own."""

import asyncio
from dataclasses import dataclass

from metachat.domain.knowledge import Embedder

# Questions and their answers, of no company in particular; each answers its own question and no other.
_PAIRS = (
    ("How long does a parcel take?", "A parcel takes two to three days to arrive."),
    ("When is the library open?", "The library is open from nine to five on weekdays."),
    ("How do I reset my password?", "To reset your password, choose Forgotten password on the sign-in page."),
    ("Which meals contain nuts?", "The cake and the salad contain nuts."),
    ("Wie melde ich mich zum Kurs an?", "Zum Kurs melden Sie sich über das Formular an."),
    ("Gdje mogu parkirati auto?", "Auto možete parkirati na parkiralištu iza zgrade."),
)


@dataclass(frozen=True, slots=True)
class Scale:
    """The usual similarity of a question to a text that has nothing to do with it, and to its answer."""

    unrelated: float
    related: float

    def place(self, similarity: float) -> float:
        """Gives 0 for unrelated and 1 for related, linear between and beyond."""
        return (similarity - self.unrelated) / max(self.related - self.unrelated, 0.01)


# Measured once by `measure`, so that the first question of a process need not wait for it.
_KNOWN = {"multilingual-e5-small-q4": Scale(unrelated=0.751, related=0.890)}


async def scale_of(embedder: Embedder) -> Scale:
    """Gives a model's scale, measured where it is not known."""
    return _KNOWN.get(embedder.name) or await measure(embedder)


async def measure(embedder: Embedder) -> Scale:
    """Measures a model's scale on questions and answers of ours: some 100 ms, or two calls over a network."""
    questions = await asyncio.gather(*(embedder.embed_query(question) for question, _ in _PAIRS))
    answers = await embedder.embed_passages([answer for _, answer in _PAIRS])
    related = [float(q @ a) for q, a in zip(questions, answers, strict=True)]
    unrelated = [
        float(q @ a)
        for asked, q in enumerate(questions)
        for answering, a in enumerate(answers)
        if asked != answering
    ]
    return Scale(sum(unrelated) / len(unrelated), sum(related) / len(related))
