-- What collectors know of their records, and days that the live path can touch no more.

-- Records as the collectors know them, by hour of the append time, for each run of a collector.
CREATE TABLE {table unmerged_accepted_hour by boot} (
    t DateTime('UTC'),
    service UInt16,
    log Enum8('events' = 1, 'backfill' = 2, 'corrections' = 3),
    boot UInt64,
    accepted SimpleAggregateFunction(max, UInt64) CODEC(T64, LZ4),
    given_up SimpleAggregateFunction(max, UInt64) CODEC(T64, LZ4)
)
ENGINE = {engine AggregatingMergeTree}
PARTITION BY toYYYYMM(t)
PRIMARY KEY (toDate(t), service)
ORDER BY (toDate(t), service, log, boot, t)
SETTINGS index_granularity = 1024, non_replicated_deduplication_window = 0, fsync_after_insert = 1, fsync_part_directory = 1;

-- Runs of collectors. One that has not ended and writes no more was killed: it is unclosed.
CREATE TABLE {table unmerged_boots by boot} (
    boot UInt64,
    opened_at SimpleAggregateFunction(max, DateTime64(3, 'UTC')),
    written_at SimpleAggregateFunction(max, DateTime64(3, 'UTC')),
    ended SimpleAggregateFunction(max, UInt8),
    left_open SimpleAggregateFunction(max, UInt64)
)
ENGINE = {engine AggregatingMergeTree}
ORDER BY boot
SETTINGS index_granularity = 1024, non_replicated_deduplication_window = 0, fsync_after_insert = 1, fsync_part_directory = 1;

CREATE VIEW {view accepted_hour} AS
SELECT t, service, log, boot, accepted, given_up FROM {cells}.unmerged_accepted_hour FINAL;

CREATE VIEW {view boots} AS
SELECT boot, opened_at, written_at, ended, left_open FROM {cells}.unmerged_boots FINAL;

-- The ledger for people, by log: one row for each source.
CREATE VIEW {view recorded_hour} AS
SELECT t, service, log, outcome, n FROM {cells}.unmerged_ledger_hour FINAL;

-- Every record without what only its department may see. A source's records are in the order of their offsets: ask for
-- the source, and for a time of `appended_at`.
CREATE VIEW {view receipts} AS
SELECT log, epoch, p, offset, appended_at, received_at, occurred_at, outcome, service, id, kind, stage, channel, step,
    reason, page, content, boot
FROM {cells}.raw;

-- One row for each service and closed day, all channels and sources together. `version` is the sum of the applied offsets
-- of the cells in it: it grows with them, and the same version is the same row.
CREATE TABLE {table sealed_day by service} (
    d Date,
    service UInt16,
    version UInt64,
    started Int64 CODEC(T64, LZ4),
    completed Int64 CODEC(T64, LZ4),
    completed_digital Int64 CODEC(T64, LZ4),
    completed_started Int64 CODEC(T64, LZ4),
    failed Int64 CODEC(T64, LZ4),
    abandoned Int64 CODEC(T64, LZ4),
    duration_ms Int64 CODEC(T64, LZ4),
    value_pence Int64 CODEC(T64, LZ4),
    rated Int64 CODEC(T64, LZ4),
    rating_sum Int64 CODEC(T64, LZ4),
    completed_by Map(UInt8, Int64),
    durations Map(UInt8, Int64)
)
ENGINE = {engine ReplacingMergeTree(version)}
PARTITION BY toYear(d)
ORDER BY (d, service)
SETTINGS index_granularity = 1024, non_replicated_deduplication_window = 0, fsync_after_insert = 1, fsync_part_directory = 1;

-- Which days are sealed: `mark` is what was known of late changes to the day before its cells were read.
CREATE TABLE {table unmerged_seals by d} (
    d Date,
    mark SimpleAggregateFunction(max, UInt64),
    sealed_at SimpleAggregateFunction(max, DateTime64(3, 'UTC'))
)
ENGINE = {engine AggregatingMergeTree}
ORDER BY d
SETTINGS index_granularity = 1024, non_replicated_deduplication_window = 0, fsync_after_insert = 1, fsync_part_directory = 1;

-- Changes of days by the late logs, by source: `begun` is written before the cells, `done` after them. A day whose seal
-- does not know of all that was begun is read from its cells.
CREATE TABLE {table unmerged_touched_day} (
    d Date,
    log Enum8('events' = 1, 'backfill' = 2, 'corrections' = 3),
    epoch UInt16,
    p UInt16,
    begun SimpleAggregateFunction(max, UInt64),
    done SimpleAggregateFunction(max, UInt64),
    touched_at SimpleAggregateFunction(max, DateTime64(3, 'UTC'))
)
ENGINE = {engine AggregatingMergeTree}
ORDER BY (d, log, epoch, p)
SETTINGS index_granularity = 1024, non_replicated_deduplication_window = 0, fsync_after_insert = 1, fsync_part_directory = 1;

-- Days whose seal holds.
CREATE VIEW {view sealed_days} AS
SELECT s.d AS d, s.mark AS mark, s.sealed_at AS sealed_at
FROM (SELECT d, mark, sealed_at FROM {cells}.unmerged_seals FINAL) AS s
LEFT JOIN (SELECT d, sum(begun) AS mark FROM {cells}.unmerged_touched_day FINAL GROUP BY d) AS touched ON touched.d = s.d
WHERE s.mark >= touched.mark;

-- Whole services by day from their cells. `completed_started` is of the channels that report starts on that day.
CREATE VIEW {view day_folded} AS
SELECT d, service, sum(channel_version) AS version,
    sum(channel_started) AS started,
    sum(channel_completed) AS completed,
    sumIf(channel_completed, channel IN (1, 2, 3)) AS completed_digital,
    sumIf(channel_completed, reports_starts) AS completed_started,
    sum(channel_failed) AS failed,
    sum(channel_abandoned) AS abandoned,
    sum(channel_duration_ms) AS duration_ms,
    sum(channel_value_pence) AS value_pence,
    sum(channel_rated) AS rated,
    sum(channel_rating_sum) AS rating_sum,
    sumMap(if(channel_completed = 0, map(), map(channel, channel_completed))) AS completed_by,
    sumMap(channel_durations) AS durations
FROM (
    WITH toInt64(if(log = 'corrections', -1, 1)) AS sign
    SELECT d, service, channel,
        sum(applied_offset + 1) AS channel_version,
        sum(toInt64(started) * sign) AS channel_started,
        max(started) > 0 AS reports_starts,
        sum(toInt64(completed) * sign) AS channel_completed,
        sum(toInt64(failed) * sign) AS channel_failed,
        sum(toInt64(abandoned) * sign) AS channel_abandoned,
        sum(toInt64(duration_ms) * sign) AS channel_duration_ms,
        sum(toInt64(value_pence) * sign) AS channel_value_pence,
        sum(toInt64(arraySum(mapValues(ratings))) * sign) AS channel_rated,
        sum(toInt64(arraySum((k, n) -> k * n, mapKeys(ratings), mapValues(ratings))) * sign) AS channel_rating_sum,
        sumMap(mapApply((k, n) -> (k, toInt64(n) * sign), durations)) AS channel_durations
    FROM {cells}.unmerged_day FINAL
    GROUP BY d, service, channel
)
GROUP BY d, service;

-- Figures of whole services by day, for ranges of any length: sealed days from their rows, the others from their cells.
CREATE VIEW {view day_total} AS
SELECT d, service, version, started, completed, completed_digital, completed_started, failed, abandoned, duration_ms,
    value_pence, rated, rating_sum, completed_by, durations
FROM {cells}.sealed_day FINAL
WHERE d IN (SELECT d FROM {figures}.sealed_days)
UNION ALL
SELECT d, service, version, started, completed, completed_digital, completed_started, failed, abandoned, duration_ms,
    value_pence, rated, rating_sum, completed_by, durations
FROM {figures}.day_folded
WHERE d NOT IN (SELECT d FROM {figures}.sealed_days);
