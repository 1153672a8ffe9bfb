//! A series of one service: the rows of its channels put together by period, and over the whole span.
//!
//! Invariant: pure. A period in which nothing was counted is not in the list; a figure of which nothing was counted is
//! missing. Percentiles are taken from merged histograms, never from percentiles.

use std::collections::BTreeMap;

use domain::catalogue::Service;
use domain::cell::Dimension;
use domain::time::{Day, Period};
use domain::vocabulary::Channel;
use views::clock;
use views::figures::{ChannelFigure, Counted, Kind, Point, Series};
use views::span::Span;

use super::pages::{durations, reasons, steps};
use crate::past::{Read, SeriesRow};

/// Sums of rows under way.
#[derive(Debug, Default)]
struct Sums {
    stages: [i64; 4],
    of_started: i64,
    digital: i64,
    channels: BTreeMap<u8, i64>,
    rated: [i64; 5],
    durations: BTreeMap<u8, i64>,
    pence: i64,
}

impl Sums {
    fn add(&mut self, row: &SeriesRow) {
        for (sum, n) in self.stages.iter_mut().zip(&row.stages) {
            *sum += n;
        }
        let completed = row.stages.get(1).copied().unwrap_or(0);
        if completed != 0 {
            *self.channels.entry(row.channel).or_default() += completed;
        }
        if Channel::from_number(row.channel.into()).is_some_and(Channel::is_digital) {
            self.digital += completed;
        }
        for (sum, n) in self.rated.iter_mut().zip(&row.rated) {
            *sum += n;
        }
        for (bucket, n) in &row.durations {
            *self.durations.entry(*bucket).or_default() += n;
        }
        self.of_started += row.of_started;
        self.pence += row.pence;
    }

    fn point(&self, start_ms: i64, span: &Span, now_ms: i64) -> Point {
        let whole = |n: i64| n.max(0).cast_unsigned();
        let some = |n: i64| (n != 0).then(|| whole(n));
        let [started, completed, failed, abandoned] = self.stages;
        let rated: i64 = self.rated.iter().sum();
        let rating_sum: i64 = self.rated.iter().zip(1..).map(|(n, rating)| n * rating).sum();
        let channels = self.channels.iter().filter_map(|(channel, n)| {
            Some(ChannelFigure { channel: Channel::from_number((*channel).into())?, completed: whole(*n) })
        });
        Point {
            start: match span.period.stored_by() {
                Period::Day => Day::at(start_ms).to_string(),
                _ => clock::utc(start_ms),
            },
            start_s: start_ms / 1_000,
            open: span.period.end_at(start_ms) > now_ms,
            counted: Counted {
                completed: some(completed),
                digital: (completed != 0).then(|| whole(self.digital)),
                started: some(started),
                completed_of_started: (started != 0).then(|| whole(self.of_started)),
                rated: some(rated),
                rating_sum: (rated != 0).then(|| whole(rating_sum)),
            },
            failed: some(failed),
            abandoned: some(abandoned),
            channels: channels.collect(),
            ratings: (rated != 0).then(|| self.rated.map(whole)),
            durations: durations(&self.durations.iter().map(|(bucket, n)| (*bucket, whole(*n))).collect::<Vec<_>>()),
            value_pence: self.pence,
        }
    }
}

/// Puts the rows of a span together.
#[must_use]
pub fn series(service: &Service, span: &Span, read: &Read, counted_from: Option<Day>, now_ms: i64) -> Series {
    let mut periods: BTreeMap<i64, Sums> = BTreeMap::new();
    let mut whole = Sums::default();
    for row in &read.rows {
        let start_ms = match span.period.stored_by() {
            Period::Day => Day(row.start.cast_signed()).start_ms(),
            _ => i64::from(row.start) * 1_000,
        };
        periods.entry(start_ms).or_default().add(row);
        whole.add(row);
    }
    let mut breakdown: BTreeMap<(Dimension, u8, u8), u64> = BTreeMap::new();
    for row in &read.breakdown {
        let dimension = match row.dimension {
            1 => Dimension::Step,
            2 => Dimension::Reason,
            _ => continue,
        };
        breakdown.insert((dimension, row.member, row.stage), row.n.max(0).cast_unsigned());
    }
    let first = periods.keys().next().map(|start| Day::at(*start));
    Series {
        service: service.id.clone(),
        name: service.name.clone(),
        asked: span.clone(),
        kind: Kind::Counted,
        as_of_ms: read.as_of_ms,
        // What is held may be a minute behind what was read.
        counted_from: counted_from.into_iter().chain(first).min(),
        points: periods.iter().map(|(start, sums)| sums.point(*start, span, now_ms)).collect(),
        whole: whole.point(span.from_ms, span, now_ms),
        steps: steps(&breakdown),
        reasons: reasons(&breakdown),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 24 November 2026, 14:32 UTC.
    const NOW: i64 = 1_795_530_720_000;

    fn span(query: &[(&str, &str)]) -> Span {
        let pairs: Vec<_> = query.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        views::ask::parse(&pairs, |asked| Span::read(asked, NOW)).unwrap()
    }

    #[test]
    fn rows_of_several_channels_make_one_point_and_what_was_not_counted_is_missing() {
        let catalogue = domain::catalogue::Catalogue::embedded();
        let service = &catalogue.services()[0];
        let span = span(&[("period", "day"), ("from", "2026-11-20")]);
        let day = Day::from_ymd(2026, 11, 23).0.cast_unsigned();
        let row = |start, channel, completed, rated| SeriesRow {
            start,
            channel,
            stages: vec![2 * completed, completed, 0, 0],
            of_started: if channel == 1 { completed } else { 0 },
            rated: vec![0, 0, 0, 0, rated],
            durations: vec![(40, completed)],
            pence: 0,
        };
        let rows = vec![row(day, 1, 5, 0), row(day, 4, 2, 0), row(day + 1, 0, 0, 3)];
        let breakdown = vec![crate::past::BreakdownRow { dimension: 2, member: 4, stage: 3, n: 6 }];
        let read = Read { as_of_ms: NOW, rows, breakdown };
        let series = series(service, &span, &read, None, NOW);
        assert_eq!(series.points.len(), 2);
        let first = &series.points[0];
        assert_eq!((first.start.as_str(), first.counted.completed, first.open), ("2026-11-23", Some(7), false));
        assert_eq!((first.counted.digital, first.counted.started), (Some(5), Some(14)));
        assert_eq!((first.counted.completed_of_started, first.failed), (Some(5), None));
        assert_eq!(first.channels.len(), 2);
        assert_eq!(first.durations.map(|d| d.n), Some(7));
        let second = &series.points[1];
        assert_eq!((second.counted.completed, second.ratings, second.open), (None, Some([0, 0, 0, 0, 3]), true));
        assert_eq!((series.whole.counted.completed, series.whole.counted.rated), (Some(7), Some(3)));
        assert_eq!((series.reasons.len(), series.counted_from), (1, Some(Day::from_ymd(2026, 11, 23))));
        assert_eq!(series.uncounted(), 3, "the 20th to the 22nd");
        let slots = series.slots();
        assert_eq!(slots.len(), 5);
        assert!(slots[2].1.is_none() && slots[3].1.is_some() && slots[4].1.is_some());
    }
}
