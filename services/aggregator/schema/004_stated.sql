-- What departments state: figures of whole imports, and notes. Nothing here is counted.

-- Written only when the closing record of an import has come and everything it speaks of is there; before the row of the
-- import itself. A row is a function of the log, so writing it again changes nothing.
CREATE TABLE {table unmerged_stated by cityHash64(import)} (
    import UUID,
    n UInt32,
    service UInt16,
    metric UInt16,
    first_day Date32,
    end_day Date32,
    state Enum8('provided' = 1, 'not provided' = 2, 'not requested' = 3, 'not applicable' = 4),
    amount Decimal(18, 6)
)
ENGINE = {engine ReplacingMergeTree}
ORDER BY (import, n)
SETTINGS index_granularity = 1024, non_replicated_deduplication_window = 0, fsync_after_insert = 1, fsync_part_directory = 1;

-- An import is visible from its row on. `id` and `title` are the sender's; `published` decides which of two values stands,
-- then `closed_at`, the broker's time of the closing record.
CREATE TABLE {table unmerged_import by cityHash64(import)} (
    import UUID,
    department UInt8,
    id String,
    title String,
    published Date32,
    figures UInt32,
    hash UUID,
    closed_at DateTime64(3, 'UTC'),
    p UInt16,
    closed_offset UInt64
)
ENGINE = {engine ReplacingMergeTree}
ORDER BY import
SETTINGS index_granularity = 1024, non_replicated_deduplication_window = 0, fsync_after_insert = 1, fsync_part_directory = 1;

-- Versions of notes: one row for each, none is ever replaced by another.
CREATE TABLE {table unmerged_note by cityHash64(note)} (
    note UUID,
    department UInt8,
    id String,
    service UInt16,
    metric UInt16,
    day Date32,
    last_day Date32,
    kind Enum8('release' = 1, 'outage' = 2, 'deadline' = 3, 'other' = 4),
    text String,
    author String,
    withdrawn UInt8,
    written_at DateTime64(3, 'UTC'),
    p UInt16,
    written_offset UInt64
)
ENGINE = {engine ReplacingMergeTree}
ORDER BY (note, written_at, p, written_offset)
SETTINGS index_granularity = 1024, non_replicated_deduplication_window = 0, fsync_after_insert = 1, fsync_part_directory = 1;

CREATE VIEW {view imports} AS
SELECT import, department, id, title, published, figures, hash, closed_at, p, closed_offset
FROM {cells}.unmerged_import FINAL;

-- Every figure of every visible import, revised ones included.
CREATE VIEW {view stated} AS
SELECT s.service AS service, s.metric AS metric, s.first_day AS first_day, s.end_day AS end_day, s.state AS state,
    s.amount AS amount, s.import AS import, i.published AS published, i.closed_at AS closed_at
FROM {cells}.unmerged_stated AS s FINAL
GLOBAL INNER JOIN (SELECT import, published, closed_at FROM {cells}.unmerged_import FINAL) AS i ON s.import = i.import;

-- What stands: the latest publication of each figure.
CREATE VIEW {view stated_now} AS
SELECT service, metric, first_day, end_day,
    argMax(s.state, (s.published, s.closed_at)) AS state,
    argMax(s.amount, (s.published, s.closed_at)) AS amount,
    max(s.published) AS published,
    uniqExact(s.state, s.amount) AS values
FROM {figures}.stated AS s
GROUP BY service, metric, first_day, end_day;

CREATE VIEW {view notes} AS
SELECT note, department, id, service, metric, day, last_day, kind, text, author, withdrawn, written_at, p, written_offset
FROM {cells}.unmerged_note FINAL;
