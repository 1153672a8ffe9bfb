//! One run of an aggregator over one of the logs, one visible effect at a turn, in the order of the real loops.

use std::collections::VecDeque;

use aggregator::counter::{Cell, Counter, Ledger, Record, Resident, Resume, Step};
use aggregator::ids::{Ids, Seen};
use aggregator::late::decide::{Found, others};
use aggregator::late::settled::Settled;
use aggregator::late::source::{Decided, Late};
use aggregator::owned::Fetched;
use aggregator::raw::Raw;
use aggregator::repair::{Finding, judge};
use domain::cell::CellKey;
use domain::outcome::Outcome;
use domain::rules::SKEW_MS;
use domain::source::Log;
use rand::Rng as _;
use rand::rngs::StdRng;

use super::world::{World, source};
use crate::log;
use crate::mending::BACK_MS;

/// A mistake that a late log could make; the checker must catch each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// None: the real order of things.
    None,
    /// Decides without waiting for the other logs.
    NoWait,
    /// Takes an instant for settled as soon as its own clock has passed it.
    NoSkew,
    /// A retraction sees events that were appended after it.
    NoCut,
    /// Does not look at what its own log took before.
    ForgetsOwn,
    /// Looks events up before it knows that the other logs are settled.
    LooksUpTooEarly,
    /// Decides although raw lacks records that the decision rests on.
    TrustsRaw,
    /// Cells of retractions are not told when they are repaired.
    RepairsSilently,
    /// The ledger is written before the rest.
    LedgerFirst,
    /// Takes every cell that is not in memory for a new one.
    ClaimsAllCells,
}

impl Fault {
    /// All mistakes.
    pub(crate) const ALL: [Self; 9] = [
        Self::NoWait,
        Self::NoSkew,
        Self::NoCut,
        Self::ForgetsOwn,
        Self::LooksUpTooEarly,
        Self::TrustsRaw,
        Self::RepairsSilently,
        Self::LedgerFirst,
        Self::ClaimsAllCells,
    ];
}

enum Effect {
    Raw(Vec<(u64, Outcome)>),
    Live(Vec<Cell>),
    Cell(Cell),
    Ledger(Ledger),
}

/// How far a round has come.
enum Round {
    Between,
    LookedUp(usize, Found),
    Decided(Decided, Vec<CellKey>),
}

enum State {
    Born,
    KnowsLedger(Ledger, u64),
    Events(Box<Counter>, Vec<CellKey>),
    Late(Box<Late>, Round),
}

/// A process that may die at any turn.
pub(crate) struct Worker {
    log: Log,
    fault: Fault,
    back: u64,
    /// An offset at or after which raw is known to lack something.
    suspect: Option<u64>,
    /// The end of the books at the last flush.
    flushed_end: u64,
    state: State,
    settled: [Settled; 3],
    early: Option<Found>,
    rows: Vec<(u64, Outcome)>,
    flush: VecDeque<Effect>,
}

impl Worker {
    /// Starts `back` records before the ledger's end.
    pub(crate) fn new(log: Log, back: u64, fault: Fault) -> Self {
        // Mistakes are those of the late logs.
        let fault = if log == Log::Events { Fault::None } else { fault };
        let (settled, rows, flush) = (Default::default(), Vec::new(), VecDeque::new());
        Self { log, fault, back, suspect: None, flushed_end: 0, state: State::Born, settled, early: None, rows, flush }
    }

    /// Whether everything is counted and stored.
    pub(crate) fn is_idle(&self, world: &World) -> bool {
        let next = match &self.state {
            State::Events(counter, _) => counter.next(),
            State::Late(late, Round::Between) => late.counter().next(),
            _ => return false,
        };
        next == world.log(self.log).len() as u64 && self.flush.is_empty() && self.rows.is_empty()
    }

    /// Does one thing that others can see.
    pub(crate) fn turn(&mut self, world: &mut World, rng: &mut StdRng) {
        if !self.flush.is_empty() {
            self.flush_on(world, rng);
            return;
        }
        match std::mem::replace(&mut self.state, State::Born) {
            State::Born => {
                let ledger = world.ledger(self.log).clone();
                let mut start = ledger.applied_end.saturating_sub(self.back);
                while let Some(again) = self.first_gap(world, start) {
                    start = again;
                }
                world.mend_books(self.log);
                self.state = State::KnowsLedger(world.ledger(self.log).clone(), start);
            }
            State::KnowsLedger(ledger, start) => self.state = self.begin(ledger, start, world),
            State::Events(mut counter, needs) => {
                let needs = self.count_events(&mut counter, &needs, world, rng);
                self.state = State::Events(counter, needs);
            }
            State::Late(mut late, round) => {
                let round = self.count_late(&mut late, round, world, rng);
                self.state = State::Late(late, round);
            }
        }
    }

    /// The first record before `start` that raw lacks and that a decision from there on may rest on.
    fn first_gap(&self, world: &World, start: u64) -> Option<u64> {
        let rules = log::rules();
        let from = match self.log {
            Log::Events => {
                let records = &world.log(self.log)[..start as usize];
                let before_ms = records.iter().map(|record| record.appended_at_ms).max().unwrap_or(0);
                let is_before = |record: &Record| record.appended_at_ms < before_ms - rules.window_ms - BACK_MS;
                records.iter().rposition(is_before).unwrap_or(0) as u64
            }
            Log::Backfill | Log::Corrections => 0,
        };
        world.gap(self.log, from.min(self.suspect.unwrap_or(u64::MAX))..start)
    }

    /// Compares the store with the books if it is at rest, and begins to repair what is found.
    pub(crate) fn check(&mut self, world: &World) -> Option<Finding> {
        let is_at_rest = match &self.state {
            State::Events(counter, needs) => needs.is_empty() && counter.next() >= self.flushed_end,
            State::Late(late, Round::Between) => late.stored_end().is_some(),
            _ => false,
        };
        if !is_at_rest || !self.flush.is_empty() || !self.rows.is_empty() || self.flushed_end == 0 {
            return None;
        }
        let finding = judge(&world.facts(self.log), self.flushed_end)?;
        (self.state, self.back) = (State::Born, 0);
        match &finding {
            Finding::MissingRaw { from, .. } => self.suspect = Some(*from),
            Finding::Short(places) => {
                let cells = world.recount(self.log, places.keys().copied());
                if self.fault != Fault::RepairsSilently {
                    self.flush.push_back(Effect::Live(cells.clone()));
                }
                self.flush.extend(cells.into_iter().map(Effect::Cell));
            }
            Finding::WentBack { .. } | Finding::Unbalanced { .. } => {}
        }
        Some(finding)
    }

    fn begin(&mut self, ledger: Ledger, start: u64, world: &World) -> State {
        let book = log::book();
        // Rows may have been lost since the first look.
        if self.first_gap(world, start).is_some() {
            return State::Born;
        }
        (self.suspect, self.flushed_end) = (None, ledger.applied_end);
        if self.log == Log::Events {
            let resident = if ledger.applied_end == 0 { Resident::ALL } else { Resident::at(ledger.appended_at_ms) };
            let (cells, ids) = (world.resident(self.log, resident), ids(world, start));
            let resume = Resume { ids, resident, ledger, start, cells };
            return State::Events(Box::new(Counter::new(source(self.log), book, resume)), Vec::new());
        }
        let is_new = ledger.applied_end == 0 || self.fault == Fault::ClaimsAllCells;
        let resident = if is_new { Resident::ALL } else { Resident::NONE };
        let resume = Resume { ids: Ids::default(), resident, ledger, start, cells: Vec::new() };
        State::Late(Box::new(Late::new(Counter::new(source(self.log), book, resume))), Round::Between)
    }

    fn count_events(
        &mut self,
        counter: &mut Counter,
        needs: &[CellKey],
        world: &World,
        rng: &mut StdRng,
    ) -> Vec<CellKey> {
        if !needs.is_empty() {
            counter.install(world.cells(self.log, needs), needs);
        }
        for _ in 0..rng.random_range(1..9) {
            if counter.next() >= world.end(self.log) {
                break;
            }
            let record = &world.log(self.log)[counter.next() as usize];
            match counter.apply(record).expect("the next record, known rules") {
                Step::Counted(outcome) => self.rows.push((record.offset, outcome)),
                Step::Needs(keys) => return keys,
            }
        }
        if !self.rows.is_empty() && rng.random_bool(0.5) {
            let (changed, dirty) = (counter.take_changed(), counter.take_dirty());
            self.begin_flush(changed, dirty, counter.ledger().clone(), rng);
        }
        Vec::new()
    }

    fn count_late(&mut self, late: &mut Late, round: Round, world: &mut World, rng: &mut StdRng) -> Round {
        match round {
            Round::Between => self.look_up(late, world, rng),
            Round::LookedUp(..) if self.lacks(late, world) => Round::Between,
            Round::LookedUp(n, mut found) => {
                let decided = late.decide(n, &mut found).expect("known rules");
                let needs = late.needs(&decided).expect("known rules");
                Round::Decided(decided, needs)
            }
            Round::Decided(decided, needs) => {
                late.install(world.cells(self.log, &needs), &needs);
                let mut next = late.counter().next();
                let rows = &mut self.rows;
                let mut each = |outcome, record: &Record| {
                    rows.push((next, outcome));
                    if outcome == Outcome::Retracted {
                        world.retract(record.clone());
                    }
                    next += 1;
                };
                late.count(decided, &mut Raw::default(), &mut each).expect("known rules");
                let changed = late.take_changed();
                if let Some(dirty) = late.take_dirty() {
                    self.begin_flush(changed, dirty, late.counter().ledger().clone(), rng);
                }
                Round::Between
            }
        }
    }

    /// One of the steps that come before a decision.
    fn look_up(&mut self, late: &mut Late, world: &World, rng: &mut StdRng) -> Round {
        match rng.random_range(0..4) {
            0 => {
                while late.follows() < world.end(self.log) && late.waiting() < 9 {
                    let record = world.log(self.log)[late.follows() as usize].clone();
                    assert!(late.offer(Fetched { record, undecoded: Vec::new() }), "it follows");
                }
                if self.fault == Fault::LooksUpTooEarly && self.early.is_none() {
                    self.early = Some(self.found(world));
                }
            }
            1 => {
                // The worker's clock is not the true one.
                let asked_at_ms = world.now_ms + rng.random_range(-SKEW_MS..=SKEW_MS);
                for log in others(self.log) {
                    self.settled[*log as usize - 1].asked(asked_at_ms, world.end(*log));
                }
            }
            2 => {
                for log in others(self.log) {
                    self.settled[*log as usize - 1].applied(world.ledger(*log).applied_end);
                }
            }
            _ => {
                let skew_ms = if self.fault == Fault::NoSkew { 0 } else { SKEW_MS };
                let through = |log: &Log| self.settled[*log as usize - 1].through_ms(skew_ms);
                let through_ms = match self.fault {
                    Fault::NoWait => i64::MAX,
                    _ => others(self.log).iter().map(through).min().expect("a late log waits for others"),
                };
                let n = late.ready(through_ms, rng.random_range(1..9)).expect("known rules");
                // The look and the look-up are one step: nothing is lost and read again in so short a time.
                if n > 0 && !self.lacks(late, world) {
                    let found = self.early.take().unwrap_or_else(|| self.found(world));
                    return Round::LookedUp(n, found);
                }
            }
        }
        Round::Between
    }

    /// Whether raw lacks records that a decision may rest on.
    fn lacks(&self, late: &Late, world: &World) -> bool {
        let end = |log: Log| {
            if log == self.log { late.counter().next() } else { self.settled[log as usize - 1].applied_end() }
        };
        let lacks = |log: Log| world.gap(log, 0..end(log)).is_some();
        self.fault != Fault::TrustsRaw && others(self.log).iter().copied().chain([self.log]).any(lacks)
    }

    fn found(&self, world: &World) -> Found {
        let mut logs = others(self.log).to_vec();
        if self.fault != Fault::ForgetsOwn {
            logs.push(self.log);
        }
        world.found(&logs, self.fault == Fault::NoCut)
    }

    fn begin_flush(&mut self, changed: Vec<Cell>, mut dirty: Vec<Cell>, ledger: Ledger, rng: &mut StdRng) {
        let mut rows = std::mem::take(&mut self.rows);
        self.flush.push_back(Effect::Live(changed));
        // Not every part of an insert arrives at once.
        while !rows.is_empty() {
            let part = rows.drain(..rng.random_range(1..=rows.len())).collect();
            self.flush.push_back(Effect::Raw(part));
        }
        while !dirty.is_empty() {
            self.flush.push_back(Effect::Cell(dirty.swap_remove(rng.random_range(0..dirty.len()))));
        }
        self.flush.push_back(Effect::Ledger(ledger));
        if self.fault == Fault::LedgerFirst {
            self.flush.rotate_right(1);
        }
    }

    fn flush_on(&mut self, world: &mut World, rng: &mut StdRng) {
        match self.flush.pop_front() {
            Some(Effect::Raw(rows)) => world.insert_raw(self.log, &rows),
            Some(Effect::Live(cells)) => world.publish(self.log, &cells),
            Some(Effect::Cell(cell)) => world.insert_cell(self.log, &cell),
            Some(Effect::Ledger(ledger)) => {
                world.insert_ledger(self.log, &ledger);
                self.flushed_end = ledger.applied_end;
                if let State::Late(late, _) = &mut self.state {
                    late.stored(ledger.applied_end);
                }
            }
            None => {}
        }
        if self.flush.is_empty() && rng.random_bool(0.3) {
            match &mut self.state {
                State::Events(counter, _) => counter.evict(),
                State::Late(late, _) => late.evict(),
                State::Born | State::KnowsLedger(..) => {}
            }
        }
    }
}

fn ids(world: &World, start: u64) -> Ids {
    let mut ids = Ids::default();
    for ((_, offset), outcome) in world.store.raw.range((Log::Events, 0)..(Log::Events, start)) {
        let record = &world.log(Log::Events)[*offset as usize];
        if let (Outcome::Accepted, Some((event, _))) = (outcome, &record.content) {
            ids.load(event.id, Seen { appended_at_ms: record.appended_at_ms, content: event.content });
        }
    }
    ids
}
