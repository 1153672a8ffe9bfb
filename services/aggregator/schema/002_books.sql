-- The books: what became of every record.

-- By source, written last and in one block: the rows of a source always belong together. Unpartitioned, since an insert
-- is atomic for one partition only.
CREATE TABLE {table unmerged_ledger} (
    log Enum8('events' = 1, 'backfill' = 2, 'corrections' = 3),
    epoch UInt16,
    p UInt16,
    outcome UInt8,
    n SimpleAggregateFunction(max, UInt64) CODEC(T64, LZ4),
    appended_at SimpleAggregateFunction(max, DateTime64(3, 'UTC')),
    applied_offset SimpleAggregateFunction(max, UInt64) CODEC(T64, LZ4)
)
ENGINE = {engine AggregatingMergeTree}
ORDER BY (log, epoch, p, outcome)
SETTINGS index_granularity = 1024, non_replicated_deduplication_window = 0, fsync_after_insert = 1, fsync_part_directory = 1;

-- For people: by service and hour of the append time.
CREATE TABLE {table unmerged_ledger_hour} (
    t DateTime('UTC'),
    service UInt16,
    outcome UInt8,
    log Enum8('events' = 1, 'backfill' = 2, 'corrections' = 3),
    epoch UInt16,
    p UInt16,
    n SimpleAggregateFunction(max, UInt64) CODEC(T64, LZ4),
    applied_offset SimpleAggregateFunction(max, UInt64) CODEC(T64, LZ4)
)
ENGINE = {engine AggregatingMergeTree}
PARTITION BY toYYYYMM(t)
PRIMARY KEY (toDate(t), service)
ORDER BY (toDate(t), service, outcome, log, epoch, p, t)
SETTINGS index_granularity = 1024, non_replicated_deduplication_window = 0, fsync_after_insert = 1, fsync_part_directory = 1;

-- Every record with its outcome. `duration_ms` 4294967295 and `value_pence` 18446744073709551615 mean that none was
-- given. `extra` holds what is rare, as JSON (path, visitor, attributes), or the bytes of what could not be decoded.
CREATE TABLE {table raw} (
    log Enum8('events' = 1, 'backfill' = 2, 'corrections' = 3),
    epoch UInt16,
    p UInt16,
    offset UInt64 CODEC(Delta(8), ZSTD(1)),
    appended_at DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)),
    received_at DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)),
    occurred_at DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)),
    outcome UInt8 CODEC(ZSTD(1)),
    service UInt16 CODEC(ZSTD(1)),
    id UUID CODEC(NONE),
    kind UInt8 CODEC(ZSTD(1)),
    stage UInt8 CODEC(ZSTD(1)),
    channel UInt8 CODEC(ZSTD(1)),
    step UInt8 CODEC(ZSTD(1)),
    reason UInt8 CODEC(ZSTD(1)),
    duration_ms UInt32 CODEC(T64, ZSTD(1)),
    value_pence UInt64 CODEC(T64, ZSTD(1)),
    rating UInt8 CODEC(ZSTD(1)),
    page UInt32 CODEC(ZSTD(1)),
    visitor UInt64 CODEC(ZSTD(1)),
    content UInt64 CODEC(NONE),
    boot UInt64 CODEC(ZSTD(1)),
    extra String CODEC(ZSTD(1))
)
ENGINE = {engine ReplacingMergeTree}
PARTITION BY toYYYYMM(appended_at)
ORDER BY (log, epoch, p, offset)
TTL toDateTime(appended_at) + INTERVAL 14 MONTH
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 0, fsync_after_insert = 1,
    fsync_part_directory = 1;

-- The rules by which outcomes are decided: immutable rows, each from an offset of a source on.
CREATE TABLE {table rules} (
    log Enum8('events' = 1, 'backfill' = 2, 'corrections' = 3),
    epoch UInt16,
    p UInt16,
    from_offset UInt64,
    rules String,
    written_at DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = {engine MergeTree}
ORDER BY (log, epoch, p, from_offset)
SETTINGS non_replicated_deduplication_window = 0, fsync_after_insert = 1, fsync_part_directory = 1;
