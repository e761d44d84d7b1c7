"""Conversations: what customers, the assistant and the team say to each other, and who is to answer."""

from metachat.domain.conversations.actions import (
    LONGEST_BURST,
    agent_reply,
    close,
    end,
    find,
    hand_off,
    message_id,
    receive,
    receive_in,
    release,
    start,
)
from metachat.domain.conversations.enclosing import FILELESS, FilelessChannel, agent_sends
from metachat.domain.conversations.escalation import asks_for_person
from metachat.domain.conversations.model import (
    Conversation,
    ConversationClosed,
    ConversationNotFound,
    Draft,
    EmptyMessage,
    Gathered,
    Message,
    MessageTooLong,
    NotAMember,
    Reply,
    State,
    in_order,
    spoken_language,
)
from metachat.domain.conversations.phrases import say
from metachat.domain.conversations.progress import advance
from metachat.domain.conversations.reading import Cursor, Tally, cited, list_conversations, tally, transcript
from metachat.domain.conversations.resending import MessageNotFound, NotFailed, resend
from metachat.domain.conversations.turns import answer, apologise, find_draft, gather, pass_on, save_draft
from metachat.domain.conversations.wordless import acknowledge

__all__ = [
    "FILELESS",
    "LONGEST_BURST",
    "Conversation",
    "ConversationClosed",
    "ConversationNotFound",
    "Cursor",
    "Draft",
    "EmptyMessage",
    "FilelessChannel",
    "Gathered",
    "Message",
    "MessageNotFound",
    "MessageTooLong",
    "NotAMember",
    "NotFailed",
    "Reply",
    "State",
    "Tally",
    "acknowledge",
    "advance",
    "agent_reply",
    "agent_sends",
    "answer",
    "apologise",
    "asks_for_person",
    "cited",
    "close",
    "end",
    "find",
    "find_draft",
    "gather",
    "hand_off",
    "in_order",
    "list_conversations",
    "message_id",
    "pass_on",
    "receive",
    "receive_in",
    "release",
    "resend",
    "save_draft",
    "say",
    "spoken_language",
    "start",
    "tally",
    "transcript",
]
