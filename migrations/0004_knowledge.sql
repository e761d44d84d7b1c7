-- Which embedding model made a tenant's vectors: vectors of two models are never compared.
CREATE TABLE corpora (
  tenant_id uuid PRIMARY KEY REFERENCES tenants ON DELETE CASCADE,
  embedding_model text NOT NULL,
  dimension integer NOT NULL CHECK (dimension BETWEEN 1 AND 1300),
  -- The languages of its documents: a question's words are looked for in each of them.
  languages text[] NOT NULL DEFAULT '{}'
);
SELECT isolate_tenants('corpora');

CREATE TABLE documents (
  tenant_id uuid NOT NULL REFERENCES tenants ON DELETE CASCADE,
  id uuid NOT NULL,
  name text NOT NULL,
  media_type text NOT NULL,
  size_bytes bigint NOT NULL,
  sha256 text NOT NULL,
  version integer NOT NULL DEFAULT 1,
  status text NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'processing', 'ready', 'failed', 'stale')),
  error_code text,
  error_message text,
  language text,
  pages integer,
  chunks_done integer NOT NULL DEFAULT 0,
  chunks_total integer,
  indexed_sha256 text,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant_id, id),
  UNIQUE (tenant_id, name)
);
SELECT isolate_tenants('documents');

CREATE TABLE chunks (
  tenant_id uuid NOT NULL,
  id bigint GENERATED ALWAYS AS IDENTITY,
  document_id uuid NOT NULL,
  position integer NOT NULL,
  page integer,
  heading text,
  text text NOT NULL,
  language text NOT NULL,
  embedding halfvec NOT NULL,
  lexemes tsvector NOT NULL,
  PRIMARY KEY (tenant_id, id),
  FOREIGN KEY (tenant_id, document_id) REFERENCES documents ON DELETE CASCADE
);
CREATE INDEX chunks_by_document ON chunks (tenant_id, document_id, position);
-- Exact search reads this index alone; measured faster and exact where a filtered graph index loses recall.
CREATE INDEX chunks_vectors ON chunks (tenant_id) INCLUDE (id, embedding);
CREATE INDEX chunks_lexemes ON chunks USING gin (lexemes);
SELECT isolate_tenants('chunks');
-- Ranking reads the words of every match, but vectors lie in their index already: what a row has no room for
-- shall be its vector.
ALTER TABLE chunks ALTER COLUMN lexemes SET STORAGE MAIN, ALTER COLUMN text SET STORAGE MAIN,
  ALTER COLUMN embedding SET STORAGE EXTERNAL;
-- An index-only scan needs pages marked all-visible, which only vacuum does: let it come soon after an upload.
ALTER TABLE chunks SET (
  autovacuum_vacuum_insert_threshold = 200, autovacuum_vacuum_insert_scale_factor = 0.01,
  autovacuum_vacuum_threshold = 200, autovacuum_vacuum_scale_factor = 0.02,
  autovacuum_analyze_threshold = 500, autovacuum_analyze_scale_factor = 0.05
);
