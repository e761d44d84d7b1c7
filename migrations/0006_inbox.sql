-- What providers deliver, kept byte for byte before it is acknowledged; parsed afterwards, and again after
-- a parser was mended. The worker takes rows of every tenant; the application's role reads its tenant's
-- rows, and stores through take_in alone.
CREATE SEQUENCE inbox_ids AS bigint;
CREATE TABLE inbox (
  id bigint PRIMARY KEY DEFAULT nextval('inbox_ids'),
  channel_kind text NOT NULL,
  channel_id uuid,
  tenant_id uuid,
  -- One delivery of one update, whatever batches it comes in: a second delivery is no second row.
  dedupe_key text NOT NULL UNIQUE CHECK (length(dedupe_key) <= 400),
  kind text NOT NULL CHECK (kind IN ('message', 'status', 'template', 'account', 'unknown', 'malformed')),
  lane text NOT NULL CHECK (length(lane) BETWEEN 1 AND 200),
  payload bytea NOT NULL,
  -- new: waits for a worker. parsed: its effect is committed. unparsed: kept until someone looks, see
  -- error. ignored: understood, and without effect here.
  state text NOT NULL DEFAULT 'new' CHECK (state IN ('new', 'parsed', 'unparsed', 'ignored')),
  error text,
  correlation_id text,
  received_at timestamptz NOT NULL DEFAULT now(),
  handled_at timestamptz
  -- A usual webhook is about as long as what Postgres would try to compress: not worth its time.
) WITH (toast_tuple_target = 8160);
ALTER SEQUENCE inbox_ids OWNED BY inbox.id;
CREATE INDEX inbox_new ON inbox (lane, id) WHERE state = 'new';
CREATE INDEX inbox_unparsed ON inbox (tenant_id, id) WHERE state = 'unparsed';
-- Rows come in the order of their time: a few pages tell which are old.
CREATE INDEX inbox_old ON inbox USING brin (received_at);

-- Not forced: take_in works as the tables' owner.
ALTER TABLE inbox ENABLE ROW LEVEL SECURITY;
CREATE POLICY own_tenant ON inbox FOR SELECT TO metachat_app USING (tenant_id = current_tenant());
CREATE POLICY all_tenants ON inbox TO metachat_worker USING (true) WITH CHECK (true);
GRANT SELECT ON inbox TO metachat_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON inbox TO metachat_worker;
GRANT USAGE ON SEQUENCE inbox_ids TO metachat_worker;

-- Stores a batch, and a job for each lane that got something new, in one statement; gives those lanes.
-- Numbered in their order of arrival, but inserted in the order of their keys: two batches that share keys
-- wait for each other and never in a circle.
CREATE FUNCTION take_in(
  channel_kinds text[], channels uuid[], tenants uuid[], keys text[], kinds text[], lanes text[],
  payloads bytea[], errors text[], correlations text[]
) RETURNS TABLE (lane text, tenant uuid) LANGUAGE sql VOLATILE SECURITY DEFINER
SET search_path = public, pg_temp AS $$
  WITH arrived AS MATERIALIZED (
    SELECT nextval('inbox_ids') AS id, u.*
    FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9)
      AS u(channel_kind, channel, tenant, key, kind, lane, payload, error, correlation)
  ), stored AS (
    INSERT INTO inbox AS i (id, channel_kind, channel_id, tenant_id, dedupe_key, kind, lane, payload, state,
      error, correlation_id)
    SELECT id, channel_kind, channel, tenant, key, kind, a.lane, payload,
      CASE WHEN error IS NULL THEN 'new' ELSE 'unparsed' END, error, correlation
    FROM arrived a ORDER BY key
    ON CONFLICT (dedupe_key) DO NOTHING
    RETURNING i.lane, i.tenant_id, i.correlation_id, i.state
  )
  INSERT INTO jobs AS j (lane, kind, tenant_id, correlation_id)
  SELECT s.lane, 'inbox', s.tenant_id, min(s.correlation_id)
  FROM stored s WHERE s.state = 'new' GROUP BY s.lane, s.tenant_id
  RETURNING j.lane, j.tenant_id
$$;
REVOKE EXECUTE ON FUNCTION take_in FROM PUBLIC;
GRANT EXECUTE ON FUNCTION take_in TO metachat_app, metachat_worker;

-- A message's way through its channel only leads forward; failed is the end of it.
ALTER TABLE messages DROP CONSTRAINT messages_status_check;
ALTER TABLE messages ADD CONSTRAINT messages_status_check
  CHECK (status IN ('received', 'queued', 'sent', 'delivered', 'read', 'played', 'failed'));

CREATE FUNCTION status_rank(status text) RETURNS integer LANGUAGE sql IMMUTABLE PARALLEL SAFE
  RETURN array_position(ARRAY['received', 'queued', 'sent', 'delivered', 'read', 'played', 'failed'], status);

-- What a provider has told of a message we sent; it may tell before our own call has returned, so this
-- waits for the message. Whoever learns of either half holds this row while it joins them.
CREATE TABLE receipts (
  tenant_id uuid NOT NULL REFERENCES tenants ON DELETE CASCADE,
  channel_id uuid NOT NULL,
  provider_id text NOT NULL,
  status text NOT NULL CHECK (status_rank(status) >= 3),
  detail jsonb NOT NULL DEFAULT '{}',
  at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant_id, channel_id, provider_id),
  FOREIGN KEY (tenant_id, channel_id) REFERENCES channels ON DELETE CASCADE
);
CREATE INDEX receipts_old ON receipts (tenant_id, at);
SELECT isolate_tenants('receipts');

-- A person may be known under a telephone number first and under the channel's own id later, or both.
ALTER TABLE contacts ADD COLUMN phone text;
CREATE INDEX contacts_by_phone ON contacts (tenant_id, channel_id, phone) WHERE phone IS NOT NULL;
