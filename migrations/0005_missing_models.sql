-- Names that clients asked for and no model has; the least recently seen go (missing_model_store).
CREATE TABLE missing_models (
  model text PRIMARY KEY,
  requests bigint NOT NULL CHECK (requests > 0),
  first_seen timestamptz NOT NULL,
  last_seen timestamptz NOT NULL,
  -- Who asked last; empty: no X-Client-ID came.
  last_client_id text NOT NULL,
  last_key_id text NOT NULL
);
CREATE INDEX missing_models_newest ON missing_models (last_seen DESC, model);
