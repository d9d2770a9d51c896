-- Keys that were made while the gateway ran, or imported. Those of the configuration are not here.
CREATE TABLE api_keys (
  id text PRIMARY KEY,
  name text NOT NULL,
  owner text NOT NULL,
  -- The first characters of the secret, to tell keys apart by.
  hint text NOT NULL,
  -- BLAKE2b-256 of the secret, which is random: nobody can look up what it was.
  digest bytea NOT NULL UNIQUE CHECK (octet_length(digest) = 32),
  -- After a rotation the old secret works until then.
  old_digest bytea UNIQUE CHECK (octet_length(old_digest) = 32),
  old_until timestamptz,
  scopes text[] NOT NULL,
  -- Empty: all models.
  models text[] NOT NULL,
  weight double precision NOT NULL CHECK (weight > 0),
  -- 0: no such limit.
  requests_per_minute double precision NOT NULL CHECK (requests_per_minute >= 0),
  burst double precision NOT NULL CHECK (burst >= 0),
  tokens_per_minute double precision NOT NULL CHECK (tokens_per_minute >= 0),
  max_concurrent bigint NOT NULL CHECK (max_concurrent >= 0),
  tokens_per_day bigint NOT NULL CHECK (tokens_per_day >= 0),
  created_at timestamptz NOT NULL DEFAULT now(),
  expires_at timestamptz,
  revoked_at timestamptz,
  -- Of the last change: a gateway reads what is above the greatest that it knows. Writers hold a
  -- lock on the table, so that no lesser number is committed after a greater one.
  version bigint NOT NULL,
  CHECK ((old_digest IS NULL) = (old_until IS NULL))
);
CREATE SEQUENCE api_key_versions;
CREATE INDEX api_keys_version ON api_keys (version);
CREATE INDEX api_keys_newest ON api_keys (created_at DESC, id DESC);

-- When each key's limits are full again (scheduling/rate_limit.hpp), so that a restart hands out no
-- new burst. Keys of the configuration too.
CREATE TABLE key_limit_states (
  key_id text PRIMARY KEY,
  requests_full_at timestamptz NOT NULL,
  tokens_full_at timestamptz NOT NULL
);
