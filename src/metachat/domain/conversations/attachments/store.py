"""The SQL of attachments."""

_COLUMNS = """
a.id, a.conversation_id, c.channel_id, a.message_id, a.provider_id, a.form, a.media_type, a.name,
a.told_sha256, a.sha256, a.size, a.state, a.reason, a.created_at
"""
_FROM = """
FROM attachments a JOIN conversations c ON c.tenant_id = a.tenant_id AND c.id = a.conversation_id
"""

# A second delivery of a message brings no second file.
EXPECT = """
INSERT INTO attachments (tenant_id, id, conversation_id, message_id, provider_id, form, media_type, name,
  told_sha256)
VALUES (:tenant, :id, :conversation, :message, :provider_id, :form, :media_type, :name, :told_sha256)
ON CONFLICT (tenant_id, message_id, provider_id) WHERE provider_id IS NOT NULL DO NOTHING
RETURNING id
"""

ADD = """
INSERT INTO attachments (tenant_id, id, conversation_id, form, media_type, name, sha256, size, state)
VALUES (:tenant, :id, :conversation, :form, :media_type, :name, :sha256, :size, 'stored')
"""

FIND = f"SELECT {_COLUMNS} {_FROM} WHERE a.tenant_id = :tenant AND a.id = :id"

FIND_IN = f"""
SELECT {_COLUMNS} {_FROM} WHERE a.tenant_id = :tenant AND a.conversation_id = :conversation AND a.id = :id
"""

OF_MESSAGES = f"""
SELECT {_COLUMNS} {_FROM}
WHERE a.tenant_id = :tenant AND a.message_id = ANY(:messages::uuid[]) ORDER BY a.created_at, a.id
"""

# Only the first to settle it does: a file that was withdrawn meanwhile stays away.
SETTLE = """
UPDATE attachments SET state = :state, reason = :reason, sha256 = :sha256, size = :size,
  media_type = :media_type
WHERE tenant_id = :tenant AND id = :id AND state = 'pending'
"""

NOTE = "UPDATE attachments SET reason = :reason WHERE tenant_id = :tenant AND id = :id AND state = 'pending'"

# A file goes with one message.
CLAIM = """
UPDATE attachments SET message_id = :message
WHERE tenant_id = :tenant AND id = :id AND message_id IS NULL AND state = 'stored'
"""

WITHDRAW = """
UPDATE attachments SET state = 'gone', reason = :reason, sha256 = NULL
WHERE tenant_id = :tenant AND message_id = :message AND state <> 'gone'
"""

FORGET_UNSENT = """
DELETE FROM attachments WHERE tenant_id = :tenant AND message_id IS NULL AND created_at < :before
"""

NAMED = (
    "SELECT DISTINCT sha256 FROM attachments WHERE tenant_id = :tenant AND sha256 = ANY(:contents::text[])"
)

SEQ_OF = "SELECT conversation_id, seq FROM messages WHERE tenant_id = :tenant AND id = :message"
