"""The SQL of looking through the inbox; the application's role writes it through functions alone."""

_COLUMNS = """i.id, i.channel_id, coalesce(c.name, '') AS channel, i.kind, i.state, i.error AS reason,
  length(i.payload) AS size, i.received_at, i.handled_at, i.correlation_id"""

_FROM = "FROM inbox i LEFT JOIN channels c ON c.tenant_id = i.tenant_id AND c.id = i.channel_id"

# Two statements instead of one with the state as a parameter: each state has a partial index of its own.
_LIST = f"""
SELECT {_COLUMNS} {_FROM}
WHERE i.tenant_id = :tenant AND i.state = '{{state}}' AND (:before::bigint IS NULL OR i.id < :before)
  AND (:reason::text IS NULL OR i.error = :reason) AND (:kind::text IS NULL OR i.kind = :kind)
ORDER BY i.id DESC LIMIT :limit
"""
LIST = {state: _LIST.format(state=state) for state in ("unparsed", "ignored")}

FIND = f"SELECT {_COLUMNS}, i.payload {_FROM} WHERE i.tenant_id = :tenant AND i.id = :id"

REASONS = """
SELECT coalesce(error, '') AS reason, kind, count(*) AS updates, max(received_at) AS latest FROM inbox
WHERE tenant_id = :tenant AND state = 'unparsed' GROUP BY error, kind ORDER BY updates DESC LIMIT :limit
"""

REPLAY = "SELECT replay_update(:id) AS lane"

REPLAY_ALL = "SELECT id, lane FROM replay_updates(:reason, :after, :most)"

# A lane's rows wait in the order of their ids, and a job takes them in that order. Only what waits lies in
# the index of new rows, so that reading all of it costs little.
HELD_LANES = """
SELECT DISTINCT lane FROM inbox WHERE tenant_id = :tenant AND channel_id = :channel AND state = 'new'
"""

HELD = """
SELECT channel_id, count(*) AS updates FROM inbox
WHERE tenant_id = :tenant AND channel_id = ANY(:channels::uuid[]) AND state = 'new' GROUP BY channel_id
"""
