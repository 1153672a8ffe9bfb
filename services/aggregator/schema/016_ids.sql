-- Where an event is, is asked by its id: some are looked for in all that their partitions had in a month. Parts that were
-- written before have no filter and are read as before; merges give them one.

ALTER TABLE {table raw} ADD INDEX IF NOT EXISTS by_id id TYPE bloom_filter(0.001) GRANULARITY 1;
