//! A series of one service as the read API answers it: which periods may be asked for, and the rows put together.
//!
//! Invariant: a span is whole periods with a bounded number of points, or it is refused with the field and the rule. A
//! period in which nothing was counted is not in the list.

use domain::catalogue::Service;
use domain::time::{DAY_MS, Day, HOUR_MS, MINUTE_MS, Period};
use domain::vocabulary::Channel;
use serde::Serialize;
use std::collections::BTreeMap;
use views::clock;

use crate::history::SeriesRow;
use crate::problem::Broken;

/// Points that one answer holds at most.
const POINTS_MAX: i64 = 1_500;

/// Whole periods: from the first on, before the last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// Their length.
    pub period: Period,
    /// Their indices.
    pub range: std::ops::Range<u32>,
}

impl Span {
    /// From what was asked: `period`, and instants or dates for `from` and `to`; without `from` the last day by minute,
    /// week by hour, or year by day; without `to` up to now.
    ///
    /// # Errors
    /// The fields that break a rule.
    pub fn parse(period: Option<&str>, from: Option<&str>, to: Option<&str>, now_ms: i64) -> Result<Self, Vec<Broken>> {
        let mut broken = Vec::new();
        let period = match period.unwrap_or("hour") {
            "minute" => Some(Period::Minute),
            "hour" => Some(Period::Hour),
            "day" => Some(Period::Day),
            _ => {
                broken.push(Broken::new("period", "is one of minute, hour, day"));
                None
            }
        };
        let mut instant = |field: &'static str, text: Option<&str>| match text.map(instant_ms) {
            None => Some(None),
            Some(Some(ms)) => Some(Some(ms)),
            Some(None) => {
                broken.push(Broken::new(
                    field,
                    "is an instant such as 2026-11-24T10:00:00Z, or a London date such as 2026-11-24",
                ));
                None
            }
        };
        let (from, to) = (instant("from", from), instant("to", to));
        let (Some(period), Some(from), Some(to)) = (period, from, to) else { return Err(broken) };
        let (usual_ms, length_ms) = match period {
            Period::Minute => (DAY_MS, MINUTE_MS),
            Period::Hour => (7 * DAY_MS, HOUR_MS),
            Period::Day => (366 * DAY_MS, DAY_MS),
        };
        let to_ms = to.unwrap_or(now_ms + 1);
        let from_ms = from.unwrap_or(to_ms - usual_ms);
        if from_ms >= to_ms {
            return Err(vec![Broken::new("from", "is before `to`")]);
        }
        if (to_ms - from_ms) / length_ms > POINTS_MAX {
            return Err(vec![Broken::new("from", "is at most 1,500 periods before `to`")]);
        }
        let end = period.index_at(to_ms - 1) + 1;
        Ok(Self { period, range: period.index_at(from_ms)..end })
    }
}

/// An instant (RFC 3339) or the begin of a London date, after 1970.
fn instant_ms(text: &str) -> Option<i64> {
    let ms = match text.parse::<jiff::civil::Date>() {
        Ok(date) if text.len() == 10 => {
            Day::from_ymd(date.year().into(), date.month().cast_unsigned().into(), date.day().cast_unsigned().into())
                .start_ms()
        }
        _ => text.parse::<jiff::Timestamp>().ok()?.as_millisecond(),
    };
    (0..4_000_000_000_000).contains(&ms).then_some(ms)
}

/// One period.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Point {
    /// Its begin: an instant, or a London date.
    pub start: String,
    /// It is not over yet: the count may still grow much.
    pub open: bool,
    /// By stage; `null` = none was counted.
    pub started: Option<i64>,
    /// Transactions.
    pub completed: Option<i64>,
    /// Ended badly.
    pub failed: Option<i64>,
    /// Given up.
    pub abandoned: Option<i64>,
    /// Completed by channel.
    pub channels: BTreeMap<&'static str, i64>,
    /// Ratings 1 to 5.
    pub ratings: Option<[i64; 5]>,
    /// Sum of the durations of completed transactions.
    pub duration_ms: i64,
    /// Sum of their money.
    pub value_pence: i64,
}

/// A series of one service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Series {
    /// Id of the service.
    pub service: String,
    /// Its name.
    pub name: String,
    /// Length of a point.
    pub period: Period,
    /// Begin of the first period.
    pub from: String,
    /// End of the last period.
    pub to: String,
    /// Counted from events, not stated by a department.
    pub kind: &'static str,
    /// When it was read.
    pub as_of: String,
    /// Periods in which something was counted, oldest first.
    pub points: Vec<Point>,
}

/// Puts the rows of a span together.
#[must_use]
pub fn series(service: &Service, span: &Span, rows: &[SeriesRow], now_ms: i64) -> Series {
    let mut points: BTreeMap<u32, Point> = BTreeMap::new();
    for row in rows {
        let index = match span.period {
            Period::Minute => row.start / 60,
            Period::Hour => row.start / 3_600,
            Period::Day => row.start,
        };
        let point = points.entry(index).or_insert_with(|| Point {
            start: begin(span.period, index),
            open: span.period.start_ms(index + 1) > now_ms,
            ..Point::default()
        });
        add(point, row);
    }
    Series {
        service: service.id.clone(),
        name: service.name.clone(),
        period: span.period,
        from: begin(span.period, span.range.start),
        to: begin(span.period, span.range.end),
        kind: "counted",
        as_of: clock::utc(now_ms),
        points: points.into_values().collect(),
    }
}

fn begin(period: Period, index: u32) -> String {
    match period {
        Period::Day => Day(index.cast_signed()).to_string(),
        period => clock::utc(period.start_ms(index)),
    }
}

fn add(point: &mut Point, row: &SeriesRow) {
    let stages = [&mut point.started, &mut point.completed, &mut point.failed, &mut point.abandoned];
    for (sum, n) in stages.into_iter().zip(&row.stages).filter(|(_, n)| **n != 0) {
        *sum.get_or_insert(0) += n;
    }
    let completed = row.stages.get(1).filter(|completed| **completed != 0);
    if let (Some(channel), Some(completed)) = (Channel::from_number(row.channel.into()), completed) {
        *point.channels.entry(channel.name()).or_default() += completed;
    }
    if row.rated.iter().any(|n| *n != 0) {
        let ratings = point.ratings.get_or_insert([0; 5]);
        for (sum, n) in ratings.iter_mut().zip(&row.rated) {
            *sum += n;
        }
    }
    point.duration_ms += row.spent_ms;
    point.value_pence += row.pence;
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 24 November 2026, 14:32 UTC.
    const NOW: i64 = 1_795_530_720_000;

    fn parse(period: &str, from: &str, to: &str) -> Result<Span, Vec<String>> {
        let given = |text: &'static str| (!text.is_empty()).then_some(text);
        let leak = |text: &str| -> &'static str { Box::leak(text.to_owned().into_boxed_str()) };
        let span = Span::parse(given(leak(period)), given(leak(from)), given(leak(to)), NOW);
        span.map_err(|broken| broken.into_iter().map(|broken| broken.field.to_owned()).collect())
    }

    #[test]
    fn spans_are_whole_periods() {
        let hour = Period::Hour.index_at(NOW);
        let span = parse("hour", "2026-11-24T10:20:00Z", "2026-11-24T12:00:00Z").unwrap();
        assert_eq!(span.range, hour - 4..hour - 2);
        let span = parse("hour", "2026-11-24T11:00:00+01:00", "").unwrap();
        assert_eq!(span.range, hour - 4..hour + 1, "up to the open hour");
        let day = Day::from_ymd(2026, 11, 24).0.cast_unsigned();
        assert_eq!(parse("day", "2026-11-20", "2026-11-24").unwrap().range, day - 4..day);
        assert_eq!(parse("", "", "").unwrap().range.len(), 7 * 24 + 1);
    }

    #[test]
    fn london_dates_begin_at_london_midnight() {
        assert_eq!(instant_ms("2026-07-01"), Some(Day::from_ymd(2026, 7, 1).start_ms()));
        assert_eq!(clock::utc(instant_ms("2026-07-01").unwrap()), "2026-06-30T23:00:00Z");
    }

    #[test]
    fn each_broken_rule_names_its_field() {
        assert_eq!(parse("week", "", ""), Err(vec!["period".into()]));
        assert_eq!(parse("week", "yesterday", "2026-13-01"), Err(vec!["period".into(), "from".into(), "to".into()]));
        assert_eq!(parse("day", "2026-11-24", "2026-11-24"), Err(vec!["from".into()]));
        assert_eq!(parse("minute", "2026-11-01", "2026-11-24"), Err(vec!["from".into()]));
        assert_eq!(parse("minute", "1066-10-14", ""), Err(vec!["from".into()]));
    }

    #[test]
    fn rows_of_several_channels_make_one_point_and_what_was_not_counted_is_missing() {
        let catalogue = domain::catalogue::Catalogue::embedded();
        let service = &catalogue.services()[0];
        let span = parse("day", "2026-11-23", "").unwrap();
        let day = span.range.start;
        let row = |start, channel, completed, rated| SeriesRow {
            start,
            channel,
            stages: vec![0, completed, 0, 0],
            rated: vec![0, 0, 0, 0, rated],
            spent_ms: 10,
            pence: 0,
        };
        let rows = [row(day, 1, 5, 0), row(day, 4, 2, 0), row(day + 1, 0, 0, 3)];
        let series = series(service, &span, &rows, NOW);
        assert_eq!((series.from.as_str(), series.to.as_str()), ("2026-11-23", "2026-11-25"));
        assert_eq!(series.points.len(), 2);
        let first = &series.points[0];
        assert_eq!(
            (first.start.as_str(), first.completed, first.started, first.open),
            ("2026-11-23", Some(7), None, false)
        );
        assert_eq!(first.channels, BTreeMap::from([("digital", 5), ("phone", 2)]));
        let second = &series.points[1];
        assert_eq!((second.completed, second.ratings, second.open), (None, Some([0, 0, 0, 0, 3]), true));
    }
}
