"""The SQL of conversations; every statement names its tenant, and row-level security stands behind it."""

from metachat.domain.channels import SENT_BY_PROVIDERS

_CONVERSATION = """
c.tenant_id, c.id, c.channel_id, c.contact_id, p.external_id, p.name AS contact_name, p.locale,
c.state, c.owner_id, c.language, c.last_seq, c.last_text, c.created_at, c.updated_at
"""
_WITH_CONTACT = """
FROM conversations c JOIN contacts p ON p.tenant_id = c.tenant_id AND p.id = c.contact_id
"""
_MESSAGE = """
id, conversation_id, seq, author, author_id, text, provider_id, status, declined, citations, detail,
answered_by, provider_at, created_at
"""
_QUIET = "ch.kind, ch.settings -> 'quiet_seconds' AS quiet"


# Who writes again keeps the name and locale known of them, unless the channel now tells better.
ADD_CONTACT = """
INSERT INTO contacts (tenant_id, id, channel_id, external_id, name, locale)
VALUES (:tenant, :id, :channel, :external, :name, :locale)
ON CONFLICT (tenant_id, channel_id, external_id) DO UPDATE SET
  name = coalesce(nullif(excluded.name, ''), contacts.name),
  locale = coalesce(excluded.locale, contacts.locale)
RETURNING id
"""

ADD_CONVERSATION = """
INSERT INTO conversations (tenant_id, id, channel_id, contact_id) VALUES (:tenant, :id, :channel, :contact)
"""

FIND = f"SELECT {_CONVERSATION} {_WITH_CONTACT} WHERE c.tenant_id = :tenant AND c.id = :id"

# A contact has one current conversation in a channel: the latest.
LATEST_OF = """
SELECT c.id FROM conversations c WHERE c.tenant_id = :tenant AND c.contact_id = (
  SELECT id FROM contacts WHERE tenant_id = :tenant AND channel_id = :channel AND external_id = :external)
ORDER BY c.id DESC LIMIT 1
"""

# Whoever changes a conversation holds its row: sequence numbers, states and answers come one at a time.
LOCK = f"""
SELECT {_CONVERSATION} {_WITH_CONTACT} WHERE c.tenant_id = :tenant AND c.id = :id FOR UPDATE OF c
"""

# Newest activity first; the cursor is the last row's (updated_at, id). Trials stay out of the inbox.
RECENT = f"""
SELECT {_CONVERSATION} {_WITH_CONTACT} JOIN channels ch ON ch.tenant_id = c.tenant_id AND ch.id = c.channel_id
WHERE c.tenant_id = :tenant AND ch.kind <> 'test' AND c.last_seq > 0
  AND (:state::text IS NULL OR c.state = :state)
  AND (:text::text IS NULL OR p.name ILIKE :text OR EXISTS (
    SELECT FROM messages m WHERE m.tenant_id = :tenant AND m.conversation_id = c.id AND m.text ILIKE :text))
  AND (:before_at::timestamptz IS NULL OR (c.updated_at, c.id) < (:before_at, :before_id))
ORDER BY c.updated_at DESC, c.id DESC LIMIT :limit
"""  # noqa: S608

# Open ones and those that wait, without trials; and whether anybody has asked anything, trials included.
TALLY = """
SELECT count(*) FILTER (WHERE ch.kind <> 'test' AND c.state <> 'closed') AS open,
  count(*) FILTER (WHERE ch.kind <> 'test' AND c.state = 'waiting') AS waiting,
  count(*) > 0 AS asked
FROM conversations c JOIN channels ch ON ch.tenant_id = c.tenant_id AND ch.id = c.channel_id
WHERE c.tenant_id = :tenant AND c.last_seq > 0
"""

_BY_PROVIDERS = ", ".join(f"'{kind}'" for kind in SENT_BY_PROVIDERS)

# A message, its number, and the event that tells of it (none for our own notices), for whoever holds the
# conversation. A second delivery (same provider_id) changes nothing. What we say where a provider delivers
# is queued for it in the same statement: none is ever said and not sent.
_ADDED = f"""
added AS (
  INSERT INTO messages (tenant_id, id, conversation_id, channel_id, seq, author, author_id, text, provider_id,
    status, declined, citations, detail, correlation_id, provider_at, created_at)
  SELECT tenant_id, :message, id, channel_id, last_seq + 1, :author, :author_id, :text, :provider_id,
    CASE WHEN :author::text <> 'customer' AND :provider_id::text IS NULL AND (
      SELECT ch.kind FROM channels ch WHERE ch.tenant_id = held.tenant_id AND ch.id = held.channel_id
    ) IN ({_BY_PROVIDERS}) THEN 'queued' ELSE :status END,
    :declined, :citations, :detail, :correlation, :provider_at, :now
  FROM held
  ON CONFLICT (tenant_id, channel_id, provider_id) WHERE provider_id IS NOT NULL DO NOTHING
  RETURNING {_MESSAGE}
), counted AS (
  UPDATE conversations c SET last_seq = added.seq, last_text = :preview, updated_at = :now,
    language = coalesce(:language, c.language)
  FROM added WHERE c.tenant_id = :tenant AND c.id = :id
), told AS (
  INSERT INTO events (tenant_id, kind, subject, data, correlation_id)
  SELECT :tenant, CASE author WHEN 'customer' THEN 'message.received' ELSE 'message.sent' END, :id,
    jsonb_build_object('message', id)
      || CASE author WHEN 'customer' THEN '{{}}' ELSE jsonb_build_object('author', author) END,
    :correlation
  FROM added WHERE author <> 'system'
), outgoing AS (
  INSERT INTO deliveries (tenant_id, message_id, created_at)
  SELECT :tenant, id, :now FROM added WHERE status = 'queued'
), carried AS (
  INSERT INTO jobs (lane, kind, tenant_id, payload, correlation_id)
  SELECT 'delivery:' || conversation_id, 'deliver', :tenant, jsonb_build_object('message', id), :correlation
  FROM added WHERE status = 'queued'
)
"""  # noqa: S608

# Takes the lock itself: its row is the newest one even where it had to wait for another transaction. No row
# means that there is no conversation; one without a message's id, that the message was delivered before.
RECEIVE = f"""
WITH held AS MATERIALIZED (
  SELECT * FROM conversations WHERE tenant_id = :tenant AND id = :id FOR UPDATE
), {_ADDED}
SELECT held.state, {_QUIET}, added.*
FROM held JOIN channels ch ON ch.tenant_id = held.tenant_id AND ch.id = held.channel_id
LEFT JOIN added ON true
"""  # noqa: S608

ADD_MESSAGE = f"""
WITH held AS (SELECT * FROM conversations WHERE tenant_id = :tenant AND id = :id), {_ADDED}
SELECT * FROM added
"""  # noqa: S608

FIND_DELIVERED = f"""
SELECT {_MESSAGE} FROM messages
WHERE tenant_id = :tenant AND provider_id = :provider_id AND conversation_id = :id
  AND channel_id = (SELECT channel_id FROM conversations WHERE tenant_id = :tenant AND id = :id)
"""  # noqa: S608

SET_STATE = """
UPDATE conversations SET state = :state, owner_id = :owner, updated_at = :now
WHERE tenant_id = :tenant AND id = :id
"""

SET_LANGUAGE = "UPDATE conversations SET language = :language WHERE tenant_id = :tenant AND id = :id"

MESSAGES_AFTER = f"""
SELECT {_MESSAGE} FROM messages
WHERE tenant_id = :tenant AND conversation_id = :id AND seq > :after ORDER BY seq LIMIT :limit
"""  # noqa: S608

MARK_ALL_ANSWERED = """
UPDATE messages SET answered_by = :reply
WHERE tenant_id = :tenant AND conversation_id = :id AND author = 'customer' AND answered_by IS NULL
"""

MARK_ANSWERED = f"{MARK_ALL_ANSWERED} AND id = ANY(:answered::uuid[])"

SAVE_DRAFT = """
INSERT INTO drafts (tenant_id, conversation_id, message_id, text) VALUES (:tenant, :id, :message, :text)
ON CONFLICT (tenant_id, conversation_id) DO UPDATE SET
  message_id = excluded.message_id, text = excluded.text, updated_at = now()
"""

FIND_DRAFT = "SELECT message_id, text FROM drafts WHERE tenant_id = :tenant AND conversation_id = :id"

DROP_DRAFT = "DELETE FROM drafts WHERE tenant_id = :tenant AND conversation_id = :id"

IS_MEMBER = "SELECT true FROM members WHERE tenant_id = :tenant AND user_id = :member AND role <> 'viewer'"

# A passage is shown to a visitor only where an answer of their own conversation cites it.
IS_CITED = """
SELECT citation FROM messages, jsonb_array_elements(citations) citation
WHERE tenant_id = :tenant AND conversation_id = :id AND author = 'assistant'
  AND citation @> jsonb_build_object('chunk_id', :chunk::bigint)
ORDER BY seq DESC LIMIT 1
"""

# The name under which a person is known here, when the channel now tells another one, or both.
KNOWN_BY_PHONE = """
SELECT external_id FROM (
  SELECT external_id, id FROM contacts
  WHERE tenant_id = :tenant AND channel_id = :channel AND external_id = :phone
  UNION
  SELECT external_id, id FROM contacts
  WHERE tenant_id = :tenant AND channel_id = :channel AND phone = :phone
) known ORDER BY external_id = :phone, id LIMIT 1
"""

# Someone first known by telephone gets the channel's own id, unless that is somebody already.
RENAME_CONTACT = """
UPDATE contacts c SET external_id = :external, phone = coalesce(:phone, c.phone)
WHERE c.tenant_id = :tenant AND c.channel_id = :channel AND c.external_id = :known
  AND NOT EXISTS (SELECT FROM contacts o
    WHERE o.tenant_id = :tenant AND o.channel_id = :channel AND o.external_id = :external)
"""

SET_PHONE = """
UPDATE contacts SET phone = :phone
WHERE tenant_id = :tenant AND channel_id = :channel AND external_id = :external
  AND phone IS DISTINCT FROM :phone
"""

# A message of this very person's conversation, held; author says whose it is.
FIND_TARGET = """
SELECT m.id, m.conversation_id, m.seq, m.author, m.text, m.detail FROM messages m
JOIN conversations c ON c.tenant_id = m.tenant_id AND c.id = m.conversation_id
JOIN contacts p ON p.tenant_id = c.tenant_id AND p.id = c.contact_id
WHERE m.tenant_id = :tenant AND m.channel_id = :channel AND m.provider_id = :provider_id
  AND p.external_id = :external FOR UPDATE OF m
"""

# What was last said to the customer.
LAST_SAID = """
SELECT id, detail ->> 'phrase' AS phrase FROM messages
WHERE tenant_id = :tenant AND conversation_id = :id AND author <> 'customer' ORDER BY seq DESC LIMIT 1
"""

# Somebody's message of the channel, whoever may change it.
IS_HERE = """
SELECT true FROM messages WHERE tenant_id = :tenant AND channel_id = :channel AND provider_id = :provider_id
"""

# One of our own messages, by the id that we gave to the provider along with it.
IS_OURS = """
SELECT true FROM messages
WHERE tenant_id = :tenant AND channel_id = :channel AND id = :message AND author <> 'customer'
"""

# What we said lately to this person, and have not learned the provider's id of.
UNNAMED = """
SELECT m.text, m.status FROM messages m
JOIN conversations c ON c.tenant_id = m.tenant_id AND c.id = m.conversation_id
JOIN contacts p ON p.tenant_id = c.tenant_id AND p.id = c.contact_id
WHERE m.tenant_id = :tenant AND m.channel_id = :channel AND m.provider_id IS NULL AND m.author <> 'customer'
  AND m.status IN ('queued', 'failed') AND m.created_at > :since AND p.external_id = :external
ORDER BY m.seq DESC LIMIT 20
"""

SET_DETAIL = "UPDATE messages SET detail = :detail WHERE tenant_id = :tenant AND id = :id"

# What a customer has deleted needs no answer any more: it answers itself.
REVISE = """
WITH revised AS (
  UPDATE messages SET text = :text, detail = :detail,
    answered_by = CASE WHEN :withdrawn THEN coalesce(answered_by, id) ELSE answered_by END
  WHERE tenant_id = :tenant AND id = :id
  RETURNING conversation_id, seq
)
UPDATE conversations c SET last_text = :preview FROM revised
WHERE c.tenant_id = :tenant AND c.id = revised.conversation_id AND c.last_seq = revised.seq
"""

# A message that failed goes out again under its old number in the transcript.
QUEUE_AGAIN = f"""
WITH again AS (
  UPDATE messages m SET status = 'queued', provider_id = NULL,
    detail = (m.detail - '{{failed,errors,sent_as}}'::text[]) || :detail::jsonb
      || jsonb_build_object('resent', coalesce((m.detail->>'resent')::int, 0) + 1)
  FROM channels ch
  WHERE m.tenant_id = :tenant AND m.id = :message AND m.conversation_id = :id AND m.status = 'failed'
    AND ch.tenant_id = :tenant AND ch.id = m.channel_id AND ch.kind = ANY(:kinds::text[])
  RETURNING m.*
), queued AS (
  INSERT INTO deliveries (tenant_id, message_id, round, created_at)
  SELECT tenant_id, id, (detail->>'resent')::int, :now FROM again
)
SELECT {_MESSAGE} FROM again
"""  # noqa: S608

HAS_MESSAGE = """
SELECT true FROM messages WHERE tenant_id = :tenant AND conversation_id = :id AND id = :message
"""

# Keeps the furthest step and holds the row: whoever learns of the message itself waits here.
ADVANCE_RECEIPT = """
INSERT INTO receipts AS r (tenant_id, channel_id, provider_id, status, detail, at)
VALUES (:tenant, :channel, :provider_id, :status, :detail, :at)
ON CONFLICT (tenant_id, channel_id, provider_id) DO UPDATE SET
  (status, detail) = (SELECT f.status, f.detail FROM
    (VALUES (excluded.status, excluded.detail), (r.status, r.detail)) AS f(status, detail)
    ORDER BY status_rank(f.status) DESC LIMIT 1)
RETURNING status, detail
"""

# Only forward: a late "sent" never takes a "delivered" back, and nothing follows "failed".
ADVANCE_MESSAGE = """
UPDATE messages SET status = :status, detail = detail || :detail
WHERE tenant_id = :tenant AND channel_id = :channel AND provider_id = :provider_id AND author <> 'customer'
  AND status_rank(status) < status_rank(:status)
RETURNING id, conversation_id, seq
"""
