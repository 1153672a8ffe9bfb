-- Dead letters: every record whose outcome is invalid, in any log, with its reason and its bytes. Revisions by the hour.

-- Written before the ledger that counts them, by the place of the record: written again it is the same row. `content` is
-- the first 64 KiB of the record, `size` all of it. As it may hold anything, nothing but its beginning leaves this table.
CREATE TABLE {table letters} (
    log Enum8('events' = 1, 'backfill' = 2, 'corrections' = 3),
    epoch UInt16,
    p UInt16,
    offset UInt64,
    appended_at DateTime64(3, 'UTC'),
    outcome UInt8,
    service UInt16,
    reason String,
    size UInt32,
    content String CODEC(ZSTD(1))
)
ENGINE = {engine ReplacingMergeTree}
PARTITION BY toYYYYMM(appended_at)
ORDER BY (log, epoch, p, offset)
TTL toDateTime(appended_at) + INTERVAL 14 MONTH
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 0, fsync_after_insert = 1,
    fsync_part_directory = 1;

-- Which of them were sent anew, when, and where the new record stands: the newest replay of each.
CREATE TABLE {table replays} (
    log Enum8('events' = 1, 'backfill' = 2, 'corrections' = 3),
    epoch UInt16,
    p UInt16,
    offset UInt64,
    to_log Enum8('events' = 1, 'backfill' = 2, 'corrections' = 3),
    to_epoch UInt16,
    to_p UInt16,
    to_offset UInt64,
    replayed_at DateTime64(3, 'UTC')
)
ENGINE = {engine ReplacingMergeTree(replayed_at)}
ORDER BY (log, epoch, p, offset)
SETTINGS index_granularity = 1024, non_replicated_deduplication_window = 0, fsync_after_insert = 1, fsync_part_directory = 1;

-- Dead letters without most of their content, each with its newest replay; `to_offset` means nothing where
-- `is_replayed` is 0.
CREATE VIEW {view letters} AS
SELECT log, epoch, p, offset, appended_at, outcome, service, reason, size, substring(content, 1, 48) AS beginning,
    is_replayed, to_log, to_epoch, to_p, to_offset, replayed_at
FROM (
    SELECT log, epoch, p, offset, appended_at, outcome, service, reason, size, content FROM {cells}.letters FINAL
) AS kept
LEFT JOIN (
    SELECT log, epoch, p, offset, 1 AS is_replayed, to_log, to_epoch, to_p, to_offset, replayed_at
    FROM {cells}.replays FINAL
) AS sent USING (log, epoch, p, offset);

-- What changed a day after the fact, by the hour `t` in which it came: as `revisions`, for a span of time.
CREATE VIEW {view revised_hour} AS
SELECT toStartOfHour(appended_at) AS t, toDate(occurred_at, 'Europe/London') AS d, service,
    if(log = 'backfill', 'added', 'retracted') AS kind,
    count() AS events
FROM {cells}.raw FINAL
WHERE log IN ('backfill', 'corrections') AND outcome IN (1, 14)
GROUP BY t, d, service, kind;
