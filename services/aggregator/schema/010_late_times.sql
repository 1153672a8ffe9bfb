-- Backfill comes in stretches of time, and is looked up by the time at which it happened.

ALTER TABLE {table raw} ADD INDEX IF NOT EXISTS by_occurrence occurred_at TYPE minmax GRANULARITY 1;
