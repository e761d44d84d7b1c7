-- What looks on, and what makes copies: each may do that and nothing else, and comes from this machine only.
DO $$
BEGIN
  IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'metachat_monitor') THEN
    CREATE ROLE metachat_monitor LOGIN NOSUPERUSER NOBYPASSRLS CONNECTION LIMIT 5;
  END IF;
  IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'metachat_backup') THEN
    CREATE ROLE metachat_backup LOGIN REPLICATION NOSUPERUSER CONNECTION LIMIT 5;
  END IF;
END $$;
GRANT pg_monitor TO metachat_monitor;
ALTER ROLE metachat_monitor SET default_transaction_read_only = on;
