-- Something that somebody should look at, open until it is over; the subject is what it is about.
CREATE TABLE findings (
  tenant_id uuid NOT NULL REFERENCES tenants ON DELETE CASCADE,
  id uuid NOT NULL,
  kind text NOT NULL CHECK (kind ~ '^[a-z]+(\.[a-z_]+)+$'),
  subject uuid NOT NULL,
  since timestamptz NOT NULL,
  detail jsonb NOT NULL DEFAULT '{}',
  found_at timestamptz NOT NULL DEFAULT now(),
  resolved_at timestamptz CHECK (resolved_at >= found_at),
  PRIMARY KEY (tenant_id, id)
);
CREATE UNIQUE INDEX findings_open ON findings (tenant_id, kind, subject) WHERE resolved_at IS NULL;
CREATE INDEX findings_by_subject ON findings (tenant_id, subject, found_at DESC);
-- The operator of the platform sees everybody's.
SELECT isolate_tenants('findings', $$current_setting('metachat.operator', true) = 'on'$$);

-- When a provider last delivered to a channel, and how lively it was: a byte for each hour up to `hour`,
-- saying in how many five-minute slots of it something came. Counts only, so that the worker may follow
-- every tenant's channels in one statement; the application's role reads its tenant's.
CREATE TABLE channel_traffic (
  tenant_id uuid NOT NULL,
  channel_id uuid NOT NULL,
  last_update_at timestamptz NOT NULL,
  hour timestamptz NOT NULL,
  hours bytea NOT NULL CHECK (length(hours) BETWEEN 1 AND 700),
  silent boolean NOT NULL DEFAULT false,
  PRIMARY KEY (tenant_id, channel_id),
  FOREIGN KEY (tenant_id, channel_id) REFERENCES channels ON DELETE CASCADE
);
ALTER TABLE channel_traffic ENABLE ROW LEVEL SECURITY;
ALTER TABLE channel_traffic FORCE ROW LEVEL SECURITY;
CREATE POLICY own_tenant ON channel_traffic FOR SELECT TO metachat_app USING (tenant_id = current_tenant());
CREATE POLICY all_tenants ON channel_traffic TO metachat_worker USING (true) WITH CHECK (true);
GRANT SELECT ON channel_traffic TO metachat_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON channel_traffic TO metachat_worker;

-- How far the inbox has been looked through for it: everything received before `until`; no row up to the id
-- `past` is younger. The only row is made here.
CREATE TABLE traffic_progress (
  one boolean PRIMARY KEY DEFAULT true CHECK (one),
  until timestamptz NOT NULL,
  past bigint NOT NULL
);
INSERT INTO traffic_progress (until, past) VALUES (now(), 0);
GRANT SELECT, UPDATE ON traffic_progress TO metachat_worker;

-- What a tenant's staff looks through: updates that had no effect.
CREATE INDEX inbox_ignored ON inbox (tenant_id, id) WHERE state = 'ignored';

-- The application's role writes the inbox through functions alone; what it may have understood again is its
-- own tenant's. Held updates are not touched: they wait for their channel.
CREATE FUNCTION replay_update(id bigint) RETURNS text LANGUAGE sql VOLATILE SECURITY DEFINER
SET search_path = public, pg_temp AS $$
  UPDATE inbox SET state = 'new', error = NULL, handled_at = NULL
  WHERE inbox.id = $1 AND tenant_id = current_tenant() AND state <> 'new' RETURNING lane
$$;

-- A step of those that were kept for the same reason, beginning after an id; gives each one's id and lane.
CREATE FUNCTION replay_updates(reason text, after bigint, most integer)
RETURNS TABLE (id bigint, lane text) LANGUAGE sql VOLATILE SECURITY DEFINER
SET search_path = public, pg_temp AS $$
  UPDATE inbox SET state = 'new', error = NULL, handled_at = NULL
  WHERE inbox.id IN (
    SELECT i.id FROM inbox i
    WHERE i.tenant_id = current_tenant() AND i.state = 'unparsed' AND i.error = $1 AND i.id > $2
    ORDER BY i.id LIMIT $3 FOR UPDATE
  ) RETURNING inbox.id, inbox.lane
$$;
REVOKE EXECUTE ON FUNCTION replay_update, replay_updates FROM PUBLIC;
GRANT EXECUTE ON FUNCTION replay_update, replay_updates TO metachat_app, metachat_worker;

-- The operator of the platform looks at the queue through these; metachat.operator is set for that alone.
CREATE FUNCTION queue_depth()
RETURNS TABLE (kind text, waiting bigint, due bigint, oldest timestamptz, dead bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
  SELECT coalesce(j.kind, d.kind), coalesce(j.waiting, 0), coalesce(j.due, 0), j.oldest, coalesce(d.dead, 0)
  FROM (
    SELECT kind, count(*) AS waiting, count(*) FILTER (WHERE run_at <= now()) AS due,
      min(run_at) FILTER (WHERE run_at <= now()) AS oldest
    FROM jobs GROUP BY kind
  ) j FULL JOIN (SELECT kind, count(*) AS dead FROM dead_jobs GROUP BY kind) d ON d.kind = j.kind
  WHERE current_setting('metachat.operator', true) = 'on' ORDER BY 1
$$;

CREATE FUNCTION dead_jobs_after(after bigint, most integer)
RETURNS TABLE (
  id bigint, kind text, lane text, tenant text, attempts integer, error text, correlation_id text,
  created_at timestamptz, died_at timestamptz
) LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
  SELECT d.id, d.kind, d.lane, t.slug, d.attempts, d.error, d.correlation_id, d.created_at, d.died_at
  FROM dead_jobs d LEFT JOIN tenants t ON t.tenant_id = d.tenant_id
  WHERE d.id > $1 AND current_setting('metachat.operator', true) = 'on' ORDER BY d.id LIMIT $2
$$;

CREATE FUNCTION replay_dead_jobs(one bigint, up_to bigint, most integer)
RETURNS TABLE (lane text, tenant uuid) LANGUAGE sql VOLATILE SECURITY DEFINER
SET search_path = public, pg_temp AS $$
  WITH chosen AS (
    SELECT id FROM dead_jobs
    WHERE ($1 IS NULL OR id = $1) AND ($2 IS NULL OR id <= $2) AND current_setting('metachat.operator', true) = 'on'
    ORDER BY id LIMIT $3 FOR UPDATE
  ), risen AS (
    DELETE FROM dead_jobs d USING chosen WHERE d.id = chosen.id
    RETURNING d.id, d.lane, d.kind, d.tenant_id, d.payload, d.correlation_id
  )
  INSERT INTO jobs AS j (lane, kind, tenant_id, payload, correlation_id)
  SELECT r.lane, r.kind, r.tenant_id, r.payload, r.correlation_id FROM risen r ORDER BY r.id
  RETURNING j.lane, j.tenant_id
$$;
REVOKE EXECUTE ON FUNCTION queue_depth, dead_jobs_after, replay_dead_jobs FROM PUBLIC;
GRANT EXECUTE ON FUNCTION queue_depth, dead_jobs_after, replay_dead_jobs TO metachat_app, metachat_worker;
