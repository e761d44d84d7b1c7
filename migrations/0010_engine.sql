-- Adds a job that runs once nothing more has come for `quiet` seconds, at the latest `longest` seconds after
-- the first. Each further call moves the waiting job's time, and locks it until the caller's commit: whoever
-- starts it then sees all that the caller wrote. Gives the seconds from now until it runs.
CREATE FUNCTION debounce(
  lane text, kind text, tenant uuid, payload jsonb, correlation text, dedupe_key text,
  quiet double precision, longest double precision
) RETURNS double precision LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp AS $$
  INSERT INTO jobs (lane, kind, tenant_id, payload, correlation_id, dedupe_key, run_at)
  VALUES ($1, $2, $3, $4, $5, $6, clock_timestamp() + make_interval(secs => $7))
  ON CONFLICT (dedupe_key) WHERE dedupe_key IS NOT NULL DO UPDATE SET
    run_at = greatest(jobs.run_at, least(excluded.run_at, jobs.created_at + make_interval(secs => $8)))
  RETURNING extract(epoch FROM run_at - clock_timestamp())::float8
$$;
REVOKE EXECUTE ON FUNCTION debounce FROM PUBLIC;
GRANT EXECUTE ON FUNCTION debounce TO metachat_app, metachat_worker;

-- A job at which its worker died runs alone among such jobs; its lane says so while it runs.
ALTER TABLE lanes ADD COLUMN watched boolean NOT NULL DEFAULT false;

-- Who speaks, in this order, where the assistant's own model fails.
CREATE TABLE assistant_fallbacks (
  tenant_id uuid NOT NULL REFERENCES tenants ON DELETE CASCADE,
  place smallint NOT NULL CHECK (place BETWEEN 1 AND 5),
  provider text NOT NULL CHECK (provider IN ('openai', 'anthropic', 'ollama')),
  model text NOT NULL CHECK (length(model) BETWEEN 1 AND 200),
  base_url text,
  api_key_sealed bytea,
  PRIMARY KEY (tenant_id, place)
);
SELECT isolate_tenants('assistant_fallbacks');

-- What the workers last learned of each model that failed; one that is resting is not asked meanwhile.
CREATE TABLE model_health (
  tenant_id uuid NOT NULL REFERENCES tenants ON DELETE CASCADE,
  provider text NOT NULL,
  endpoint text NOT NULL,
  failures bigint NOT NULL DEFAULT 0,
  last_code text NOT NULL,
  failed_at timestamptz NOT NULL DEFAULT now(),
  resting_until timestamptz,
  PRIMARY KEY (tenant_id, provider, endpoint)
);
SELECT isolate_tenants('model_health');

-- Totals over all tenants, for the metrics of a process that sees none of them: the function's owner may read.
CREATE POLICY totals ON model_health FOR SELECT TO metachat_owner USING (true);
CREATE FUNCTION model_health_totals() RETURNS TABLE (provider text, failures bigint, resting bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
  SELECT provider, sum(failures)::bigint, count(*) FILTER (WHERE resting_until > now())
  FROM model_health GROUP BY provider
$$;
REVOKE EXECUTE ON FUNCTION model_health_totals FROM PUBLIC;
GRANT EXECUTE ON FUNCTION model_health_totals TO metachat_app;

-- Whoever writes is looked up with their latest conversation, for every message.
CREATE INDEX conversations_of_contact ON conversations (tenant_id, contact_id, id);
