CREATE TABLE assistants (
  tenant_id uuid PRIMARY KEY REFERENCES tenants ON DELETE CASCADE,
  brand_name text NOT NULL DEFAULT '',
  tone text NOT NULL DEFAULT 'friendly'
    CHECK (tone IN ('friendly', 'professional', 'casual', 'formal', 'enthusiastic', 'empathetic')),
  answer_language text,
  instructions text NOT NULL DEFAULT '',
  provider text NOT NULL DEFAULT 'extractive' CHECK (provider IN ('extractive', 'openai', 'anthropic', 'ollama')),
  model text NOT NULL DEFAULT '',
  base_url text,
  api_key_sealed bytea,
  temperature real,
  max_tokens integer,
  updated_at timestamptz NOT NULL DEFAULT now()
);
SELECT isolate_tenants('assistants');
