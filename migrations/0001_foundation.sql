-- Roles metachat_app and metachat_worker exist before the first migration (foundation.migrations.prepare).
-- Two settings, local to a transaction, say who asks: metachat.tenant, and metachat.credential, the
-- credential (its hash, an e-mail address, a public name) that reveals the one row it belongs to.

CREATE FUNCTION current_tenant() RETURNS uuid LANGUAGE sql STABLE PARALLEL SAFE
  RETURN nullif(current_setting('metachat.tenant', true), '')::uuid;

CREATE FUNCTION current_credential() RETURNS text LANGUAGE sql STABLE PARALLEL SAFE
  RETURN nullif(current_setting('metachat.credential', true), '');

-- Puts a table behind the tenant wall: forced, so that even its owner sees nothing without a tenant.
-- revealed_by: a further condition under which a row may be read (never written) without a tenant.
CREATE FUNCTION isolate_tenants(target regclass, revealed_by text DEFAULT NULL) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', target);
  EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', target);
  EXECUTE format('CREATE POLICY own_tenant ON %s USING (tenant_id = current_tenant()) WITH CHECK (tenant_id = current_tenant())', target);
  IF revealed_by IS NOT NULL THEN
    EXECUTE format('CREATE POLICY revealed ON %s FOR SELECT USING (%s)', target, revealed_by);
  END IF;
  EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %s TO metachat_app, metachat_worker', target);
END $$;

-- Jobs: one row a piece of work; lanes keep order per key. Outside the tenant wall: the worker's role
-- takes jobs of every tenant; the application's role may only add.
CREATE TABLE lanes (
  lane text PRIMARY KEY,
  leased_by text,
  leased_until timestamptz
);

CREATE TABLE jobs (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  lane text NOT NULL,
  kind text NOT NULL,
  tenant_id uuid,
  payload jsonb NOT NULL DEFAULT '{}',
  dedupe_key text,
  correlation_id text,
  run_at timestamptz NOT NULL DEFAULT now(),
  attempts integer NOT NULL DEFAULT 0,
  created_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX jobs_dedupe ON jobs (dedupe_key) WHERE dedupe_key IS NOT NULL;
CREATE INDEX jobs_by_lane ON jobs (lane, id);
CREATE INDEX jobs_due ON jobs (run_at, id);

CREATE TABLE dead_jobs (
  id bigint PRIMARY KEY,
  lane text NOT NULL,
  kind text NOT NULL,
  tenant_id uuid,
  payload jsonb NOT NULL,
  correlation_id text,
  attempts integer NOT NULL,
  error text NOT NULL,
  died_at timestamptz NOT NULL DEFAULT now(),
  created_at timestamptz NOT NULL
);

GRANT SELECT, INSERT, UPDATE, DELETE ON jobs, lanes, dead_jobs TO metachat_worker;
GRANT INSERT ON jobs, lanes TO metachat_app;
