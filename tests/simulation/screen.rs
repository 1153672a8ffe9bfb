//! One gateway: the real fold, filled by a cold start from the store and then by the live topic, and from the store again
//! now and then, one step at a turn, in the order of the real one.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use aggregator::counter::Cell;
use domain::cell::CellKey;
use domain::source::Log;
use domain::time::{Day, HOUR_MS, Period};
use gateway::boot::reach;
use gateway::fold::{Fold, Measure};
use gateway::stored::LedgerRow;
use gateway::tail::Ends;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use crate::expected::Expected;
use crate::fault::Fault;
use crate::log::{BEGIN_MS, SOURCE, services};
use crate::told::Untold;
use crate::world::World;

/// How far clocks may differ, as in the configuration: records go back by at most so much.
const SKEW_MS: i64 = 2_000;
/// Departments of the services of the log, in their order.
pub(crate) const DEPARTMENTS: [u8; 3] = [1, 2, 1];

enum State {
    /// Nothing read yet.
    Born,
    KnowsEnds(Ends),
    /// Reads cells of these lengths of period, then the live topic from an instant on.
    Reads(Vec<Period>, i64),
    /// Folds the live topic from here on, and may be reading the store again.
    Follows(usize, Option<Again>),
}

/// A reading of the store while packs are being folded.
enum Again {
    /// The next is of the last of these lengths of period.
    Reads(Vec<Period>),
    /// These were read; they are folded when the live topic is, as far as it reached afterwards.
    Holds(Vec<Cell>, Vec<Period>),
    Awaits(Vec<Cell>, usize, Vec<Period>),
}

/// In the order of the real reading, from the end.
const LENGTHS: [Period; 3] = [Period::Minute, Period::Hour, Period::Day];

/// A gateway that may be started anew at any turn.
pub(crate) struct Screen {
    fault: Fault,
    fold: Fold,
    state: State,
    /// Keys that were folded, kept for a mistake.
    known: BTreeSet<CellKey>,
    /// Decides when the store is read again, and nothing else.
    rng: StdRng,
    /// How likely that begins at a turn.
    again: f64,
    /// Cells by which a figure rose then.
    only_stored: usize,
}

impl Screen {
    /// One that knows nothing.
    pub(crate) fn new(fault: Fault, seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(!seed);
        let again = Self::habit(&mut rng);
        let (fold, known) = (empty(), BTreeSet::new());
        Self { fault, fold, state: State::Born, known, rng, again, only_stored: 0 }
    }

    /// Every other one does not read the store again before the end: packs alone must do.
    fn habit(rng: &mut StdRng) -> f64 {
        if rng.random_bool(0.5) { 0.0 } else { 0.1 }
    }

    /// Is started anew.
    pub(crate) fn restart(&mut self) {
        self.again = Self::habit(&mut self.rng);
        (self.fold, self.state, self.known) = (empty(), State::Born, BTreeSet::new());
    }

    /// Whether everything published is folded, and nothing is being read.
    pub(crate) fn is_idle(&self, world: &World) -> bool {
        matches!(self.state, State::Follows(next, None) if next == world.topic.len())
    }

    /// Cells by which a figure rose when the store was read again.
    pub(crate) const fn only_stored(&self) -> usize {
        self.only_stored
    }

    /// Does one thing, or folds some packs.
    pub(crate) fn turn(&mut self, world: &mut World, rng: &mut StdRng) {
        self.state = match std::mem::replace(&mut self.state, State::Born) {
            State::Born => {
                world.told.begin(world.topic.len());
                let ends = BTreeMap::from([((Log::Events, SOURCE.partition), world.log.len() as u64)]);
                State::KnowsEnds(Ends { asked_at_ms: world.now_ms, ends })
            }
            State::KnowsEnds(ends) => {
                let ledger = world.ledger();
                let row = LedgerRow::new(SOURCE, ledger.applied_end, ledger.appended_at_ms);
                let rows = (ledger.applied_end > 0).then_some((SOURCE, row)).into_iter().collect();
                State::Reads(LENGTHS.to_vec(), reach(&rows, &ends, SKEW_MS).from_ms)
            }
            State::Reads(mut periods, from_ms) => match periods.pop() {
                Some(period) => {
                    world.told.tell(world.store.cells.values().filter(|cell| cell.key.period == period));
                    self.take(stored(world, period));
                    State::Reads(periods, from_ms)
                }
                None => {
                    world.told.end_reading();
                    let follows = self.fault != Fault::FollowsFromTheEnd;
                    let is_before = |(at_ms, _): &(i64, Vec<Cell>)| !follows || *at_ms < from_ms;
                    State::Follows(world.topic.partition_point(is_before), None)
                }
            },
            State::Follows(mut next, mut again) => {
                for _ in 0..rng.random_range(1..6) {
                    let Some((_, cells)) = world.topic.get(next) else { break };
                    self.take(cells);
                    next += 1;
                }
                if again.is_none() && self.fault != Fault::NeverAgrees && self.rng.random_bool(self.again) {
                    world.told.begin_again();
                    again = Some(Again::Reads(LENGTHS.to_vec()));
                } else if self.rng.random_bool(0.7) {
                    again = again.and_then(|again| self.read_again(again, world, next));
                }
                State::Follows(next, again)
            }
        }
    }

    /// The next step of a reading of the store that has folded the live topic up to `next`.
    fn read_again(&mut self, again: Again, world: &mut World, next: usize) -> Option<Again> {
        match again {
            Again::Reads(mut periods) => {
                let cells = stored(world, periods.pop()?).cloned().collect();
                Some(Again::Holds(cells, periods))
            }
            Again::Holds(cells, periods) => Some(Again::Awaits(cells, world.topic.len(), periods)),
            Again::Awaits(cells, end, periods) if next < end => Some(Again::Awaits(cells, end, periods)),
            Again::Awaits(cells, _, periods) => {
                world.told.tell(&cells);
                self.only_stored += self.take(&cells);
                Some(Again::Reads(periods))
            }
        }
    }

    /// Reads the store again, at once, when everything published is folded.
    pub(crate) fn agree(&mut self, world: &World) {
        if self.fault != Fault::NeverAgrees {
            self.only_stored += self.take(world.store.cells.values());
        }
    }

    fn take<'a>(&mut self, cells: impl IntoIterator<Item = &'a Cell>) -> usize {
        let keeps_first = self.fault == Fault::KeepsTheFirstVersion;
        let taken = cells.into_iter().filter(|cell| !keeps_first || self.known.insert(cell.key));
        self.fold.take(SOURCE, taken.map(|cell| (&cell.key, &cell.measures)), |_| None)
    }

    /// Compares every figure with what is expected, but for what was not told.
    pub(crate) fn check(&self, want: &Expected, untold: &Untold, seed: u64) {
        let place = |key: &CellKey| (key.period, key.index, key.service);
        let cells: BTreeSet<_> = untold.cells.iter().map(place).collect();
        let registers: BTreeSet<_> = untold.registers.iter().map(place).collect();
        for (place, (figures, visitors)) in &want.sums {
            if cells.contains(place) {
                continue;
            }
            let sum = self.fold.sum(place.0, place.1, place.2);
            for measure in Measure::all() {
                let shown = sum.and_then(|sum| sum.get(measure));
                assert_eq!(shown, figures.get(&measure).copied(), "seed {seed}: screen, {measure:?} of {place:?}");
            }
            let shown = sum.map(|sum| &sum.visitors);
            let is_told = !registers.contains(place);
            assert!(!is_told || shown == Some(visitors), "seed {seed}: screen, visitors of {place:?}");
        }
        let untold: BTreeSet<_> = cells.iter().map(|(period, index, _)| (*period, *index)).collect();
        let periods: BTreeSet<_> = want.sums.keys().map(|(period, index, _)| (*period, *index)).collect();
        for (period, index) in periods.difference(&untold).copied() {
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
            if cells.contains(&(Period::Day, *day, *service)) {
                continue;
            }
            let shown = self.fold.detail(Day(day.cast_signed()), *service);
            assert_eq!(shown, *detail, "seed {seed}: screen, details of day {day}, {service:?}");
        }
    }
}

/// Figures that nothing was folded into.
fn empty() -> Fold {
    let owners: HashMap<_, _> = services().into_iter().zip(DEPARTMENTS).collect();
    let now_ms = BEGIN_MS + 12 * HOUR_MS;
    let mut fold = Fold::new(owners, now_ms);
    // Every minute of the log is kept.
    fold.begin_at(now_ms, BEGIN_MS - 5 * HOUR_MS);
    fold
}

fn stored(world: &World, period: Period) -> impl Iterator<Item = &Cell> {
    world.store.cells.values().filter(move |cell| cell.key.period == period)
}
