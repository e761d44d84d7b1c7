-- How far callers have used up what they may ask, under hashed keys: `full_at` is when all of it is theirs again.
-- Shared by the api processes. Not logged: after a crash of the database everybody begins anew.
CREATE UNLOGGED TABLE rate_levels (
  key bytea PRIMARY KEY CHECK (length(key) = 16),
  full_at timestamptz NOT NULL
) WITH (fillfactor = 60);
GRANT SELECT, INSERT, UPDATE, DELETE ON rate_levels TO metachat_app;
