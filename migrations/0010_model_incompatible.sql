-- Models that their runtime does not know.
ALTER TABLE crashes DROP CONSTRAINT crashes_reason_check;
ALTER TABLE crashes ADD CONSTRAINT crashes_reason_check CHECK (reason IN
  ('asked', 'crashed', 'oom', 'killed', 'hung', 'segfault', 'start_failed', 'start_timeout',
   'model_incompatible'));
