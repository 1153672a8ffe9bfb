-- Cells: absolute totals of one source, one row for each version, merged with max.

CREATE TABLE {table unmerged_minute} (
    t DateTime('UTC'),
    service UInt16,
    channel UInt8,
    log Enum8('events' = 1, 'backfill' = 2, 'corrections' = 3),
    epoch UInt16,
    p UInt16,
    started SimpleAggregateFunction(max, UInt64) CODEC(T64, LZ4),
    completed SimpleAggregateFunction(max, UInt64) CODEC(T64, LZ4),
    failed SimpleAggregateFunction(max, UInt64) CODEC(T64, LZ4),
    abandoned SimpleAggregateFunction(max, UInt64) CODEC(T64, LZ4),
    duration_ms SimpleAggregateFunction(max, UInt64) CODEC(T64, LZ4),
    value_pence SimpleAggregateFunction(max, UInt64) CODEC(T64, LZ4),
    durations SimpleAggregateFunction(maxMap, Map(UInt8, UInt64)),
    ratings SimpleAggregateFunction(maxMap, Map(UInt8, UInt64)),
    applied_offset SimpleAggregateFunction(max, UInt64) CODEC(T64, LZ4)
)
ENGINE = {engine AggregatingMergeTree}
PARTITION BY toYYYYMMDD(t)
PRIMARY KEY (t, service)
ORDER BY (t, service, channel, log, epoch, p)
TTL t + INTERVAL {minute_ttl_days} DAY
SETTINGS index_granularity = 1024, non_replicated_deduplication_window = 0, fsync_after_insert = 1, fsync_part_directory = 1, ttl_only_drop_parts = 1;

CREATE TABLE {table unmerged_hour} (
    t DateTime('UTC'),
    service UInt16,
    channel UInt8,
    log Enum8('events' = 1, 'backfill' = 2, 'corrections' = 3),
    epoch UInt16,
    p UInt16,
    started SimpleAggregateFunction(max, UInt64) CODEC(T64, LZ4),
    completed SimpleAggregateFunction(max, UInt64) CODEC(T64, LZ4),
    failed SimpleAggregateFunction(max, UInt64) CODEC(T64, LZ4),
    abandoned SimpleAggregateFunction(max, UInt64) CODEC(T64, LZ4),
    duration_ms SimpleAggregateFunction(max, UInt64) CODEC(T64, LZ4),
    value_pence SimpleAggregateFunction(max, UInt64) CODEC(T64, LZ4),
    durations SimpleAggregateFunction(maxMap, Map(UInt8, UInt64)),
    ratings SimpleAggregateFunction(maxMap, Map(UInt8, UInt64)),
    applied_offset SimpleAggregateFunction(max, UInt64) CODEC(T64, LZ4)
)
ENGINE = {engine AggregatingMergeTree}
PARTITION BY toYYYYMM(t)
PRIMARY KEY (toDate(t), service)
ORDER BY (toDate(t), service, channel, log, epoch, p, t)
TTL t + INTERVAL {hour_ttl_days} DAY
SETTINGS index_granularity = 1024, non_replicated_deduplication_window = 0, fsync_after_insert = 1, fsync_part_directory = 1, ttl_only_drop_parts = 1;

CREATE TABLE {table unmerged_day} (
    d Date,
    service UInt16,
    channel UInt8,
    log Enum8('events' = 1, 'backfill' = 2, 'corrections' = 3),
    epoch UInt16,
    p UInt16,
    started SimpleAggregateFunction(max, UInt64) CODEC(T64, LZ4),
    completed SimpleAggregateFunction(max, UInt64) CODEC(T64, LZ4),
    failed SimpleAggregateFunction(max, UInt64) CODEC(T64, LZ4),
    abandoned SimpleAggregateFunction(max, UInt64) CODEC(T64, LZ4),
    duration_ms SimpleAggregateFunction(max, UInt64) CODEC(T64, LZ4),
    value_pence SimpleAggregateFunction(max, UInt64) CODEC(T64, LZ4),
    durations SimpleAggregateFunction(maxMap, Map(UInt8, UInt64)),
    ratings SimpleAggregateFunction(maxMap, Map(UInt8, UInt64)),
    applied_offset SimpleAggregateFunction(max, UInt64) CODEC(T64, LZ4)
)
ENGINE = {engine AggregatingMergeTree}
PARTITION BY toYear(d)
PRIMARY KEY (toStartOfMonth(d), service)
ORDER BY (toStartOfMonth(d), service, channel, log, epoch, p, d)
SETTINGS index_granularity = 1024, non_replicated_deduplication_window = 0, fsync_after_insert = 1, fsync_part_directory = 1;

-- Steps on the way through a service and reasons of failure, by stage.

CREATE TABLE {table unmerged_breakdown_minute} (
    t DateTime('UTC'),
    service UInt16,
    channel UInt8,
    dimension Enum8('step' = 1, 'reason' = 2),
    member UInt8,
    stage UInt8,
    log Enum8('events' = 1, 'backfill' = 2, 'corrections' = 3),
    epoch UInt16,
    p UInt16,
    n SimpleAggregateFunction(max, UInt64) CODEC(T64, LZ4),
    applied_offset SimpleAggregateFunction(max, UInt64) CODEC(T64, LZ4)
)
ENGINE = {engine AggregatingMergeTree}
PARTITION BY toYYYYMMDD(t)
PRIMARY KEY (t, service)
ORDER BY (t, service, channel, dimension, member, stage, log, epoch, p)
TTL t + INTERVAL {minute_ttl_days} DAY
SETTINGS index_granularity = 1024, non_replicated_deduplication_window = 0, fsync_after_insert = 1, fsync_part_directory = 1, ttl_only_drop_parts = 1;

CREATE TABLE {table unmerged_breakdown_hour} (
    t DateTime('UTC'),
    service UInt16,
    channel UInt8,
    dimension Enum8('step' = 1, 'reason' = 2),
    member UInt8,
    stage UInt8,
    log Enum8('events' = 1, 'backfill' = 2, 'corrections' = 3),
    epoch UInt16,
    p UInt16,
    n SimpleAggregateFunction(max, UInt64) CODEC(T64, LZ4),
    applied_offset SimpleAggregateFunction(max, UInt64) CODEC(T64, LZ4)
)
ENGINE = {engine AggregatingMergeTree}
PARTITION BY toYYYYMM(t)
PRIMARY KEY (toDate(t), service)
ORDER BY (toDate(t), service, channel, dimension, member, stage, log, epoch, p, t)
TTL t + INTERVAL {hour_ttl_days} DAY
SETTINGS index_granularity = 1024, non_replicated_deduplication_window = 0, fsync_after_insert = 1, fsync_part_directory = 1, ttl_only_drop_parts = 1;

CREATE TABLE {table unmerged_breakdown_day} (
    d Date,
    service UInt16,
    channel UInt8,
    dimension Enum8('step' = 1, 'reason' = 2),
    member UInt8,
    stage UInt8,
    log Enum8('events' = 1, 'backfill' = 2, 'corrections' = 3),
    epoch UInt16,
    p UInt16,
    n SimpleAggregateFunction(max, UInt64) CODEC(T64, LZ4),
    applied_offset SimpleAggregateFunction(max, UInt64) CODEC(T64, LZ4)
)
ENGINE = {engine AggregatingMergeTree}
PARTITION BY toYear(d)
PRIMARY KEY (toStartOfMonth(d), service)
ORDER BY (toStartOfMonth(d), service, channel, dimension, member, stage, log, epoch, p, d)
SETTINGS index_granularity = 1024, non_replicated_deduplication_window = 0, fsync_after_insert = 1, fsync_part_directory = 1;

-- Views of pages (0 = all of the service, 1 = other) and HyperLogLog registers of their visitors.

CREATE TABLE {table unmerged_page_minute} (
    t DateTime('UTC'),
    service UInt16,
    page UInt32,
    log Enum8('events' = 1, 'backfill' = 2, 'corrections' = 3),
    epoch UInt16,
    p UInt16,
    views SimpleAggregateFunction(max, UInt64) CODEC(T64, LZ4),
    registers SimpleAggregateFunction(maxMap, Map(UInt16, UInt8)) CODEC(ZSTD(1)),
    applied_offset SimpleAggregateFunction(max, UInt64) CODEC(T64, LZ4)
)
ENGINE = {engine AggregatingMergeTree}
PARTITION BY toYYYYMMDD(t)
PRIMARY KEY (t, service)
ORDER BY (t, service, page, log, epoch, p)
TTL t + INTERVAL {minute_ttl_days} DAY
SETTINGS index_granularity = 1024, non_replicated_deduplication_window = 0, fsync_after_insert = 1, fsync_part_directory = 1, ttl_only_drop_parts = 1;

CREATE TABLE {table unmerged_page_hour} (
    t DateTime('UTC'),
    service UInt16,
    page UInt32,
    log Enum8('events' = 1, 'backfill' = 2, 'corrections' = 3),
    epoch UInt16,
    p UInt16,
    views SimpleAggregateFunction(max, UInt64) CODEC(T64, LZ4),
    registers SimpleAggregateFunction(maxMap, Map(UInt16, UInt8)) CODEC(ZSTD(1)),
    applied_offset SimpleAggregateFunction(max, UInt64) CODEC(T64, LZ4)
)
ENGINE = {engine AggregatingMergeTree}
PARTITION BY toYYYYMM(t)
PRIMARY KEY (toDate(t), service)
ORDER BY (toDate(t), service, page, log, epoch, p, t)
TTL t + INTERVAL {hour_ttl_days} DAY
SETTINGS index_granularity = 1024, non_replicated_deduplication_window = 0, fsync_after_insert = 1, fsync_part_directory = 1, ttl_only_drop_parts = 1;

CREATE TABLE {table unmerged_page_day} (
    d Date,
    service UInt16,
    page UInt32,
    log Enum8('events' = 1, 'backfill' = 2, 'corrections' = 3),
    epoch UInt16,
    p UInt16,
    views SimpleAggregateFunction(max, UInt64) CODEC(T64, LZ4),
    registers SimpleAggregateFunction(maxMap, Map(UInt16, UInt8)) CODEC(ZSTD(1)),
    applied_offset SimpleAggregateFunction(max, UInt64) CODEC(T64, LZ4)
)
ENGINE = {engine AggregatingMergeTree}
PARTITION BY toYear(d)
PRIMARY KEY (toStartOfMonth(d), service)
ORDER BY (toStartOfMonth(d), service, page, log, epoch, p, d)
SETTINGS index_granularity = 1024, non_replicated_deduplication_window = 0, fsync_after_insert = 1, fsync_part_directory = 1;
