//! One gateway: the real fold, filled by a cold start from the store and then by the live topic, one step at a turn, in
//! the order of the real start.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use aggregator::counter::Cell;
use domain::cell::{CellKey, Measures, Slice};
use domain::event::ALL_PAGES;
use domain::source::{Log, ServiceNumber};
use domain::time::{Day, HOUR_MS, Period};
use domain::visitors::Registers;
use domain::vocabulary::{Channel, Stage};
use gateway::boot::{Ends, reach};
use gateway::fold::{Detail, Fold, Measure};
use gateway::stored::LedgerRow;
use rand::Rng as _;
use rand::rngs::StdRng;

use crate::log::{BEGIN_MS, SOURCE, services};
use crate::worker::Fault;
use crate::world::World;

/// How far clocks may differ, as in the configuration: records go back by at most so much.
const SKEW_MS: i64 = 2_000;
/// Departments of the services of the log, in their order.
const DEPARTMENTS: [u8; 3] = [1, 2, 1];

enum State {
    /// Nothing read yet.
    Born,
    KnowsEnds(Ends),
    /// Reads cells of these lengths of period, then the live topic from an instant on.
    Reads(Vec<Period>, i64),
    /// Folds the live topic from here on.
    Follows(usize),
}

/// A gateway that may be started anew at any turn.
pub(crate) struct Screen {
    fault: Fault,
    fold: Fold,
    state: State,
    /// Keys that were folded, kept for a mistake.
    known: BTreeSet<CellKey>,
}

impl Screen {
    /// One that knows nothing.
    pub(crate) fn new(fault: Fault) -> Self {
        let owners: HashMap<_, _> = services().into_iter().zip(DEPARTMENTS).collect();
        let now_ms = BEGIN_MS + 12 * HOUR_MS;
        let mut fold = Fold::new(owners, now_ms);
        // Every minute of the log is kept.
        fold.begin_at(now_ms, BEGIN_MS - 5 * HOUR_MS);
        Self { fault, fold, state: State::Born, known: BTreeSet::new() }
    }

    /// Whether everything published is folded.
    pub(crate) fn is_idle(&self, world: &World) -> bool {
        matches!(self.state, State::Follows(next) if next == world.topic.len())
    }

    /// Does one thing.
    pub(crate) fn turn(&mut self, world: &World, rng: &mut StdRng) {
        self.state = match std::mem::replace(&mut self.state, State::Born) {
            State::Born => {
                let ends = BTreeMap::from([((Log::Events, SOURCE.partition), world.log.len() as u64)]);
                State::KnowsEnds(Ends { asked_at_ms: world.now_ms, ends })
            }
            State::KnowsEnds(ends) => {
                let ledger = world.ledger();
                let row = LedgerRow::new(SOURCE, ledger.applied_end, ledger.appended_at_ms);
                let rows = (ledger.applied_end > 0).then_some((SOURCE, row)).into_iter().collect();
                State::Reads(vec![Period::Minute, Period::Hour, Period::Day], reach(&rows, &ends, SKEW_MS).from_ms)
            }
            State::Reads(mut periods, from_ms) => match periods.pop() {
                Some(period) => {
                    let stored = world.store.cells.values().filter(|cell| cell.key.period == period);
                    let stored: Vec<_> = stored.cloned().collect();
                    self.take(&stored);
                    State::Reads(periods, from_ms)
                }
                None if self.fault == Fault::FollowsFromTheEnd => State::Follows(world.topic.len()),
                None => State::Follows(world.topic.partition_point(|(at_ms, _)| *at_ms < from_ms)),
            },
            State::Follows(mut next) => {
                for _ in 0..rng.random_range(1..6) {
                    let Some((_, cells)) = world.topic.get(next) else { break };
                    self.take(cells);
                    next += 1;
                }
                State::Follows(next)
            }
        }
    }

    fn take(&mut self, cells: &[Cell]) {
        let keeps_first = self.fault == Fault::KeepsTheFirstVersion;
        let taken = cells.iter().filter(|cell| !keeps_first || self.known.insert(cell.key));
        self.fold.take(SOURCE, taken.map(|cell| (&cell.key, &cell.measures)), |_| None);
    }

    /// Compares every figure with the sums over these cells.
    pub(crate) fn check(&self, cells: &BTreeMap<CellKey, Measures>, seed: u64) {
        let want = Expected::of(cells);
        for ((period, index, service), (figures, visitors)) in &want.sums {
            let sum = self.fold.sum(*period, *index, *service);
            for measure in Measure::all() {
                let shown = sum.and_then(|sum| sum.get(measure));
                let place = (period, index, service);
                assert_eq!(shown, figures.get(&measure).copied(), "seed {seed}: screen, {measure:?} of {place:?}");
            }
            let shown = sum.map(|sum| &sum.visitors);
            assert!(shown == Some(visitors), "seed {seed}: screen, visitors of {period:?} {index} {service:?}");
        }
        for (period, index) in want.sums.keys().map(|(period, index, _)| (*period, *index)).collect::<BTreeSet<_>>() {
            let bucket = self.fold.bucket(period, index).expect("compared above");
            let (all, departments) = want.totals(period, index);
            let shown: BTreeMap<_, _> = bucket.departments().map(|(number, total)| (number, total.completed)).collect();
            assert_eq!(shown, departments, "seed {seed}: screen, departments of {period:?} {index}");
            assert_eq!(bucket.all().map(|total| total.completed), all, "seed {seed}: screen, {period:?} {index}");
            let of_minute = self.fold.minute_total(index).map(|total| total.completed);
            assert!(period != Period::Minute || of_minute == all, "seed {seed}: screen, the total of minute {index}");
            let strange = bucket.services().find(|(number, _)| !want.sums.contains_key(&(period, index, *number)));
            assert!(strange.is_none(), "seed {seed}: screen, a service of {period:?} {index} that should not be");
        }
        for ((day, service), detail) in &want.details {
            let shown = self.fold.detail(Day(day.cast_signed()), *service);
            assert_eq!(shown, *detail, "seed {seed}: screen, details of day {day}, {service:?}");
        }
    }
}

/// One service in one period.
type Place = (Period, u32, ServiceNumber);
/// What it counted.
type Figures = (BTreeMap<Measure, i64>, Registers);

/// What a screen must show, added up by the book.
#[derive(Default)]
struct Expected {
    sums: BTreeMap<Place, Figures>,
    details: BTreeMap<(u32, ServiceNumber), Detail>,
}

impl Expected {
    fn of(cells: &BTreeMap<CellKey, Measures>) -> Self {
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
    fn totals(&self, period: Period, index: u32) -> (Option<i64>, BTreeMap<u8, i64>) {
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
