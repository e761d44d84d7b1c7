-- A row that belongs to a tenant's channel or conversation belongs to the tenant: asking for the tenant's row
-- beside, for each message, made all writers of a tenant share its lock, and decides nothing more.
ALTER TABLE contacts DROP CONSTRAINT contacts_tenant_id_fkey;
ALTER TABLE conversations DROP CONSTRAINT conversations_tenant_id_fkey;
ALTER TABLE messages DROP CONSTRAINT messages_tenant_id_fkey;
ALTER TABLE receipts DROP CONSTRAINT receipts_tenant_id_fkey;

-- Takes those of the lanes that are free, and reads their next due jobs: one row a job, or one without a job.
-- The second statement has a snapshot of its own: only a new one surely sees what a lane's previous holder has
-- finished. Lanes are always locked in the order of their names, so that no two workers wait for each other; a
-- lane that is held or rests fails the last condition and stays as it is.
CREATE FUNCTION claim_lanes(owner text, wanted text[], lease double precision, burst bigint)
RETURNS TABLE (
  lane text, taken_over boolean, watched boolean, id bigint, kind text, tenant_id uuid, payload jsonb,
  attempts integer, deaths integer, correlation_id text, deduped boolean
) LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
DECLARE
  taken text[];
  dead boolean[];
  seen boolean[];
BEGIN
  WITH free AS (
    INSERT INTO lanes AS held (lane, leased_by, leased_until)
    SELECT asked.lane, $1, now() + make_interval(secs => $3) FROM unnest($2) AS asked(lane)
    WHERE EXISTS (SELECT FROM jobs WHERE jobs.lane = asked.lane AND run_at <= now())
      AND NOT EXISTS (SELECT FROM lanes WHERE lanes.lane = asked.lane AND leased_until >= now())
    ORDER BY asked.lane
    ON CONFLICT (lane) DO UPDATE SET leased_by = excluded.leased_by, leased_until = excluded.leased_until,
      taken_over = held.leased_by IS NOT NULL, watched = held.watched AND held.leased_by IS NOT NULL
    WHERE held.leased_until < now()
    RETURNING held.lane, held.taken_over, held.watched
  )
  SELECT array_agg(free.lane), array_agg(free.taken_over), array_agg(free.watched)
  INTO taken, dead, seen FROM free;
  RETURN QUERY SELECT got.lane, got.taken_over, got.watched, job.id, job.kind, job.tenant_id, job.payload,
    job.attempts, job.deaths, job.correlation_id, job.dedupe_key IS NOT NULL
  FROM unnest(taken, dead, seen) AS got(lane, taken_over, watched)
  LEFT JOIN LATERAL (
    SELECT * FROM jobs WHERE jobs.lane = got.lane AND run_at <= now() ORDER BY jobs.id LIMIT $4
  ) job ON true ORDER BY job.id;
END $$;
REVOKE EXECUTE ON FUNCTION claim_lanes FROM PUBLIC;
GRANT EXECUTE ON FUNCTION claim_lanes TO metachat_worker;
