//! One run of an aggregator over one partition, one visible effect at a turn, in the order of the real pipeline and
//! writer.

use std::collections::VecDeque;

use aggregator::counter::{Cell, Counter, Ledger, Resident, Resume, Step};
use aggregator::ids::{Ids, Seen};
use domain::cell::CellKey;
use domain::outcome::Outcome;
use rand::Rng as _;
use rand::rngs::StdRng;

use crate::log;
use crate::world::World;

/// One effect of a flush.
enum Effect {
    Raw(Vec<(u64, Outcome)>),
    /// Cells wait until the gateways have been told of them.
    AwaitLive,
    Cell(Cell),
    Ledger(Ledger),
}

enum State {
    /// Nothing read yet.
    Born,
    /// The ledger is read; cells and ids are read later, when others may have written more.
    KnowsLedger(Ledger, u64),
    KnowsCells(Ledger, u64, Vec<Cell>),
    Counting(Box<Counter>),
}

/// A process that may die at any turn.
pub(crate) struct Worker {
    back: u64,
    state: State,
    needs: Vec<CellKey>,
    raw: Vec<(u64, Outcome)>,
    /// Taken from the counter and on the way to the live topic.
    packs: VecDeque<Vec<Cell>>,
    flush: VecDeque<Effect>,
}

impl Worker {
    /// Starts `back` records before the ledger's end.
    pub(crate) fn new(back: u64) -> Self {
        let (raw, needs) = (Vec::new(), Vec::new());
        Self { back, state: State::Born, needs, raw, packs: VecDeque::new(), flush: VecDeque::new() }
    }

    /// Whether everything is counted, published and stored.
    pub(crate) fn is_idle(&self, world: &World) -> bool {
        let State::Counting(counter) = &self.state else { return false };
        let is_read = counter.next() == world.log.len() as u64;
        is_read && self.flush.is_empty() && self.packs.is_empty() && self.raw.is_empty()
    }

    /// Does one thing that others can see.
    pub(crate) fn turn(&mut self, world: &mut World, rng: &mut StdRng) {
        match std::mem::replace(&mut self.state, State::Born) {
            State::Born => {
                let ledger = world.ledger().clone();
                let start = ledger.applied_end.saturating_sub(self.back);
                self.state = State::KnowsLedger(ledger, start);
            }
            State::KnowsLedger(ledger, start) => {
                let cells = world.resident(resident(&ledger));
                self.state = State::KnowsCells(ledger, start, cells);
            }
            State::KnowsCells(ledger, start, cells) => {
                let resume = Resume { ids: ids(world, start), resident: resident(&ledger), ledger, start, cells };
                self.state = State::Counting(Box::new(Counter::new(log::SOURCE, log::book(), resume)));
            }
            State::Counting(mut counter) => {
                self.count(&mut counter, world, rng);
                self.state = State::Counting(counter);
            }
        }
    }

    fn count(&mut self, counter: &mut Counter, world: &mut World, rng: &mut StdRng) {
        if !self.needs.is_empty() {
            let needs = std::mem::take(&mut self.needs);
            let cells = needs.iter().filter_map(|key| world.store.cells.get(key).cloned()).collect();
            counter.install(cells, &needs);
            return;
        }
        match rng.random_range(0..10) {
            0..=3 => self.read(counter, world, rng),
            4 => self.packs.push_back(counter.take_changed()),
            5 => {
                if let Some(pack) = self.packs.pop_front() {
                    world.publish(&pack);
                }
            }
            _ if self.flush.is_empty() => self.begin_flush(counter, rng),
            _ => self.flush_on(counter, world, rng),
        }
    }

    fn read(&mut self, counter: &mut Counter, world: &World, rng: &mut StdRng) {
        for _ in 0..rng.random_range(1..9) {
            let Some(record) = world.log.get(counter.next() as usize) else { return };
            match counter.apply(record).expect("the next record, known rules") {
                Step::Counted(outcome) => self.raw.push((record.offset, outcome)),
                Step::Needs(keys) => {
                    self.needs = keys;
                    return;
                }
            }
        }
    }

    fn begin_flush(&mut self, counter: &mut Counter, rng: &mut StdRng) {
        self.packs.push_back(counter.take_changed());
        let mut rows = std::mem::take(&mut self.raw);
        // Not every part of an insert arrives at once.
        while !rows.is_empty() {
            let part = rows.drain(..rng.random_range(1..=rows.len())).collect();
            self.flush.push_back(Effect::Raw(part));
        }
        self.flush.push_back(Effect::AwaitLive);
        let mut cells = counter.take_dirty();
        while !cells.is_empty() {
            self.flush.push_back(Effect::Cell(cells.swap_remove(rng.random_range(0..cells.len()))));
        }
        self.flush.push_back(Effect::Ledger(counter.ledger().clone()));
    }

    fn flush_on(&mut self, counter: &mut Counter, world: &mut World, rng: &mut StdRng) {
        match self.flush.pop_front() {
            Some(Effect::Raw(rows)) => world.insert_raw(&rows),
            Some(Effect::AwaitLive) => {
                for pack in self.packs.drain(..) {
                    world.publish(&pack);
                }
            }
            Some(Effect::Cell(cell)) => world.insert_cell(&cell),
            Some(Effect::Ledger(ledger)) => world.insert_ledger(&ledger),
            None => {}
        }
        if self.flush.is_empty() && rng.random_bool(0.5) {
            counter.evict();
        }
    }
}

/// As the service reads it: nothing is known to be absent unless there is no ledger at all.
fn resident(ledger: &Ledger) -> Resident {
    if ledger.applied_end == 0 { Resident::ALL } else { Resident::at(ledger.appended_at_ms) }
}

fn ids(world: &World, start: u64) -> Ids {
    let mut ids = Ids::default();
    for (offset, outcome) in world.store.raw.range(..start) {
        let record = &world.log[*offset as usize];
        if let (Outcome::Accepted, Some((event, _))) = (outcome, &record.content) {
            ids.load(event.id, Seen { appended_at_ms: record.appended_at_ms, content: event.content });
        }
    }
    ids
}
