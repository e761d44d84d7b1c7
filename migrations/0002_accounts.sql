CREATE TABLE tenants (
  tenant_id uuid PRIMARY KEY,
  slug text NOT NULL UNIQUE CHECK (slug ~ '^[a-z0-9][a-z0-9-]{0,62}$'),
  name text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now()
);

-- People are not a tenant's: one person may be a member of several.
CREATE TABLE users (
  id uuid PRIMARY KEY,
  email text NOT NULL UNIQUE CHECK (email = lower(email)),
  name text NOT NULL DEFAULT '',
  password_hash text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE members (
  tenant_id uuid NOT NULL REFERENCES tenants ON DELETE CASCADE,
  user_id uuid NOT NULL REFERENCES users ON DELETE CASCADE,
  role text NOT NULL CHECK (role IN ('owner', 'admin', 'agent', 'viewer')),
  created_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant_id, user_id)
);
CREATE INDEX members_by_user ON members (user_id);
SELECT isolate_tenants('members', $$user_id::text = current_credential()$$);

-- A tenant is revealed by its short name, to its members, and to the operator of the platform, who sets
-- metachat.operator for the listing: a setting of its own, so that no credential can ever spell it.
SELECT isolate_tenants('tenants', $$
  slug = current_credential()
  OR EXISTS (SELECT FROM members m WHERE m.tenant_id = tenants.tenant_id AND m.user_id::text = current_credential())
  OR current_setting('metachat.operator', true) = 'on'
$$);

ALTER TABLE users ENABLE ROW LEVEL SECURITY;
ALTER TABLE users FORCE ROW LEVEL SECURITY;
CREATE POLICY visible ON users USING (
  email = current_credential() OR id::text = current_credential()
  OR EXISTS (SELECT FROM members m WHERE m.user_id = users.id AND m.tenant_id = current_tenant())
) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE ON users TO metachat_app;

CREATE TABLE sessions (
  tenant_id uuid NOT NULL,
  id uuid PRIMARY KEY,
  user_id uuid NOT NULL,
  token_hash text NOT NULL UNIQUE,
  csrf_token text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  last_seen_at timestamptz NOT NULL DEFAULT now(),
  expires_at timestamptz NOT NULL,
  ip text,
  user_agent text,
  FOREIGN KEY (tenant_id, user_id) REFERENCES members ON DELETE CASCADE
);
CREATE INDEX sessions_by_user ON sessions (tenant_id, user_id);
SELECT isolate_tenants('sessions', $$token_hash = current_credential()$$);

CREATE TABLE api_keys (
  tenant_id uuid NOT NULL REFERENCES tenants ON DELETE CASCADE,
  id uuid PRIMARY KEY,
  name text NOT NULL,
  prefix text NOT NULL,
  last_four text NOT NULL,
  key_hash text NOT NULL UNIQUE,
  pepper_id text NOT NULL,
  scopes text[] NOT NULL,
  created_by uuid,
  created_at timestamptz NOT NULL DEFAULT now(),
  expires_at timestamptz,
  revoked_at timestamptz,
  last_used_at timestamptz
);
CREATE INDEX api_keys_by_tenant ON api_keys (tenant_id, id);
SELECT isolate_tenants('api_keys', $$key_hash = current_credential()$$);

CREATE TABLE audit_log (
  tenant_id uuid NOT NULL REFERENCES tenants ON DELETE CASCADE,
  id uuid PRIMARY KEY,
  at timestamptz NOT NULL DEFAULT now(),
  actor text NOT NULL,
  action text NOT NULL,
  target text,
  detail jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX audit_log_by_tenant ON audit_log (tenant_id, id DESC);
SELECT isolate_tenants('audit_log');
REVOKE UPDATE, DELETE ON audit_log FROM metachat_app, metachat_worker;

-- Answers to writes, so that a repeated request is answered and not done again. An answer may hold a
-- key that is shown once, so it lies here encrypted.
CREATE TABLE idempotency_keys (
  tenant_id uuid NOT NULL REFERENCES tenants ON DELETE CASCADE,
  key text NOT NULL,
  request_hash text NOT NULL,
  status integer NOT NULL,
  body_sealed bytea NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant_id, key)
);
CREATE INDEX idempotency_keys_by_age ON idempotency_keys (tenant_id, created_at);
SELECT isolate_tenants('idempotency_keys');

-- Counts of tries per hashed key (an address, an account) in a fixed window; holds no tenant's data.
CREATE TABLE throttles (
  key text PRIMARY KEY,
  tries integer NOT NULL,
  window_ends_at timestamptz NOT NULL
);
CREATE INDEX throttles_by_end ON throttles (window_ends_at);
GRANT SELECT, INSERT, UPDATE, DELETE ON throttles TO metachat_app, metachat_worker;

-- The worker reads customers' files and speaks to models: what lets people in is none of its business.
REVOKE ALL ON sessions, api_keys, idempotency_keys FROM metachat_worker;
