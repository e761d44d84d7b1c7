-- What keeps a lone message waiting in calm.

-- One update by itself, told of within its own transaction; gives whether it is new. Nobody waits for the disk
-- here, so that NOTIFY's lock is over at once: whoever acknowledges the update calls make_durable() first. What a
-- worker makes of it meanwhile is written to the log behind it, and is not durable before it is.
CREATE FUNCTION take_in_one(
  channel_kind text, channel uuid, tenant uuid, key text, kind text, lane text, payload bytea, error text,
  correlation text, news_channel text, news text
) RETURNS boolean LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  PERFORM set_config('synchronous_commit', 'off', true);
  INSERT INTO inbox (channel_kind, channel_id, tenant_id, dedupe_key, kind, lane, payload, state, error,
    correlation_id)
  VALUES ($1, $2, $3, $4, $5, $6, $7, CASE WHEN $8 IS NULL THEN 'new' ELSE 'unparsed' END, $8, $9)
  ON CONFLICT (dedupe_key) DO NOTHING;
  IF NOT FOUND THEN
    RETURN false;
  END IF;
  IF $8 IS NULL THEN
    INSERT INTO jobs (lane, kind, tenant_id, correlation_id) VALUES ($6, 'inbox', $3, $9);
    PERFORM pg_notify($10, $11);
  END IF;
  RETURN true;
END $$;

-- Waits until everything that was committed before is on the disk: this transaction's own record comes after it,
-- and its commit waits for the disk.
CREATE FUNCTION make_durable() RETURNS void LANGUAGE sql VOLATILE AS $$
  SELECT pg_logical_emit_message(true, 'metachat', '')
$$;

REVOKE EXECUTE ON FUNCTION take_in_one, make_durable FROM PUBLIC;
GRANT EXECUTE ON FUNCTION take_in_one, make_durable TO metachat_app, metachat_worker;
