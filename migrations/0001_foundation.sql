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

-- Jobs: one row a piece of work; the jobs of a lane run one after the other. Outside the tenant wall:
-- the worker's role takes jobs of every tenant; the application's role may only add, and reads nothing.
CREATE TABLE jobs (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  lane text NOT NULL CHECK (length(lane) BETWEEN 1 AND 200),
  kind text NOT NULL,
  tenant_id uuid,
  payload jsonb NOT NULL DEFAULT '{}',
  dedupe_key text,
  correlation_id text,
  run_at timestamptz NOT NULL DEFAULT now(),
  attempts integer NOT NULL DEFAULT 0,
  deaths integer NOT NULL DEFAULT 0,
  created_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX jobs_dedupe ON jobs (dedupe_key) WHERE dedupe_key IS NOT NULL;
CREATE INDEX jobs_by_lane ON jobs (lane, id);
-- Walked tenant by tenant, so that one tenant's backlog does not hide another's jobs. Work of no tenant
-- stands under the zero UUID.
CREATE INDEX jobs_by_tenant ON jobs (coalesce(tenant_id, '00000000-0000-0000-0000-000000000000'), id);
CREATE INDEX jobs_scheduled ON jobs (run_at) WHERE run_at > created_at;

-- A row exists only while a worker holds the lane (leased_by), or while it rests after a failure
-- (leased_by is null). taken_over: the last lease ran out in a worker's hands.
CREATE TABLE lanes (
  lane text PRIMARY KEY,
  leased_by text,
  leased_until timestamptz NOT NULL,
  taken_over boolean NOT NULL DEFAULT false
);

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
CREATE INDEX dead_jobs_by_tenant ON dead_jobs (tenant_id, id);

-- Who works, and since when nothing was heard: one row a worker process.
CREATE TABLE workers (
  name text PRIMARY KEY,
  in_flight integer NOT NULL DEFAULT 0,
  jobs_done bigint NOT NULL DEFAULT 0,
  jobs_failed bigint NOT NULL DEFAULT 0,
  started_at timestamptz NOT NULL DEFAULT now(),
  seen_at timestamptz NOT NULL DEFAULT now()
);

-- Adds a job unless one with its key still waits to start. The update locks the waiting job until the
-- caller's commit: whoever starts it then sees all that the caller wrote.
CREATE FUNCTION enqueue_once(
  lane text, kind text, tenant uuid, payload jsonb, correlation text, run_at timestamptz, dedupe_key text
) RETURNS void LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp AS $$
  INSERT INTO jobs (lane, kind, tenant_id, payload, correlation_id, run_at, dedupe_key)
  VALUES ($1, $2, $3, $4, $5, coalesce($6, now()), $7)
  ON CONFLICT (dedupe_key) WHERE dedupe_key IS NOT NULL DO UPDATE SET dedupe_key = excluded.dedupe_key
$$;
REVOKE EXECUTE ON FUNCTION enqueue_once FROM PUBLIC;
GRANT EXECUTE ON FUNCTION enqueue_once TO metachat_app, metachat_worker;

GRANT SELECT, INSERT, UPDATE, DELETE ON jobs, lanes, dead_jobs, workers TO metachat_worker;
GRANT INSERT ON jobs TO metachat_app;
