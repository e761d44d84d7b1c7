"""The SQL for many conversations of one tenant at once; rows are locked in the order of their names or ids.

OFFSET 0 keeps the planner at looking rows up one by one, and so does naming all ids of a statement again.
"""

from metachat.domain.channels import SENT_BY_PROVIDERS

# Two of each lane: whoever has more than one is not plain. With the channel as it is now.
WAITING = """
SELECT waiting.*, ch.name, ch.status, ch.settings, ch.created_at
FROM unnest(:lanes::text[]) AS asked(lane) CROSS JOIN LATERAL (
  SELECT id, lane, channel_kind, channel_id, kind, payload, correlation_id, received_at FROM inbox
  WHERE inbox.lane = asked.lane AND state = 'new' ORDER BY id LIMIT 2 FOR UPDATE
) waiting CROSS JOIN LATERAL (
  SELECT name, status, settings, created_at FROM channels
  WHERE tenant_id = :tenant AND id = waiting.channel_id AND kind = waiting.channel_kind OFFSET 0
) ch
"""

# The current conversation of those who are known by exactly this name, and by no other one beside it.
CURRENT = """
SELECT asked.place, latest.id FROM
  unnest(:places::int[], :channels::uuid[], :externals::text[], :phones::text[])
    AS asked(place, channel, external, phone)
CROSS JOIN LATERAL (
  SELECT id, phone FROM contacts
  WHERE tenant_id = :tenant AND channel_id = asked.channel AND external_id = asked.external OFFSET 0
) known
CROSS JOIN LATERAL (
  SELECT id FROM conversations WHERE tenant_id = :tenant AND contact_id = known.id ORDER BY id DESC LIMIT 1
) latest
WHERE asked.phone IN ('', asked.external, known.phone) AND NOT EXISTS (
  SELECT FROM contacts other WHERE other.tenant_id = :tenant AND other.channel_id = asked.channel
    AND other.phone = asked.phone AND other.external_id <> asked.external
)
"""

# Contacts and conversations of those whom nobody knows by any of their names. Whoever is made known by
# another worker in the same moment is left to the next look.
BEGIN = """
WITH asked AS MATERIALIZED (
  SELECT * FROM unnest(:places::int[], :contacts::uuid[], :ids::uuid[], :channels::uuid[],
    :externals::text[], :phones::text[], :names::text[], :locales::text[], :correlations::text[])
  AS asked(place, contact, id, channel, external, phone, name, locale, correlation)
), known AS (
  INSERT INTO contacts (tenant_id, id, channel_id, external_id, name, locale, phone)
  SELECT :tenant, contact, channel, external, name, locale, nullif(nullif(phone, ''), external)
  FROM asked WHERE NOT EXISTS (
    SELECT FROM contacts other WHERE other.tenant_id = :tenant AND other.channel_id = asked.channel
      AND other.external_id IN (asked.external, asked.phone)
  ) AND NOT EXISTS (
    SELECT FROM contacts other WHERE other.tenant_id = :tenant AND other.channel_id = asked.channel
      AND other.phone = asked.phone
  ) ORDER BY channel, external
  ON CONFLICT (tenant_id, channel_id, external_id) DO NOTHING
  RETURNING id
), begun AS (
  INSERT INTO conversations (tenant_id, id, channel_id, contact_id)
  SELECT :tenant, asked.id, channel, contact FROM asked JOIN known ON known.id = asked.contact
  RETURNING id
), told AS (
  INSERT INTO events (tenant_id, kind, subject, data, correlation_id)
  SELECT :tenant, 'conversation.created', id, jsonb_build_object('channel', channel), correlation
  FROM asked JOIN begun USING (id)
)
SELECT place, id FROM asked JOIN begun USING (id)
"""

# A customer's message each, its event, the assistant's turn, the mark of its update and the end of its job.
# Conversations that are closed are not held, and nothing happens there.
RECEIVE = """
WITH asked AS MATERIALIZED (
  SELECT * FROM unnest(:ids::uuid[], :messages::uuid[], :texts::text[], :previews::text[],
    :provider_ids::text[], :provider_ats::timestamptz[], :details::jsonb[], :correlations::text[],
    :quiets::float8[], :arrivals::bigint[], :jobs::bigint[])
  AS asked(id, message, text, preview, provider_id, provider_at, detail, correlation, quiet, arrival, job)
), held AS MATERIALIZED (
  SELECT * FROM conversations
  WHERE tenant_id = :tenant AND id = ANY(:ids) AND state <> 'closed' ORDER BY id FOR UPDATE
), added AS (
  INSERT INTO messages (tenant_id, id, conversation_id, channel_id, seq, author, text, provider_id, status,
    detail, correlation_id, provider_at, created_at)
  SELECT held.tenant_id, message, held.id, held.channel_id, held.last_seq + 1, 'customer', text, provider_id,
    'received', detail, correlation, provider_at, :now
  FROM held JOIN asked USING (id)
  ON CONFLICT (tenant_id, channel_id, provider_id) WHERE provider_id IS NOT NULL DO NOTHING
  RETURNING id, conversation_id, seq
), counted AS (
  UPDATE conversations c SET last_seq = added.seq, last_text = asked.preview, updated_at = :now
  FROM added JOIN asked ON asked.message = added.id
  WHERE c.tenant_id = :tenant AND c.id = added.conversation_id AND c.id = ANY(:ids)
), told AS (
  INSERT INTO events (tenant_id, kind, subject, data, correlation_id)
  SELECT :tenant, 'message.received', added.conversation_id, jsonb_build_object('message', added.id),
    asked.correlation
  FROM added JOIN asked ON asked.message = added.id
), turns AS MATERIALIZED (
  SELECT held.id, 'conversation:' || held.id AS lane, jsonb_build_object('conversation', held.id) AS payload,
    asked.correlation, asked.quiet
  FROM held JOIN asked USING (id) JOIN added ON added.id = asked.message WHERE held.state = 'assistant'
), soon AS (
  INSERT INTO jobs (lane, kind, tenant_id, payload, correlation_id)
  SELECT lane, 'turn', :tenant, payload, correlation FROM turns WHERE quiet = 0
), later AS MATERIALIZED (
  SELECT id, debounce(lane, 'turn', :tenant, payload, correlation, 'turn:' || id, quiet, quiet * :longest)
    AS after
  FROM turns WHERE quiet > 0
), marked AS (
  UPDATE inbox SET state = 'parsed', error = NULL, handled_at = now()
  FROM held JOIN asked USING (id)
  WHERE inbox.id = asked.arrival AND inbox.id = ANY(:arrivals) AND inbox.state = 'new'
), ended AS (
  DELETE FROM jobs USING lanes, held JOIN asked USING (id)
  WHERE jobs.id = asked.job AND jobs.id = ANY(:jobs)
    AND lanes.lane = jobs.lane AND lanes.leased_by = ANY(:owners::text[])
  RETURNING jobs.id
)
SELECT held.id AS held, held.state, later.after, asked.job IN (SELECT id FROM ended) AS ended, added.id,
  added.seq
FROM held JOIN asked USING (id)
LEFT JOIN added ON added.id = asked.message
LEFT JOIN later ON later.id = held.id
"""

LOCK = """
SELECT id FROM conversations WHERE tenant_id = :tenant AND id = ANY(:ids::uuid[]) ORDER BY id FOR UPDATE
"""

# An answer each, to all of its messages or to none. A statement of its own after LOCK: only a new snapshot
# surely sees what the holder before has answered. Drafts end either way.
_ANSWERED = f"""
WITH asked AS MATERIALIZED (
  SELECT * FROM unnest(:ids::uuid[], :messages::uuid[], :texts::text[], :previews::text[],
    :declined::boolean[], :citations::text[], :details::jsonb[], :languages::text[],
    :correlations::text[], :counts::bigint[])
  AS asked(id, message, text, preview, declined, citations, detail, language, correlation, count)
), open AS MATERIALIZED (
  SELECT m.id, m.conversation_id FROM messages m
  WHERE m.tenant_id = :tenant AND m.id = ANY(:answered::uuid[]) AND m.answered_by IS NULL
), held AS MATERIALIZED (
  SELECT c.*, ch.kind FROM asked
  CROSS JOIN LATERAL (
    SELECT * FROM conversations WHERE tenant_id = :tenant AND id = asked.id AND state = 'assistant' OFFSET 0
  ) c
  CROSS JOIN LATERAL (SELECT kind FROM channels WHERE tenant_id = :tenant AND id = c.channel_id OFFSET 0) ch
  WHERE asked.count = (SELECT count(*) FROM open WHERE open.conversation_id = c.id)
), dropped AS (
  DELETE FROM drafts WHERE tenant_id = :tenant AND conversation_id = ANY(:streamed::uuid[])
), marked AS (
  UPDATE messages m SET answered_by = asked.message
  FROM open JOIN held ON held.id = open.conversation_id JOIN asked ON asked.id = held.id
  WHERE m.tenant_id = :tenant AND m.id = open.id AND m.id = ANY(:answered)
), added AS (
  INSERT INTO messages (tenant_id, id, conversation_id, channel_id, seq, author, text, status, declined,
    citations, detail, correlation_id, created_at)
  SELECT held.tenant_id, asked.message, held.id, held.channel_id, held.last_seq + 1, 'assistant', asked.text,
    CASE WHEN held.kind = ANY(ARRAY{list(SENT_BY_PROVIDERS)}) THEN 'queued' ELSE 'sent' END,
    asked.declined, asked.citations::jsonb, asked.detail, asked.correlation, :now
  FROM held JOIN asked USING (id)
  RETURNING id, conversation_id, seq, status, correlation_id
), counted AS (
  UPDATE conversations c SET last_seq = added.seq, last_text = asked.preview, updated_at = :now,
    language = coalesce(asked.language, c.language)
  FROM added JOIN asked ON asked.message = added.id
  WHERE c.tenant_id = :tenant AND c.id = added.conversation_id AND c.id = ANY(:ids)
), told AS (
  INSERT INTO events (tenant_id, kind, subject, data, correlation_id)
  SELECT :tenant, 'message.sent', conversation_id,
    jsonb_build_object('message', id, 'author', 'assistant'), correlation_id
  FROM added
), outgoing AS (
  INSERT INTO deliveries (tenant_id, message_id, created_at)
  SELECT :tenant, id, :now FROM added WHERE status = 'queued'
), carried AS (
  INSERT INTO jobs (lane, kind, tenant_id, payload, correlation_id)
  SELECT 'delivery:' || conversation_id, 'deliver', :tenant, jsonb_build_object('message', id), correlation_id
  FROM added WHERE status = 'queued'
)
"""  # noqa: S608

ANSWER = f"{_ANSWERED} SELECT id, seq, status, NULL::bigint AS job FROM added"  # noqa: S608

# With the ends of the jobs, for those whose role may end any.
ANSWER_AND_END = f"""
{_ANSWERED}, ended AS (
  DELETE FROM jobs USING lanes
  WHERE jobs.id = ANY(:jobs::bigint[]) AND lanes.lane = jobs.lane AND lanes.leased_by = ANY(:owners::text[])
  RETURNING jobs.id AS job
)
SELECT id, seq, status, NULL::bigint AS job FROM added
UNION ALL SELECT NULL, NULL, NULL, job FROM ended
"""  # noqa: S608
