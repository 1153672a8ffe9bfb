//! What a screen must show of some cells, added up by the book.

use std::collections::BTreeMap;

use domain::cell::{CellKey, Measures, Slice};
use domain::event::ALL_PAGES;
use domain::source::ServiceNumber;
use domain::time::Period;
use domain::visitors::Registers;
use domain::vocabulary::{Channel, Stage};
use gateway::fold::{Detail, Measure};

use crate::log::services;
use crate::screen::DEPARTMENTS;

/// One service in one period.
pub(crate) type Place = (Period, u32, ServiceNumber);
/// What it counted.
pub(crate) type Figures = (BTreeMap<Measure, i64>, Registers);

/// The figures.
#[derive(Default)]
pub(crate) struct Expected {
    /// By service and period.
    pub(crate) sums: BTreeMap<Place, Figures>,
    /// By day and service.
    pub(crate) details: BTreeMap<(u32, ServiceNumber), Detail>,
}

impl Expected {
    /// Of these cells.
    pub(crate) fn of(cells: &BTreeMap<CellKey, Measures>) -> Self {
        let mut want = Self::default();
        for (key, measures) in cells {
            want.add(key, measures);
        }
        for detail in want.details.values_mut() {
            detail.durations.sort_unstable();
        }
        want
    }

    fn add(&mut self, key: &CellKey, measures: &Measures) {
        let place = (key.period, key.index, key.service);
        let mut add = |measure, n: u64| {
            if n > 0 {
                *self.sums.entry(place).or_default().0.entry(measure).or_default() += n.cast_signed();
            }
        };
        match (key.slice, measures) {
            (Slice::Counts { channel }, Measures::Counts(counts)) => {
                Stage::ALL.into_iter().for_each(|stage| add(Measure::Stage(stage), counts.stage(stage)));
                (1..).zip(counts.ratings).for_each(|(rating, n)| add(Measure::Rating(rating), n));
                if let Some(channel) = Channel::from_number(channel.into()) {
                    add(Measure::Completed(channel), counts.stage(Stage::Completed));
                }
            }
            (Slice::Page { page: ALL_PAGES }, Measures::Views(views)) => {
                add(Measure::Views, views.views);
                self.sums.entry(place).or_default().1.merge(&views.visitors);
            }
            _ => {}
        }
        if key.period != Period::Day {
            return;
        }
        let detail = self.details.entry((key.index, key.service)).or_default();
        match (key.slice, measures) {
            (_, Measures::Counts(counts)) => {
                for (bucket, n) in &counts.durations {
                    match detail.durations.iter_mut().find(|(known, _)| known == bucket) {
                        Some((_, sum)) => *sum += n,
                        None => detail.durations.push((*bucket, *n)),
                    }
                }
            }
            (Slice::Breakdown { dimension, member, stage, .. }, Measures::Number(n)) => {
                *detail.breakdown.entry((dimension, member, stage)).or_default() += n;
            }
            _ => {}
        }
    }

    /// Completed across government and by department; absent where nothing was.
    pub(crate) fn totals(&self, period: Period, index: u32) -> (Option<i64>, BTreeMap<u8, i64>) {
        let departments: BTreeMap<_, _> = services().into_iter().zip(DEPARTMENTS).collect();
        let mut by_department = BTreeMap::new();
        for (service, department) in departments {
            let sum = self.sums.get(&(period, index, service)).and_then(|(sum, _)| sum.get(&Measure::COMPLETED));
            if let Some(n) = sum {
                *by_department.entry(department).or_default() += n;
            }
        }
        let all = by_department.values().copied().reduce(|a, b| a + b);
        (all, by_department)
    }
}
