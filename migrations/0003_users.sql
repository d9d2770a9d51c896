-- People who log in with a password, and the refresh tokens that they hold.
CREATE TABLE users (
  name text PRIMARY KEY CHECK (name <> ''),
  -- Argon2id, with its salt and parameters.
  password_hash text NOT NULL,
  scopes text[] NOT NULL,
  disabled boolean NOT NULL DEFAULT false,
  -- Of the tokens that count: those of a lesser one are worthless.
  generation bigint NOT NULL DEFAULT 1,
  created_at timestamptz NOT NULL DEFAULT now(),
  -- As in api_keys.
  version bigint NOT NULL
);
CREATE SEQUENCE user_versions;
CREATE INDEX users_version ON users (version);

CREATE TABLE refresh_tokens (
  -- BLAKE2b-256 of the token.
  digest bytea PRIMARY KEY CHECK (octet_length(digest) = 32),
  -- All that came of one login.
  family uuid NOT NULL,
  user_name text NOT NULL REFERENCES users (name) ON DELETE CASCADE,
  expires_at timestamptz NOT NULL,
  -- A used one is kept until it expires: when it comes again, its family ends.
  used_at timestamptz
);
CREATE INDEX refresh_tokens_family ON refresh_tokens (family);
CREATE INDEX refresh_tokens_user ON refresh_tokens (user_name, expires_at);
CREATE INDEX refresh_tokens_expiry ON refresh_tokens (expires_at);
