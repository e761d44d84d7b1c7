"""The SQL of channels' traffic and of findings."""

# Whoever holds this row folds; the time of the database, so that no two hosts disagree.
PROGRESS = """
SELECT until, past, now() - make_interval(secs => :settled) AS cutoff FROM traffic_progress FOR UPDATE
"""

# Time says what is counted, each moment once; ids only make it quick. A doctor's own knock is no traffic.
ARRIVED = """
SELECT tenant_id, channel_id, floor(extract(epoch FROM received_at) / :slot)::bigint AS slot,
  max(received_at) AS last FROM inbox
WHERE id > :past AND received_at >= :until AND received_at < :cutoff
  AND tenant_id IS NOT NULL AND channel_id IS NOT NULL AND correlation_id IS DISTINCT FROM :knock
GROUP BY tenant_id, channel_id, slot ORDER BY last
"""

# Ids are handed out a little before or after the moment that counts, hence the slack.
ADVANCE = """
UPDATE traffic_progress SET until = :cutoff, past = greatest(past,
  coalesce((SELECT max(id) FROM inbox WHERE id > :past AND received_at < :cutoff), 0) - :slack)
"""

_COLUMNS = "tenant_id, channel_id, last_update_at, hour, hours, silent"

OF_CHANNELS = f"SELECT {_COLUMNS} FROM channel_traffic WHERE channel_id = ANY(:channels::uuid[])"  # noqa: S608

KEEP = """
INSERT INTO channel_traffic (tenant_id, channel_id, last_update_at, hour, hours)
VALUES (:tenant_id, :channel_id, :last_update_at, :hour, :hours)
ON CONFLICT (tenant_id, channel_id) DO UPDATE
SET last_update_at = excluded.last_update_at, hour = excluded.hour, hours = excluded.hours
"""

QUIET = f"SELECT {_COLUMNS} FROM channel_traffic WHERE last_update_at < :before"  # noqa: S608

SET_SILENT = """
UPDATE channel_traffic SET silent = :silent WHERE tenant_id = :tenant AND channel_id = :channel
"""

LAST_UPDATES = """
SELECT channel_id, last_update_at FROM channel_traffic
WHERE tenant_id = :tenant AND channel_id = ANY(:channels::uuid[])
"""

# Younger than what the job has counted: the last minutes lie together at the end of the inbox.
JUST_NOW = """
SELECT max(received_at) FROM inbox
WHERE tenant_id = :tenant AND channel_id = :channel AND received_at > now() - interval '5 minutes'
  AND correlation_id IS DISTINCT FROM :knock
"""

RECEIPT = """
SELECT status, detail FROM receipts WHERE tenant_id = :tenant AND channel_id = :channel AND provider_id = :id
"""

# One open finding of a kind a subject; and none about a channel that somebody paused.
RAISE = """
INSERT INTO findings (tenant_id, id, kind, subject, since, detail)
SELECT :tenant, :id::uuid, :kind::text, :subject, :since::timestamptz,
  :detail::jsonb || jsonb_build_object('channel', name, 'channel_kind', kind)
FROM channels WHERE tenant_id = :tenant AND id = :subject AND status = 'active'
ON CONFLICT (tenant_id, kind, subject) WHERE resolved_at IS NULL DO NOTHING
"""

RESOLVE = """
UPDATE findings SET resolved_at = now()
WHERE tenant_id = :tenant AND kind = :kind AND subject = :subject AND resolved_at IS NULL
"""

RESOLVE_TROUBLES = """
UPDATE findings SET resolved_at = now()
WHERE tenant_id = :tenant AND kind LIKE :kind AND subject = :subject AND resolved_at IS NULL
"""

# Whoever is the operator of the platform sees all; the rows are revealed by metachat.operator.
AS_OPERATOR = "SELECT set_config('metachat.operator', 'on', true)"

OPEN_EVERYWHERE = """
SELECT f.id, f.kind, f.subject, f.since, f.detail, f.found_at, f.resolved_at, t.slug AS tenant
FROM findings f JOIN tenants t ON t.tenant_id = f.tenant_id
WHERE f.resolved_at IS NULL ORDER BY f.found_at DESC LIMIT 200
"""

OPEN = """
SELECT id, kind, subject, since, detail, found_at, resolved_at FROM findings
WHERE tenant_id = :tenant AND resolved_at IS NULL ORDER BY found_at DESC LIMIT 200
"""
