//! One run of an aggregator over one partition, one visible effect at a turn, in the order of the real pipeline and
//! writer.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::LazyLock;

use aggregator::counter::{Cell, Counter, Ledger, Resident, Resume, Step};
use aggregator::ids::{Folder, Ids, Seen, Spill};
use aggregator::repair::{Finding, judge};
use domain::cell::CellKey;
use domain::outcome::Outcome;
use rand::Rng as _;
use rand::rngs::StdRng;

use crate::fault::Fault;
use crate::world::{By, World};
use crate::{log, mending};

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
    /// Ids are being read, or all are.
    Reads(Box<Reading>),
    Counting(Box<Counter>),
    /// Cells that were added up from raw are on their way into the store.
    Repairing,
}

/// A start whose ids are being read.
struct Reading {
    ledger: Ledger,
    start: u64,
    cells: Vec<Cell>,
    ids: Ids,
    /// How many accepted records they are of, which were appended at the beginning of the window or later.
    accepted: usize,
    from_ms: i64,
    /// The ids of records below this offset are read.
    read: u64,
}

/// A process that may die at any turn.
pub(crate) struct Worker {
    fault: Fault,
    /// So many ids in memory; without a bound no file is written.
    ids_max: Option<usize>,
    /// Whether it reads ids in several turns.
    reads_slowly: bool,
    spill: Option<Spill>,
    early: Vec<Cell>,
    back: u64,
    /// An offset at or after which raw is known to lack something.
    suspect: Option<u64>,
    state: State,
    /// The end of the books and the next record at the last flush.
    flushed: (u64, u64),
    needs: Vec<CellKey>,
    raw: Vec<(u64, Outcome)>,
    /// Taken from the counter and on the way to the live topic.
    packs: VecDeque<Vec<Cell>>,
    flush: VecDeque<Effect>,
}

impl Worker {
    /// Starts `back` records before the ledger's end, with a bound on the ids in memory.
    pub(crate) fn new(back: u64, fault: Fault, ids_max: Option<usize>) -> Self {
        Self {
            fault,
            ids_max,
            reads_slowly: false,
            spill: None,
            early: Vec::new(),
            back,
            suspect: None,
            state: State::Born,
            flushed: (0, 0),
            needs: Vec::new(),
            raw: Vec::new(),
            packs: VecDeque::new(),
            flush: VecDeque::new(),
        }
    }

    /// The same, and reads its ids in several turns.
    pub(crate) fn slowly(self) -> Self {
        Self { reads_slowly: true, ..self }
    }

    /// Whether it is about to read ids, or reads them.
    pub(crate) fn reads(&self) -> bool {
        matches!(self.state, State::KnowsCells(..) | State::Reads(_))
    }

    /// Compares the store with the books if it is at rest, and begins to repair what is found.
    pub(crate) fn check(&mut self, world: &World) -> Option<Finding> {
        let (end, next) = self.flushed;
        if !matches!(self.state, State::Counting(_)) || !self.flush.is_empty() || end == 0 || next < end {
            return None;
        }
        let finding = judge(&mending::facts(world), end)?;
        // What is in memory is dropped; rows of raw and packs that are on their way stay there.
        (self.needs, self.state, self.back) = (Vec::new(), State::Born, 0);
        self.spill = None;
        match &finding {
            Finding::MissingRaw { from, .. } => self.suspect = Some(*from),
            Finding::Short(places) => {
                let cells = mending::recount(world, places.keys().copied().collect());
                if self.fault != Fault::RepairsSilently {
                    self.packs.push_back(cells.clone());
                }
                self.flush.push_back(Effect::AwaitLive);
                self.flush.extend(cells.into_iter().map(Effect::Cell));
                self.state = State::Repairing;
            }
            Finding::WentBack { .. } | Finding::Unbalanced { .. } => {}
        }
        Some(finding)
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
                if self.fault == Fault::ReadsCellsFirst && world.store.cells.len() > 0 {
                    if self.early.is_empty() {
                        self.early = world.resident(resident(world.ledger()));
                    }
                    // Long enough for another owner to write in between.
                    if rng.random_bool(0.95) {
                        return;
                    }
                }
                let (mut ledger, mut start) = mending::resume(world, self.suspect, self.back);
                if self.fault == Fault::StartsBeyondLedger && start > 0 {
                    start = (start + 1).min(world.log.len() as u64);
                    ledger.applied_end = ledger.applied_end.max(start);
                }
                self.state = State::KnowsLedger(ledger, start);
            }
            State::KnowsLedger(ledger, start) => {
                let cells = match self.fault {
                    Fault::ReadsCellsFirst => std::mem::take(&mut self.early),
                    _ => world.resident(resident(&ledger)),
                };
                self.state = State::KnowsCells(ledger, start, cells);
            }
            State::KnowsCells(ledger, start, cells) => {
                let ids = self.no_ids(world);
                let from_ms = mending::before_ms(world, start) - log::rules().window_ms;
                let reading = Reading { ledger, start, cells, ids, accepted: 0, from_ms, read: 0 };
                self.state = self.read_ids(reading, world, rng);
            }
            State::Reads(reading) => self.state = self.read_ids(*reading, world, rng),
            State::Counting(mut counter) => {
                self.count(&mut counter, world, rng);
                self.state = State::Counting(counter);
            }
            State::Repairing => {
                self.store_next(world, By::Repair);
                self.state = if self.flush.is_empty() { State::Born } else { State::Repairing };
            }
        }
    }

    fn count(&mut self, counter: &mut Counter, world: &mut World, rng: &mut StdRng) {
        if !self.needs.is_empty() {
            let needs = std::mem::take(&mut self.needs);
            let cells = needs.iter().filter_map(|key| world.store.cells.get(key).cloned()).collect();
            counter.install(self.guarded(cells), &needs);
            return;
        }
        if self.ids_max.is_some() && rng.random_bool(0.4) {
            self.make_room(counter, world, rng);
        }
        match rng.random_range(0..10) {
            0..=3 => self.read(counter, world, rng),
            4 => self.packs.push_back(counter.take_changed()),
            5 => {
                if let Some(pack) = self.packs.pop_front() {
                    world.publish(pack);
                }
            }
            _ if self.flush.is_empty() => self.begin_flush(counter, rng),
            _ => self.flush_on(counter, world, rng),
        }
    }

    /// Cells as they are taken from the store; without what they say to include, if that is the mistake.
    fn guarded(&self, mut cells: Vec<Cell>) -> Vec<Cell> {
        if self.fault == Fault::SkipsAppliedOffset {
            cells.iter_mut().for_each(|cell| cell.applied_offset = 0);
        }
        cells
    }

    fn read(&mut self, counter: &mut Counter, world: &mut World, rng: &mut StdRng) {
        for _ in 0..rng.random_range(1..9) {
            if self.fault == Fault::PublishesBeforeDeciding {
                world.publish_undecided(counter.next());
            }
            let Some(record) = world.log.get(counter.next() as usize) else { return };
            // As the service does, which holds the partition back.
            if counter.ids().is_full() {
                return;
            }
            world.now_ms = world.now_ms.max(record.appended_at_ms);
            match counter.apply(record).expect("the next record, known rules") {
                Step::Counted(outcome) => {
                    self.raw.push((record.offset, outcome));
                    assert!(counter.ids().sizes().0 <= self.ids_max.unwrap_or(usize::MAX), "the bound of memory");
                }
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
        self.flushed = (counter.ledger().applied_end, counter.next());
        self.disorder();
    }

    /// Makes the mistake that is one of order.
    fn disorder(&mut self) {
        match self.fault {
            Fault::LedgerFirst => self.flush.rotate_right(1),
            Fault::RawLast => {
                let is_raw = |effect: &Effect| matches!(effect, Effect::Raw(_));
                let raws = self.flush.iter().take_while(|effect| is_raw(effect)).count();
                self.flush.rotate_left(raws);
            }
            Fault::StoresBeforeLive => self.flush.retain(|effect| !matches!(effect, Effect::AwaitLive)),
            _ => {}
        }
    }

    fn flush_on(&mut self, counter: &mut Counter, world: &mut World, rng: &mut StdRng) {
        self.store_next(world, By::Flush);
        let is_mistaken = self.fault == Fault::EvictsTooEarly;
        if is_mistaken || (self.flush.is_empty() && rng.random_bool(0.5)) {
            counter.evict();
        }
    }

    fn store_next(&mut self, world: &mut World, by: By) {
        match self.flush.pop_front() {
            Some(Effect::Raw(rows)) => world.insert_raw(&rows),
            Some(Effect::AwaitLive) => {
                for pack in self.packs.drain(..) {
                    world.publish(pack);
                }
            }
            Some(Effect::Cell(cell)) => world.insert_cell(&cell, by),
            Some(Effect::Ledger(ledger)) => world.insert_ledger(&ledger),
            None => {}
        }
    }
}

/// As the service reads it: nothing is known to be absent unless there is no ledger at all.
fn resident(ledger: &Ledger) -> Resident {
    if ledger.applied_end == 0 { Resident::ALL } else { Resident::at(ledger.appended_at_ms) }
}

/// For the files of ids. In memory if that can be: making a file on a disk takes longer than all the rest of a turn.
static FOLDER: LazyLock<Folder> = LazyLock::new(|| {
    let memory = PathBuf::from("/dev/shm");
    Folder::new(if memory.is_dir() { memory } else { std::env::temp_dir() })
});

impl Worker {
    fn no_ids(&self, world: &mut World) -> Ids {
        let mut ids = self.ids_max.map_or_else(Ids::default, Ids::bounded);
        if self.fault == Fault::KeepsRuns {
            world.runs.drain(..).for_each(|run| ids.spilled(Some(run)));
        }
        ids
    }

    /// Reads some of the ids, as the service does; when all are read, makes sure that raw was whole and begins to count.
    fn read_ids(&mut self, mut reading: Reading, world: &World, rng: &mut StdRng) -> State {
        let start = reading.start;
        if reading.read < start {
            let left = start - reading.read;
            let until = reading.read + if self.reads_slowly { rng.random_range(1..=left) } else { left };
            let bound = if self.fault == Fault::SeedsIdsBeyondStart && until == start { u64::MAX } else { until };
            for (offset, outcome) in world.store.raw.below(bound).filter(|(offset, _)| *offset as u64 >= reading.read) {
                let record = &world.log[offset];
                let (Outcome::Accepted, Some((event, _))) = (outcome, &record.content) else { continue };
                if record.appended_at_ms < reading.from_ms {
                    continue;
                }
                reading.accepted += 1;
                if self.fault == Fault::ForgetsIds {
                    continue;
                }
                reading.ids.load(event.id, Seen { appended_at_ms: record.appended_at_ms, content: event.content });
                if self.ids_max.is_some() {
                    reading.ids.make_room(&FOLDER).expect("the disk has room");
                }
            }
            reading.read = until;
            if self.reads_slowly {
                return State::Reads(Box::new(reading));
            }
        }
        if !self.had_all(&reading, world) {
            return State::Born;
        }
        self.suspect = None;
        let Reading { ledger, start, cells, ids, .. } = reading;
        let resident = match self.fault {
            Fault::ClaimsAllCells => Resident::ALL,
            _ => resident(&ledger),
        };
        let cells = self.guarded(cells);
        self.flushed = (ledger.applied_end, start);
        let resume = Resume { ids, resident, ledger, start, cells };
        State::Counting(Box::new(Counter::new(log::SOURCE, log::book(), resume)))
    }

    /// Rows may have been lost since the first look, and have come back since they were read.
    fn had_all(&self, reading: &Reading, world: &World) -> bool {
        if self.fault == Fault::TrustsWhatItRead {
            return true;
        }
        let Reading { start, from_ms, .. } = *reading;
        let in_window = |offset: &usize| world.log[*offset].appended_at_ms >= from_ms;
        let accepted =
            world.store.raw.below(start).filter(|(at, outcome)| *outcome == Outcome::Accepted && in_window(at));
        let has_more = accepted.count() > reading.accepted && self.fault != Fault::TrustsWhatIsThere;
        let before_ms = from_ms + log::rules().window_ms;
        !has_more && mending::first_gap(world, (before_ms, start), self.suspect).is_none()
    }

    /// Begins to write what is too much for memory, or ends it; the disk may be full.
    fn make_room(&mut self, counter: &mut Counter, world: &mut World, rng: &mut StdRng) {
        let (next, ids) = (counter.next(), counter.ids_mut());
        let Some(spill) = self.spill.take() else {
            self.spill = ids.spill();
            return;
        };
        if rng.random_bool(0.2) {
            ids.spilled(None);
            return;
        }
        let run = spill.write(&FOLDER).expect("the disk has room");
        if self.fault == Fault::KeepsRuns {
            world.runs.push(spill.write(&FOLDER).expect("the disk has room"));
        }
        ids.spilled(Some(if self.fault == Fault::LosesRuns { empty_run() } else { run }));
        if self.fault == Fault::ForgetsIdsEarly {
            let now_ms = world.log[next as usize - 1].appended_at_ms;
            ids.purge(now_ms, log::rules().window_ms / 4);
        }
    }
}

/// A run of another time.
fn empty_run() -> aggregator::ids::Run {
    let mut others = Ids::bounded(1);
    others.insert(domain::source::EventId(1), Seen { appended_at_ms: log::BEGIN_MS, content: 0 });
    let spill = others.spill().expect("the bound is reached");
    spill.write(&FOLDER).expect("the disk has room")
}
