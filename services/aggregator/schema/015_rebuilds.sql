-- Generations of the cells: each rebuild makes the next one. Aggregators stand still while a rebuild that is not done
-- says so, by the clock of the store.
CREATE TABLE {table rebuilds by generation} (
    generation UInt32,
    stand_still_until DateTime64(3, 'UTC'),
    is_done UInt8
)
ENGINE = {engine ReplacingMergeTree}
ORDER BY generation
SETTINGS index_granularity = 1024, non_replicated_deduplication_window = 0, fsync_after_insert = 1, fsync_part_directory = 1;

-- Which aggregators have stopped counting for a rebuild and hold nothing in memory.
CREATE TABLE {table standing_still by generation} (
    generation UInt32,
    instance String
)
ENGINE = {engine ReplacingMergeTree}
ORDER BY (generation, instance)
SETTINGS index_granularity = 1024, non_replicated_deduplication_window = 0, fsync_after_insert = 1, fsync_part_directory = 1;
