-- Runtimes that somebody else killed, and those that were killed because they hung.
ALTER TABLE crashes DROP CONSTRAINT crashes_reason_check;
ALTER TABLE crashes ADD CONSTRAINT crashes_reason_check CHECK (reason IN
  ('asked', 'crashed', 'oom', 'killed', 'hung', 'segfault', 'start_failed', 'start_timeout'));
