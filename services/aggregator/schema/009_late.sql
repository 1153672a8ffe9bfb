-- Late paths: backfill and corrections.

-- Look-ups by id reach over the time in which a copy can have been appended; conflicts are few among many.
ALTER TABLE {table raw} ADD INDEX IF NOT EXISTS by_time appended_at TYPE minmax GRANULARITY 1;

ALTER TABLE {table raw} ADD INDEX IF NOT EXISTS by_outcome outcome TYPE set(14) GRANULARITY 4;

-- As before, and what the late logs add: early, too old and unknown are invalid, a repeated retraction is a duplicate.
CREATE OR REPLACE VIEW {view books} AS
SELECT log, epoch, p,
    max(applied_offset) + 1 AS applied_end,
    sum(n) AS recorded,
    toInt64(applied_end) - toInt64(recorded) AS difference,
    sumIf(n, outcome = 1) AS accepted,
    sumIf(n, outcome IN (2, 3, 13)) AS duplicate,
    sumIf(n, outcome = 3) AS conflict,
    sumIf(n, outcome = 4) AS late,
    sumIf(n, outcome IN (5, 6, 7, 8, 10, 11, 12)) AS invalid,
    sumIf(n, outcome = 9) AS expired,
    max(appended_at) AS appended_at,
    sumIf(n, outcome = 14) AS retracted
FROM {cells}.unmerged_ledger FINAL
GROUP BY log, epoch, p;

-- Same id, other content: for the department to see. Narrow by `appended_at`; `figures.ledger_hour` says when there
-- were some.
CREATE VIEW {view conflicts} AS
SELECT service, id, log, epoch, p, offset, appended_at, occurred_at, content, boot
FROM {cells}.raw
WHERE outcome = 3;

-- What changed a day after the fact: events that came by backfill, and events that were taken out again.
CREATE VIEW {view revisions} AS
SELECT toDate(occurred_at, 'Europe/London') AS d, service,
    if(log = 'backfill', 'added', 'retracted') AS kind,
    count() AS events,
    max(appended_at) AS revised_at
FROM {cells}.raw FINAL
WHERE log IN ('backfill', 'corrections') AND outcome IN (1, 14)
GROUP BY d, service, kind;
