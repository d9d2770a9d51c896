-- Why runtimes ended when nobody asked them to.
CREATE TABLE crashes (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  at timestamptz NOT NULL,
  model text NOT NULL,
  -- scheduling::exit_reason
  reason text NOT NULL CHECK (reason IN
    ('asked', 'crashed', 'oom', 'segfault', 'start_failed', 'start_timeout')),
  detail text NOT NULL,
  log_tail text[] NOT NULL
);
CREATE INDEX crashes_newest ON crashes (at DESC, id DESC);

-- What each key used of each model, per UTC day. Every request ended in exactly one way.
CREATE TABLE usage_daily (
  day date NOT NULL,
  key_id text NOT NULL,
  model text NOT NULL,
  source text NOT NULL CHECK (source IN ('realtime', 'batch', 'eval')),
  requests bigint NOT NULL CHECK (requests >= 0),
  successes bigint NOT NULL CHECK (successes >= 0),
  errors bigint NOT NULL CHECK (errors >= 0),
  cancelled bigint NOT NULL CHECK (cancelled >= 0),
  prompt_tokens bigint NOT NULL CHECK (prompt_tokens >= 0),
  completion_tokens bigint NOT NULL CHECK (completion_tokens >= 0),
  -- Requests of these whose runtime told no usage: their tokens are estimated.
  estimated bigint NOT NULL CHECK (estimated BETWEEN 0 AND requests),
  PRIMARY KEY (day, key_id, model, source),
  CHECK (requests = successes + errors + cancelled)
);

-- Batches that were added to usage_daily, so that one sent twice is added once.
CREATE TABLE usage_batches (
  id uuid PRIMARY KEY,
  applied_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX usage_batches_applied_at ON usage_batches (applied_at);
