-- The parts of prompt_tokens that were read from a cache, and of completion_tokens that were spent
-- on reasoning, where the runtime tells them.
ALTER TABLE usage_daily
  ADD COLUMN cached_tokens bigint NOT NULL DEFAULT 0 CHECK (cached_tokens >= 0),
  ADD COLUMN reasoning_tokens bigint NOT NULL DEFAULT 0 CHECK (reasoning_tokens >= 0);
