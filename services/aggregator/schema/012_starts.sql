-- Completions are set against starts through the channels that have starts left: one whose starts were all taken back has
-- none, as one that never reported any.

CREATE OR REPLACE VIEW {view day_folded} AS
SELECT d, service, sum(channel_version) AS version,
    sum(channel_started) AS started,
    sum(channel_completed) AS completed,
    sumIf(channel_completed, channel IN (1, 2, 3)) AS completed_digital,
    sumIf(channel_completed, channel_started > 0) AS completed_started,
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

-- Days that were sealed before are sealed again.
TRUNCATE TABLE {table unmerged_seals};
