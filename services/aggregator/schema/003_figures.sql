-- What people and programs read: versions merged, corrections subtracted. One row for each source; sum over them.

CREATE VIEW {view minute} AS
WITH if(log = 'corrections', -1, 1) AS sign
SELECT t, service, channel,
    started * sign AS started, completed * sign AS completed, failed * sign AS failed, abandoned * sign AS abandoned,
    duration_ms * sign AS duration_ms, value_pence * sign AS value_pence,
    mapApply((k, n) -> (k, n * sign), durations) AS durations,
    mapApply((k, n) -> (k, n * sign), ratings) AS ratings
FROM {cells}.unmerged_minute FINAL;

CREATE VIEW {view hour} AS
WITH if(log = 'corrections', -1, 1) AS sign
SELECT t, service, channel,
    started * sign AS started, completed * sign AS completed, failed * sign AS failed, abandoned * sign AS abandoned,
    duration_ms * sign AS duration_ms, value_pence * sign AS value_pence,
    mapApply((k, n) -> (k, n * sign), durations) AS durations,
    mapApply((k, n) -> (k, n * sign), ratings) AS ratings
FROM {cells}.unmerged_hour FINAL;

CREATE VIEW {view day} AS
WITH if(log = 'corrections', -1, 1) AS sign
SELECT d, service, channel,
    started * sign AS started, completed * sign AS completed, failed * sign AS failed, abandoned * sign AS abandoned,
    duration_ms * sign AS duration_ms, value_pence * sign AS value_pence,
    mapApply((k, n) -> (k, n * sign), durations) AS durations,
    mapApply((k, n) -> (k, n * sign), ratings) AS ratings
FROM {cells}.unmerged_day FINAL;

CREATE VIEW {view breakdown_minute} AS
WITH if(log = 'corrections', -1, 1) AS sign
SELECT t, service, channel, dimension, member, stage, n * sign AS n
FROM {cells}.unmerged_breakdown_minute FINAL;

CREATE VIEW {view breakdown_hour} AS
WITH if(log = 'corrections', -1, 1) AS sign
SELECT t, service, channel, dimension, member, stage, n * sign AS n
FROM {cells}.unmerged_breakdown_hour FINAL;

CREATE VIEW {view breakdown_day} AS
WITH if(log = 'corrections', -1, 1) AS sign
SELECT d, service, channel, dimension, member, stage, n * sign AS n
FROM {cells}.unmerged_breakdown_day FINAL;

-- Registers are merged with the higher rank, never added; retractions do not take visitors away.

CREATE VIEW {view page_minute} AS
WITH if(log = 'corrections', -1, 1) AS sign
SELECT t, service, page, views * sign AS views, registers
FROM {cells}.unmerged_page_minute FINAL;

CREATE VIEW {view page_hour} AS
WITH if(log = 'corrections', -1, 1) AS sign
SELECT t, service, page, views * sign AS views, registers
FROM {cells}.unmerged_page_hour FINAL;

CREATE VIEW {view page_day} AS
WITH if(log = 'corrections', -1, 1) AS sign
SELECT d, service, page, views * sign AS views, registers
FROM {cells}.unmerged_page_day FINAL;

CREATE VIEW {view ledger} AS
SELECT log, epoch, p, outcome, n, applied_offset, appended_at FROM {cells}.unmerged_ledger FINAL;

CREATE VIEW {view ledger_hour} AS
SELECT t, service, outcome, n FROM {cells}.unmerged_ledger_hour FINAL;

-- Both lines of the conservation law for each source: records applied = records with an outcome, and accepted records
-- = accepted rows of raw (counted where it is asked for: raw is large).
CREATE VIEW {view books} AS
SELECT log, epoch, p,
    max(applied_offset) + 1 AS applied_end,
    sum(n) AS recorded,
    toInt64(applied_end) - toInt64(recorded) AS difference,
    sumIf(n, outcome = 1) AS accepted,
    sumIf(n, outcome IN (2, 3)) AS duplicate,
    sumIf(n, outcome = 3) AS conflict,
    sumIf(n, outcome = 4) AS late,
    sumIf(n, outcome IN (5, 6, 7, 8)) AS invalid,
    sumIf(n, outcome = 9) AS expired,
    max(appended_at) AS appended_at
FROM {cells}.unmerged_ledger FINAL
GROUP BY log, epoch, p;
