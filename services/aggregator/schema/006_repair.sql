-- Ranges of a log that nobody can know any more: raw does not have them and Kafka neither. Raw is dense but for these.
CREATE TABLE {table lost} (
    log Enum8('events' = 1, 'backfill' = 2, 'corrections' = 3),
    epoch UInt16,
    p UInt16,
    from_offset UInt64,
    until_offset UInt64,
    found_at DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = {engine ReplacingMergeTree}
ORDER BY (log, epoch, p, from_offset, until_offset)
SETTINGS index_granularity = 1024, non_replicated_deduplication_window = 0, fsync_after_insert = 1, fsync_part_directory = 1;
