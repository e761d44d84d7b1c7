"""Answers customers from a company's documents, each statement with its proof."""

from metachat.domain.assistant.actions import Search, profile, respond, set_profile
from metachat.domain.assistant.model import (
    Answer,
    Answerer,
    AnswerRequest,
    Citation,
    Claim,
    Final,
    ModelFailed,
    Piece,
    Profile,
    Question,
    Source,
    Text,
    Turn,
    Usage,
)

__all__ = [
    "Answer",
    "AnswerRequest",
    "Answerer",
    "Citation",
    "Claim",
    "Final",
    "ModelFailed",
    "Piece",
    "Profile",
    "Question",
    "Search",
    "Source",
    "Text",
    "Turn",
    "Usage",
    "profile",
    "respond",
    "set_profile",
]
