-- Usage per key, client, model, source and UTC day, in one partition a month: what is too old goes
-- with its partition. What was counted so far had no client.
ALTER TABLE usage_daily RENAME TO usage_daily_before;
ALTER INDEX usage_daily_pkey RENAME TO usage_daily_before_pkey;

CREATE TABLE usage_daily (
  day date NOT NULL,
  key_id text NOT NULL,
  -- X-Client-ID; empty: none came; 'other': more of them than are told apart.
  client_id text NOT NULL,
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
  -- Microseconds from permit to end, times the GPUs that the model holds; and without a permit.
  gpu_us bigint NOT NULL CHECK (gpu_us >= 0),
  queue_us bigint NOT NULL CHECK (queue_us >= 0),
  -- When the latest of these requests ended, and how.
  last_seen timestamptz NOT NULL,
  last_status text NOT NULL CHECK (last_status IN ('success', 'error', 'cancelled')),
  PRIMARY KEY (day, key_id, client_id, model, source),
  CHECK (requests = successes + errors + cancelled)
) PARTITION BY RANGE (day);

-- Makes the partition of this day's month, when it is not there yet. To attach one waits for no
-- reader or writer of the others, which to create it as a partition would.
CREATE FUNCTION usage_make_partition(of_day date) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  first_day date := date_trunc('month', of_day::timestamp)::date;
  partition text := 'usage_daily_' || to_char(of_day, 'YYYYMM');
BEGIN
  IF to_regclass(partition) IS NOT NULL THEN RETURN; END IF;
  LOCK TABLE ONLY usage_daily IN SHARE UPDATE EXCLUSIVE MODE;  -- one maker at a time
  IF to_regclass(partition) IS NOT NULL THEN RETURN; END IF;
  EXECUTE format('CREATE TABLE %I (LIKE usage_daily INCLUDING ALL)', partition);
  EXECUTE format('ALTER TABLE usage_daily ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
                 partition, first_day, (first_day + interval '1 month')::date);
END $$;

-- Drops the partitions all of whose days are before this one; returns how many. That takes a lock
-- which every reader is in the way of, so nothing is locked when there are none.
CREATE FUNCTION usage_drop_partitions(before_day date) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
  partition text;
  dropped integer := 0;
BEGIN
  FOR partition IN
    SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent = 'usage_daily'::regclass AND c.relname ~ '^usage_daily_[0-9]{6}$'
      AND to_date(right(c.relname, 6), 'YYYYMM') + interval '1 month' <= before_day
  LOOP
    EXECUTE format('DROP TABLE IF EXISTS %I', partition);
    dropped := dropped + 1;
  END LOOP;
  RETURN dropped;
END $$;

SELECT usage_make_partition(month.day)
FROM (SELECT DISTINCT date_trunc('month', day::timestamp)::date AS day
      FROM usage_daily_before) AS month;

INSERT INTO usage_daily
SELECT day, key_id, '', model, source, requests, successes, errors, cancelled, prompt_tokens,
  completion_tokens, estimated, 0, 0, day::timestamp AT TIME ZONE 'UTC',
  CASE WHEN successes > 0 OR requests = 0 THEN 'success'
       WHEN errors > 0 THEN 'error' ELSE 'cancelled' END
FROM usage_daily_before;

DROP TABLE usage_daily_before;
