"""The SQL of deliveries; several of one tenant at once, so that a busy worker makes few round trips."""

# What they do is written beside them (migrations/0015_whole_steps.sql).
START = "SELECT message, begun FROM begin_deliveries(:tenant, :messages::uuid[], :outcome_wait)"

ACCEPT = """
SELECT * FROM end_deliveries(:tenant, :now, :messages::uuid[], :parts::int[], :providers::text[],
  :notes::jsonb[], :endings::bigint[], :owners::text[])
"""

ACCEPT_PART = """
UPDATE deliveries SET part = part + 1, started_at = NULL, attempts = 0
WHERE tenant_id = :tenant AND message_id = :message AND part = :part
"""

# No call was made after all.
RELEASE = "UPDATE deliveries SET started_at = NULL WHERE tenant_id = :tenant AND message_id = :message"

# What a message waits for is shown with it, and told again only when that has changed.
PUT_OFF = """
WITH put_off AS (
  UPDATE deliveries SET attempts = attempts + 1, started_at = CASE WHEN :unsure THEN now() END
  WHERE tenant_id = :tenant AND message_id = :message RETURNING message_id
)
UPDATE messages m SET detail = m.detail || jsonb_build_object('waiting', :waiting::jsonb)
FROM put_off WHERE m.tenant_id = :tenant AND m.id = put_off.message_id
  AND m.detail->'waiting' IS DISTINCT FROM :waiting::jsonb
RETURNING m.id, m.conversation_id, m.seq
"""

FAIL = """
WITH over AS (
  DELETE FROM deliveries WHERE tenant_id = :tenant AND message_id = :message RETURNING message_id
)
UPDATE messages m
SET status = 'failed', detail = (m.detail - 'waiting') || jsonb_build_object('failed', :failed::jsonb)
FROM over WHERE m.tenant_id = :tenant AND m.id = over.message_id
RETURNING m.id, m.conversation_id, m.seq
"""

# A status came for a message whose acceptance never reached us.
ADOPT = """
WITH over AS (
  DELETE FROM deliveries d USING messages m
  WHERE d.tenant_id = :tenant AND d.message_id = :message AND d.part = :part AND d.round = :round
    AND m.tenant_id = :tenant AND m.id = :message AND m.channel_id = :channel
  RETURNING d.message_id, d.repeated
)
UPDATE messages m SET provider_id = :provider_id, status = 'sent', detail = (m.detail - 'waiting')
  || CASE WHEN over.repeated > 0 THEN jsonb_build_object('repeated', over.repeated) ELSE '{}' END
FROM over WHERE m.tenant_id = :tenant AND m.id = over.message_id RETURNING m.id
"""

ADOPT_PART = """
UPDATE deliveries d SET part = d.part + 1, started_at = NULL, attempts = 0 FROM messages m
WHERE d.tenant_id = :tenant AND d.message_id = :message AND d.part = :part AND d.round = :round
  AND m.tenant_id = :tenant AND m.id = :message AND m.channel_id = :channel
RETURNING d.message_id AS id
"""

# Each limit's row is changed once for all messages of this worker that wait for it. Places are given up to
# `ahead` seconds before their time: the first of them comes `wait` seconds from now, each next one a `pause`
# later; what has come already may be used at once.
TAKE = """
INSERT INTO paces AS p (key, due, pause, burst, granted)
SELECT key, extract(epoch FROM statement_timestamp())::float8 + granted * pause, pause, burst, granted
FROM (
  SELECT *, least(wanted, burst + floor(:ahead / pause)::int) AS granted
  FROM unnest(:keys::text[], :pauses::float8[], :bursts::int[], :wanted::int[])
    AS w(key, pause, burst, wanted)
) first ORDER BY key
ON CONFLICT (key) DO UPDATE SET (due, pause, burst, granted) = (
  SELECT base + excluded.pause * granted, excluded.pause, excluded.burst, granted FROM (
    SELECT base, least(excluded.granted, greatest(0,
      floor((now + :ahead::float8 - base) / excluded.pause + excluded.burst + 1e-6)))::int AS granted
    FROM (
      SELECT now, greatest(p.due, now) AS base
      FROM (SELECT extract(epoch FROM statement_timestamp())::float8 AS now) clock
    ) based
  ) shared
)
RETURNING key, granted, due - (granted + burst - 1) * pause
  - extract(epoch FROM statement_timestamp())::float8 AS wait
"""

GIVE_BACK = """
WITH held AS MATERIALIZED (
  SELECT p.key, g.count
  FROM paces p JOIN unnest(:keys::text[], :counts::int[]) AS g(key, count) ON g.key = p.key
  ORDER BY p.key FOR UPDATE OF p
)
UPDATE paces p SET due = p.due - held.count * p.pause FROM held WHERE p.key = held.key
"""

FORGET_PACES = "DELETE FROM paces WHERE due < extract(epoch FROM now()) - 86400"

# In steps, so that a large backlog of old rows holds nothing up for long; a policy of its own shows them.
FORGET_RECEIPTS = """
DELETE FROM receipts r USING (
  SELECT tenant_id, channel_id, provider_id FROM receipts WHERE at < now() - interval '30 days' LIMIT 5000
) old
WHERE r.tenant_id = old.tenant_id AND r.channel_id = old.channel_id AND r.provider_id = old.provider_id
"""

# Shown by a policy of its own, whosesoever they are. A message that is sent anew has a job again.
LOST = """
SELECT d.tenant_id, d.message_id FROM deliveries d
WHERE d.created_at < now() - interval '10 minutes'
  AND NOT EXISTS (SELECT FROM jobs j
    WHERE j.kind = 'deliver' AND j.tenant_id = d.tenant_id AND j.payload->>'message' = d.message_id::text)
LIMIT 500
"""
