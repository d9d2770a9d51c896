-- A session is what came of one login: it has one refresh token at a time. Any other one that names
-- it was used before, so that none of these needs to be kept. (Whoever is logged in has to log in
-- again.)
DROP TABLE refresh_tokens;
CREATE TABLE sessions (
  id text PRIMARY KEY CHECK (id <> ''),
  user_name text NOT NULL REFERENCES users (name) ON DELETE CASCADE,
  -- BLAKE2b-256 of the token.
  digest bytea NOT NULL CHECK (octet_length(digest) = 32),
  expires_at timestamptz NOT NULL
);
CREATE INDEX sessions_user ON sessions (user_name, expires_at);
CREATE INDEX sessions_expiry ON sessions (expires_at);
