-- A message of ours that its provider has not taken yet; the row goes when it is taken, or has failed for good.
-- part: how many of its parts were taken. round: how often somebody had it sent anew. started_at: since when
-- a call for it is under way, or has ended without our knowing how. repeated: how often it was sent again
-- without that having become known.
CREATE TABLE deliveries (
  tenant_id uuid NOT NULL,
  message_id uuid NOT NULL,
  part smallint NOT NULL DEFAULT 0 CHECK (part >= 0),
  round smallint NOT NULL DEFAULT 0 CHECK (round >= 0),
  attempts integer NOT NULL DEFAULT 0 CHECK (attempts >= 0),
  repeated integer NOT NULL DEFAULT 0 CHECK (repeated >= 0),
  started_at timestamptz,
  created_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant_id, message_id),
  FOREIGN KEY (tenant_id, message_id) REFERENCES messages ON DELETE CASCADE
  -- Each row is changed once and deleted soon: room for both versions on its page.
) WITH (fillfactor = 60);
SELECT isolate_tenants('deliveries');
-- The worker looks for those whose job the queue has laid aside, of every tenant; what is young has one.
CREATE POLICY lingering ON deliveries FOR SELECT TO metachat_worker
  USING (created_at < now() - interval '10 minutes');

-- How far each of the providers' limits is used up, for all workers together: in seconds since 1970, when
-- what was granted will have been paid back. Lost in a crash, when everything was quiet for longer than that.
CREATE UNLOGGED TABLE paces (
  key text PRIMARY KEY CHECK (length(key) <= 400),
  due double precision NOT NULL,
  pause double precision NOT NULL CHECK (pause > 0),
  burst integer NOT NULL CHECK (burst > 0),
  granted integer NOT NULL
) WITH (fillfactor = 50);
GRANT SELECT, INSERT, UPDATE, DELETE ON paces TO metachat_worker;

-- The worker forgets what providers told of long ago, whosesoever it is, and sees nothing younger by this.
CREATE INDEX receipts_by_age ON receipts USING brin (at);
CREATE POLICY forgotten ON receipts TO metachat_worker
  USING (at < now() - interval '30 days') WITH CHECK (false);
