-- Which keys this database's rows are sealed, hashed and signed with, by fingerprint; never a key itself.
-- accepted: handed out, not used yet; current: in use; old: still accepted; retired: nothing is under it.
-- rows_done of rows_total: how far the rows are moved under a key that became current.
CREATE TABLE key_records (
  name text NOT NULL CHECK (name IN ('session_secret', 'api_key_pepper', 'encryption_key')),
  id text NOT NULL CHECK (id ~ '^[0-9a-f]{16}$'),
  state text NOT NULL CHECK (state IN ('accepted', 'current', 'old', 'retired')),
  recorded_at timestamptz NOT NULL DEFAULT now(),
  current_since timestamptz,
  old_since timestamptz,
  retired_at timestamptz,
  rows_done bigint NOT NULL DEFAULT 0 CHECK (rows_done >= 0),
  rows_total bigint CHECK (rows_total >= 0),
  PRIMARY KEY (name, id)
);
CREATE UNIQUE INDEX key_records_current ON key_records (name) WHERE state = 'current';

-- Which running processes hold which keys, the one in use first: {"encryption_key": ["id", ...], ...}.
CREATE TABLE key_holders (
  process uuid PRIMARY KEY,
  role text NOT NULL,
  host text NOT NULL,
  pid integer NOT NULL,
  rings jsonb NOT NULL,
  started_at timestamptz NOT NULL DEFAULT now(),
  seen_at timestamptz NOT NULL DEFAULT now()
);

GRANT SELECT ON key_records TO metachat_app, metachat_worker;
GRANT SELECT, INSERT, UPDATE, DELETE ON key_holders TO metachat_app, metachat_worker;

-- Writes down what a process holds, and gives all that is recorded of these keys. The first process of an
-- empty platform says which they are. Whoever makes a key current locks the records first, so that no process
-- slips in between that does not know it.
CREATE FUNCTION hold_keys(process uuid, role text, host text, pid integer, rings jsonb)
RETURNS SETOF key_records LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  INSERT INTO key_records (name, id, state, current_since)
  SELECT ring.key, ring.value ->> 0, 'current', now() FROM jsonb_each($5) ring
  WHERE NOT EXISTS (SELECT FROM key_records known WHERE known.name = ring.key)
  ON CONFLICT DO NOTHING;
  PERFORM FROM key_records known WHERE $5 ? known.name FOR SHARE;
  INSERT INTO key_holders (process, role, host, pid, rings) VALUES ($1, $2, $3, $4, $5)
  ON CONFLICT ON CONSTRAINT key_holders_pkey DO UPDATE SET seen_at = now();
  RETURN QUERY SELECT * FROM key_records known WHERE $5 ? known.name;
END $$;
REVOKE EXECUTE ON FUNCTION hold_keys FROM PUBLIC;
GRANT EXECUTE ON FUNCTION hold_keys TO metachat_app, metachat_worker;

-- Under which secret a session's token is hashed; empty for those of before.
ALTER TABLE sessions ADD COLUMN pepper_id text NOT NULL DEFAULT '';
