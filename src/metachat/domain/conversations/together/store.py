"""The SQL for many conversations of one tenant at once: functions, so that each step is one round trip.

What they do is written beside them (migrations/0015_whole_steps.sql).
"""

from metachat.domain.channels import SENT_BY_PROVIDERS

WAITING = "SELECT lane, waiting_updates(:tenant, lane) AS brought FROM unnest(:lanes::text[]) AS lane"

_RECEIVE = """
SELECT * FROM {step}(:tenant, :now, :longest, :beside, :places, :holder, :lease, :channels::uuid[],
  :externals::text[], :phones::text[], :names::text[], :locales::text[], :contacts::uuid[], :ids::uuid[],
  :messages::uuid[], :texts::text[], :previews::text[], :provider_ids::text[], :provider_ats::timestamptz[],
  :details::jsonb[], :correlations::text[], :quiets::float8[], :arrivals::bigint[], :endings::bigint[],
  :owners::text[])
"""

# For a few of them a loop begins faster.
FEW = 2


def receive(messages: int) -> str:
    """The statement that takes in so many messages."""
    return _RECEIVE_EACH if messages <= FEW else _RECEIVE_ALL


def answer(answers: int) -> str:
    """The statement that commits so many answers."""
    return _ANSWER_EACH if answers <= FEW else _ANSWER_ALL


OPEN = "SELECT id, opened FROM open_conversations(:tenant, :ids::uuid[], :beside)"

_ANSWER = f"""
SELECT * FROM {{step}}(:tenant, :now, :places, :holder, :lease,
  ARRAY{list(SENT_BY_PROVIDERS)}::text[], :ids::uuid[], :messages::uuid[], :texts::text[], :previews::text[],
  :declined::boolean[], :citations::text[], :details::jsonb[], :languages::text[], :correlations::text[],
  :counts::bigint[], :answered::uuid[], :streamed::uuid[], :endings::bigint[], :owners::text[])
"""  # noqa: S608

_RECEIVE_EACH, _RECEIVE_ALL = (_RECEIVE.format(step=step) for step in ("receive_each", "receive_messages"))
_ANSWER_EACH, _ANSWER_ALL = (_ANSWER.format(step=step) for step in ("answer_each", "answer_conversations"))
