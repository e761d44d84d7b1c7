CREATE TABLE events (
  tenant_id uuid NOT NULL REFERENCES tenants ON DELETE CASCADE,
  id bigint GENERATED ALWAYS AS IDENTITY,
  kind text NOT NULL,
  subject uuid,
  data jsonb NOT NULL DEFAULT '{}',
  correlation_id text,
  transaction_id xid8 NOT NULL DEFAULT pg_current_xact_id(),
  at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant_id, id)
);
SELECT isolate_tenants('events');

CREATE TABLE channels (
  tenant_id uuid NOT NULL REFERENCES tenants ON DELETE CASCADE,
  id uuid NOT NULL UNIQUE,
  kind text NOT NULL CHECK (kind IN ('webchat', 'whatsapp', 'messenger', 'instagram', 'test')),
  name text NOT NULL,
  status text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'paused')),
  settings jsonb NOT NULL DEFAULT '{}',
  created_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant_id, id)
);
-- A tenant's own trials (`metachat ask`, the test chat) share one channel.
CREATE UNIQUE INDEX channels_for_trials ON channels (tenant_id) WHERE kind = 'test';
SELECT isolate_tenants('channels', $$id::text = current_credential()$$);

CREATE TABLE contacts (
  tenant_id uuid NOT NULL REFERENCES tenants ON DELETE CASCADE,
  id uuid NOT NULL,
  channel_id uuid NOT NULL,
  external_id text NOT NULL,
  name text NOT NULL DEFAULT '',
  locale text,
  created_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant_id, id),
  UNIQUE (tenant_id, channel_id, external_id),
  FOREIGN KEY (tenant_id, channel_id) REFERENCES channels ON DELETE CASCADE
);
SELECT isolate_tenants('contacts');

CREATE TABLE conversations (
  tenant_id uuid NOT NULL REFERENCES tenants ON DELETE CASCADE,
  id uuid NOT NULL,
  channel_id uuid NOT NULL,
  contact_id uuid NOT NULL,
  state text NOT NULL DEFAULT 'assistant' CHECK (state IN ('assistant', 'waiting', 'assigned', 'closed')),
  owner_id uuid,
  language text,
  last_seq bigint NOT NULL DEFAULT 0,
  last_text text NOT NULL DEFAULT '',
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant_id, id),
  FOREIGN KEY (tenant_id, channel_id) REFERENCES channels ON DELETE CASCADE,
  FOREIGN KEY (tenant_id, contact_id) REFERENCES contacts ON DELETE CASCADE,
  FOREIGN KEY (tenant_id, owner_id) REFERENCES members (tenant_id, user_id) ON DELETE SET NULL (owner_id)
);
CREATE INDEX conversations_recent ON conversations (tenant_id, updated_at DESC, id DESC);
SELECT isolate_tenants('conversations');

-- Whoever leaves the team leaves no customer behind with nobody: their conversations wait for someone else.
CREATE FUNCTION pass_on_conversations() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  UPDATE conversations SET state = 'waiting', owner_id = NULL, updated_at = now()
  WHERE tenant_id = OLD.tenant_id AND owner_id = OLD.user_id AND state = 'assigned';
  RETURN OLD;
END $$;
CREATE TRIGGER members_leave BEFORE DELETE ON members FOR EACH ROW EXECUTE FUNCTION pass_on_conversations();

CREATE TABLE messages (
  tenant_id uuid NOT NULL REFERENCES tenants ON DELETE CASCADE,
  id uuid NOT NULL,
  conversation_id uuid NOT NULL,
  channel_id uuid NOT NULL,
  seq bigint NOT NULL,
  author text NOT NULL CHECK (author IN ('customer', 'assistant', 'agent', 'system')),
  author_id uuid,
  text text NOT NULL,
  provider_id text,
  status text NOT NULL DEFAULT 'received'
    CHECK (status IN ('received', 'queued', 'sent', 'delivered', 'read', 'failed')),
  declined boolean NOT NULL DEFAULT false,
  citations jsonb NOT NULL DEFAULT '[]',
  detail jsonb NOT NULL DEFAULT '{}',
  answered_by uuid,
  correlation_id text,
  provider_at timestamptz,
  created_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant_id, id),
  UNIQUE (tenant_id, conversation_id, seq),
  FOREIGN KEY (tenant_id, conversation_id) REFERENCES conversations ON DELETE CASCADE
);
CREATE UNIQUE INDEX messages_provider_id ON messages (tenant_id, channel_id, provider_id) WHERE provider_id IS NOT NULL;
CREATE INDEX messages_unanswered ON messages (tenant_id, conversation_id, seq)
  WHERE author = 'customer' AND answered_by IS NULL;
SELECT isolate_tenants('messages');

-- What an answer in the making has said so far, for a reader who reconnects in its middle.
CREATE TABLE drafts (
  tenant_id uuid NOT NULL,
  conversation_id uuid NOT NULL,
  message_id uuid NOT NULL,
  text text NOT NULL,
  updated_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant_id, conversation_id),
  FOREIGN KEY (tenant_id, conversation_id) REFERENCES conversations ON DELETE CASCADE
);
SELECT isolate_tenants('drafts');
