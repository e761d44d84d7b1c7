-- Files that belong to conversations: what customers sent, and what the team sends. The bytes lie in the
-- tenant's storage under their SHA-256; any number of rows may name the same bytes, and bytes that no row
-- names are swept.
CREATE TABLE attachments (
  tenant_id uuid NOT NULL REFERENCES tenants ON DELETE CASCADE,
  id uuid NOT NULL,
  conversation_id uuid NOT NULL,
  -- Null: uploaded by the team, and not sent with a message yet.
  message_id uuid,
  -- The provider's own id of a file that it holds for us.
  provider_id text CHECK (length(provider_id) <= 300),
  form text NOT NULL CHECK (form IN ('image', 'audio', 'video', 'document', 'sticker')),
  media_type text NOT NULL DEFAULT 'application/octet-stream' CHECK (length(media_type) <= 200),
  name text NOT NULL DEFAULT '' CHECK (length(name) <= 300),
  told_sha256 text CHECK (told_sha256 ~ '^[0-9a-f]{64}$'),
  sha256 text CHECK (sha256 ~ '^[0-9a-f]{64}$'),
  size bigint CHECK (size >= 0),
  -- pending: not fetched yet. stored: its bytes are here. refused: they came, and were not kept. gone: nobody
  -- has them any more. reason says why, for people.
  state text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'stored', 'refused', 'gone')),
  reason text NOT NULL DEFAULT '' CHECK (length(reason) <= 500),
  created_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant_id, id),
  CHECK ((state = 'stored') = (sha256 IS NOT NULL)),
  CHECK ((state = 'stored') <= (size IS NOT NULL)),
  FOREIGN KEY (tenant_id, conversation_id) REFERENCES conversations ON DELETE CASCADE,
  FOREIGN KEY (tenant_id, message_id) REFERENCES messages ON DELETE CASCADE
);
-- Taken in once, however often its message is delivered.
CREATE UNIQUE INDEX attachments_provided ON attachments (tenant_id, message_id, provider_id)
  WHERE provider_id IS NOT NULL;
CREATE INDEX attachments_of_message ON attachments (tenant_id, message_id);
CREATE INDEX attachments_of_conversation ON attachments (tenant_id, conversation_id);
CREATE INDEX attachments_by_content ON attachments (tenant_id, sha256) WHERE sha256 IS NOT NULL;
SELECT isolate_tenants('attachments');
