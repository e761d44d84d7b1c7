"""The SQL for many conversations of one tenant at once: functions, so that each step is one round trip.

What they do is written beside them (migrations/0015_whole_steps.sql).
"""

from metachat.domain.channels import SENT_BY_PROVIDERS

WAITING = "SELECT lane, bring('inbox', :tenant, lane) AS brought FROM unnest(:lanes::text[]) AS lane"

RECEIVE = """
SELECT * FROM receive_messages(:tenant, :now, :longest, :beside, :places, :holder, :lease, :channels::uuid[],
  :externals::text[], :phones::text[], :names::text[], :locales::text[], :contacts::uuid[], :ids::uuid[],
  :messages::uuid[], :texts::text[], :previews::text[], :provider_ids::text[], :provider_ats::timestamptz[],
  :details::jsonb[], :correlations::text[], :quiets::float8[], :arrivals::bigint[], :endings::bigint[],
  :lanes::text[], :owners::text[])
"""

OPEN = "SELECT id, opened FROM open_conversations(:tenant, :ids::uuid[], :beside)"

ANSWER = f"""
SELECT * FROM answer_conversations(:tenant, :now, :places, :holder, :lease,
  ARRAY{list(SENT_BY_PROVIDERS)}::text[], :ids::uuid[], :messages::uuid[], :texts::text[], :previews::text[],
  :declined::boolean[], :citations::text[], :details::jsonb[], :languages::text[], :correlations::text[],
  :counts::bigint[], :answered::uuid[], :streamed::uuid[], :endings::bigint[], :lanes::text[],
  :owners::text[])
"""  # noqa: S608
