"""The SQL of deliveries; several of one tenant at once, so that a busy worker makes few round trips."""

# OFFSET 0 keeps the planner from reading all of a tenant's rows where it believes that there are few.
# Whoever makes the call says so first: after a crash it is known that there may have been one. Where one may
# have been before, it is repeated only after its provider had the time to tell.
START = """
WITH due AS MATERIALIZED (
  SELECT message_id, part, round, attempts, repeated, started_at, created_at FROM deliveries
  WHERE tenant_id = :tenant AND message_id = ANY(:messages::uuid[]) ORDER BY message_id FOR UPDATE
), begun AS (
  UPDATE deliveries d SET started_at = now(), repeated = d.repeated + (due.started_at IS NOT NULL)::int
  FROM due WHERE d.tenant_id = :tenant AND d.message_id = due.message_id
    AND (due.started_at IS NULL OR due.started_at <= now() - make_interval(secs => :outcome_wait))
  RETURNING d.message_id, d.repeated
)
SELECT due.message_id AS message, due.part, due.round, due.attempts, due.created_at,
  coalesce(begun.repeated, due.repeated) AS repeated, begun.message_id IS NOT NULL AS started,
  coalesce(extract(epoch FROM due.started_at - now())::float8 + :outcome_wait, 0) AS wait,
  m.conversation_id AS conversation, m.text, m.citations, c.language, m.detail,
  p.external_id, coalesce(p.phone, '') AS phone, heard.at AS heard_at,
  ch.tenant_id, ch.id AS channel_id, ch.kind, ch.name, ch.status, ch.settings,
  ch.created_at AS channel_created_at
FROM due LEFT JOIN begun ON begun.message_id = due.message_id
CROSS JOIN LATERAL (
  SELECT * FROM messages WHERE tenant_id = :tenant AND id = due.message_id OFFSET 0) m
CROSS JOIN LATERAL (
  SELECT * FROM conversations WHERE tenant_id = :tenant AND id = m.conversation_id OFFSET 0) c
CROSS JOIN LATERAL (SELECT * FROM contacts WHERE tenant_id = :tenant AND id = c.contact_id OFFSET 0) p
CROSS JOIN LATERAL (SELECT * FROM channels WHERE tenant_id = :tenant AND id = m.channel_id OFFSET 0) ch
LEFT JOIN LATERAL (
  SELECT coalesce(h.provider_at, h.created_at) AS at FROM messages h
  WHERE h.tenant_id = :tenant AND h.conversation_id = m.conversation_id AND h.author = 'customer'
  ORDER BY h.seq DESC LIMIT 1
) heard ON true
"""

# The provider has taken the last part: the delivery is over, its message has a name there, and whatever the
# provider told of that name before counts. A delivery that is over already changes nothing. The job ends
# only under its own lease; that the message was taken is true whoever writes it.
ACCEPT = """
WITH given AS (
  SELECT * FROM unnest(:messages::uuid[], :parts::int[], :providers::text[], :notes::jsonb[])
    AS g(message, part, provider, note)
), over AS (
  DELETE FROM deliveries d USING given g
  WHERE d.tenant_id = :tenant AND d.message_id = g.message AND d.part = g.part
    AND d.message_id = ANY(:messages)
  RETURNING d.message_id, g.provider,
    g.note || CASE WHEN d.repeated > 0 THEN jsonb_build_object('repeated', d.repeated) ELSE '{}' END AS note
), named AS (
  SELECT o.*, m.channel_id FROM over o
  CROSS JOIN LATERAL (SELECT * FROM messages WHERE tenant_id = :tenant AND id = o.message_id OFFSET 0) m
), receipt AS (
  INSERT INTO receipts AS r (tenant_id, channel_id, provider_id, status, at)
  SELECT :tenant, channel_id, provider, 'sent', :now FROM named ORDER BY channel_id, provider
  ON CONFLICT (tenant_id, channel_id, provider_id) DO UPDATE SET status = r.status
  RETURNING channel_id, provider_id, status, detail
), moved AS (
  UPDATE messages m
  SET provider_id = n.provider, status = r.status, detail = (m.detail - 'waiting') || n.note || r.detail
  FROM named n JOIN receipt r ON r.channel_id = n.channel_id AND r.provider_id = n.provider
  WHERE m.tenant_id = :tenant AND m.id = n.message_id AND m.id = ANY(:messages)
  RETURNING m.id, m.conversation_id, m.seq, m.status, m.correlation_id
), told AS (
  INSERT INTO events (tenant_id, kind, subject, data, correlation_id)
  SELECT :tenant, 'message.status', conversation_id,
    jsonb_build_object('message', id, 'status', status), correlation_id FROM moved
), ended AS (
  DELETE FROM jobs USING lanes
  WHERE jobs.id = ANY(:jobs::bigint[]) AND lanes.lane = jobs.lane AND lanes.leased_by = ANY(:owners::text[])
  RETURNING jobs.id AS job
)
SELECT id, conversation_id, seq, NULL::bigint AS job FROM moved
UNION ALL SELECT NULL, NULL, NULL, job FROM ended
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
