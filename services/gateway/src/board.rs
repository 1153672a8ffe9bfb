//! One topic as its viewers hold it: indexed keys and periods, the value of each pair, and what changed when.
//!
//! Invariant: a snapshot, or a snapshot at `since` and then any ticks that lead from there to `seq`, give the same
//! values. Entries of the index keep their place until the floor rises; who is below the floor gets a snapshot.
//! Memory is bounded by what the topic carries. It never reads a clock and knows nothing of viewers.

use std::collections::{HashMap, VecDeque};
use std::fmt::Write as _;

use domain::catalogue::Catalogue;
use domain::source::ServiceNumber;
use domain::time::Day;

use crate::fold::Fold;
use crate::topics::{At, Key, Scope, Topic, collect};

/// JSON numbers are exact up to here; larger ones are written as text.
const EXACT_MAX: i64 = 1 << 53;
/// The index is begun anew when it holds this many periods that are no longer carried.
const STALE_PERIODS_MAX: usize = 90;
/// At least so many changes are remembered for those who fall behind.
const CHANGES_MIN: usize = 1_024;

/// What a topic has for a viewer who is at some sequence number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// The viewer has everything.
    Nothing,
    /// One tick leads from the viewer's number to the present one.
    Tick,
    /// The viewer needs a snapshot.
    Snapshot,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Value {
    value: i64,
    seq: u64,
}

/// The state of one topic.
#[derive(Debug)]
pub struct Board {
    topic: Topic,
    name: String,
    today: Day,
    /// The open minute and that of the edge.
    minutes: (u32, u32),
    tiles: Vec<ServiceNumber>,
    /// The fold's version at the last advance, and which fold it was.
    version: u64,
    origin: u64,
    seq: u64,
    /// Where the present index began.
    floor: u64,
    /// Changes up to this number are forgotten.
    forgotten: u64,
    keys: Index<Key>,
    periods: Index<At>,
    values: HashMap<(u32, u32), Value>,
    changes: VecDeque<(u64, u32, u32)>,
}

/// Things with a place each; each knows the sequence number at which it came.
#[derive(Debug)]
struct Index<T> {
    entries: Vec<(T, u64)>,
    places: HashMap<T, u32>,
}

impl<T: Copy + Eq + std::hash::Hash> Index<T> {
    fn new() -> Self {
        Self { entries: Vec::new(), places: HashMap::new() }
    }

    fn place(&mut self, entry: T, seq: u64) -> u32 {
        let Self { entries, places } = self;
        *places.entry(entry).or_insert_with(|| {
            entries.push((entry, seq));
            entries.len() as u32 - 1
        })
    }

    fn after(&self, seq: u64) -> &[(T, u64)] {
        &self.entries[self.entries.partition_point(|entry| entry.1 <= seq)..]
    }
}

impl Board {
    /// A topic that nobody held before. `next` gives sequence numbers, each larger than any given before.
    #[must_use]
    pub fn new(
        topic: Topic,
        catalogue: &Catalogue,
        fold: &Fold,
        scope: &Scope<'_>,
        next: &mut dyn FnMut() -> u64,
    ) -> Self {
        let mut board = Self {
            topic,
            name: topic.name(catalogue),
            today: scope.today,
            minutes: (scope.minute, scope.edge),
            tiles: scope.tiles.to_vec(),
            version: 0,
            origin: 0,
            seq: 0,
            floor: 0,
            forgotten: 0,
            keys: Index::new(),
            periods: Index::new(),
            values: HashMap::new(),
            changes: VecDeque::new(),
        };
        board.begin(fold, scope, next);
        board
    }

    /// The number of the present state.
    #[must_use]
    pub const fn seq(&self) -> u64 {
        self.seq
    }

    /// Takes what changed in the fold; says whether there is a new sequence number.
    pub fn advance(&mut self, fold: &Fold, scope: &Scope<'_>, next: &mut dyn FnMut() -> u64) -> bool {
        // A service that has left the wall is not told of any more, so nobody may go on showing it.
        let has_others = self.topic == Topic::Wall && scope.tiles != self.tiles;
        let moved = (scope.minute, scope.edge) != self.minutes;
        if scope.today != self.today || fold.origin() != self.origin || has_others {
            self.begin(fold, scope, next);
            return true;
        }
        if !moved && fold.version() == self.version {
            return false;
        }
        if moved {
            self.minutes = (scope.minute, scope.edge);
            self.drop_old(scope);
            if self.stale_periods(scope) > STALE_PERIODS_MAX {
                self.begin(fold, scope, next);
                return true;
            }
        }
        self.take(fold, scope, if moved { 0 } else { self.version }, next)
    }

    /// Begins a new index with everything that is carried.
    fn begin(&mut self, fold: &Fold, scope: &Scope<'_>, next: &mut dyn FnMut() -> u64) {
        self.today = scope.today;
        self.origin = fold.origin();
        self.minutes = (scope.minute, scope.edge);
        self.tiles = scope.tiles.to_vec();
        self.keys = Index::new();
        self.periods = Index::new();
        self.values.clear();
        self.changes.clear();
        self.take(fold, scope, 0, next);
        self.seq = next();
        self.floor = self.seq;
        self.forgotten = self.seq;
        self.changes.clear();
    }

    fn take(&mut self, fold: &Fold, scope: &Scope<'_>, since: u64, next: &mut dyn FnMut() -> u64) -> bool {
        let mut found = Vec::new();
        let (keys, periods, values) = (&self.keys, &self.periods, &self.values);
        collect(self.topic, fold, scope, since, &mut |key, at, value| {
            let value = value.max(0);
            let place = keys.places.get(&key).zip(periods.places.get(&at)).map(|(key, at)| (*key, *at));
            let held = place.and_then(|place| values.get(&place));
            if held.is_none_or(|held| held.value != value) {
                found.push((key, at, value));
            }
        });
        self.version = fold.version();
        if found.is_empty() {
            return false;
        }
        self.seq = next();
        for (key, at, value) in found {
            let place = (self.keys.place(key, self.seq), self.periods.place(at, self.seq));
            self.values.insert(place, Value { value, seq: self.seq });
            self.changes.push_back((self.seq, place.0, place.1));
        }
        let keep = CHANGES_MIN.max(2 * self.values.len());
        while self.changes.len() > keep {
            self.forgotten = self.changes.pop_front().map_or(self.forgotten, |(seq, ..)| seq);
        }
        true
    }

    fn drop_old(&mut self, scope: &Scope<'_>) {
        let (topic, keys, periods) = (self.topic, &self.keys.entries, &self.periods.entries);
        self.values.retain(|(key, at), _| scope.carries(topic, keys[*key as usize].0, periods[*at as usize].0));
    }

    fn stale_periods(&self, scope: &Scope<'_>) -> usize {
        let carried = |at| [Key::All, Key::Visitors].iter().any(|key| scope.carries(self.topic, *key, at));
        self.periods.entries.iter().filter(|(at, _)| !carried(*at)).count()
    }

    /// What a viewer at `since` needs.
    #[must_use]
    pub const fn next_for(&self, since: u64) -> Next {
        if since == self.seq {
            Next::Nothing
        } else if since < self.floor || since < self.forgotten || since > self.seq {
            Next::Snapshot
        } else {
            Next::Tick
        }
    }

    /// The whole topic as a `snap` frame.
    #[must_use]
    pub fn snapshot(&self, epoch: &str, wm: Option<i64>, catalogue: &Catalogue) -> String {
        let mut frame = String::with_capacity(256 + 48 * self.keys.entries.len() + 16 * self.values.len());
        let (name, seq) = (&self.name, self.seq);
        let _ = write!(frame, r#"{{"op":"snap","topic":"{name}","epoch":"{epoch}","seq":{seq}"#);
        self.write_scope(&mut frame, wm);
        write_names(&mut frame, "keys", &self.keys.entries, |key| key.name(catalogue));
        write_names(&mut frame, "periods", &self.periods.entries, At::name);
        let mut values: Vec<_> = self.values.iter().map(|((key, at), value)| (*key, *at, value.value)).collect();
        values.sort_unstable();
        write_values(&mut frame, "values", values);
        frame.push('}');
        frame
    }

    /// What changed after `since` as a `tick` frame; only where [`Board::next_for`] says so.
    #[must_use]
    pub fn tick(&self, since: u64, wm: Option<i64>, catalogue: &Catalogue) -> String {
        let mut frame = String::with_capacity(1_024);
        let (name, seq) = (&self.name, self.seq);
        let _ = write!(frame, r#"{{"op":"tick","topic":"{name}","prev":{since},"seq":{seq}"#);
        self.write_scope(&mut frame, wm);
        let keys = self.keys.after(since);
        if !keys.is_empty() {
            write_names(&mut frame, "keys", keys, |key| key.name(catalogue));
        }
        let periods = self.periods.after(since);
        if !periods.is_empty() {
            write_names(&mut frame, "periods", periods, At::name);
        }
        let first = self.changes.partition_point(|change| change.0 <= since);
        // A value that changed several times stands here once, with its last change.
        let changes = self.changes.range(first..).filter_map(|&(seq, key, at)| {
            let held = self.values.get(&(key, at)).filter(|held| held.seq == seq)?;
            Some((key, at, held.value))
        });
        write_values(&mut frame, "changes", changes);
        frame.push('}');
        frame
    }

    fn write_scope(&self, frame: &mut String, wm: Option<i64>) {
        let today = self.today;
        let _ = match wm {
            Some(wm) => write!(frame, r#","wm":{wm},"today":"{today}""#),
            None => write!(frame, r#","wm":null,"today":"{today}""#),
        };
    }
}

/// Names are slugs and digits: nothing in them needs escaping.
fn write_names<T: Copy>(frame: &mut String, field: &str, entries: &[(T, u64)], name: impl Fn(T) -> String) {
    let _ = write!(frame, r#","{field}":["#);
    for (place, (entry, _)) in entries.iter().enumerate() {
        let comma = if place == 0 { "" } else { "," };
        let _ = write!(frame, r#"{comma}"{}""#, name(*entry));
    }
    frame.push(']');
}

fn write_values(frame: &mut String, field: &str, values: impl IntoIterator<Item = (u32, u32, i64)>) {
    let _ = write!(frame, r#","{field}":["#);
    for (place, (key, at, value)) in values.into_iter().enumerate() {
        let comma = if place == 0 { "" } else { "," };
        let _ = if value > EXACT_MAX {
            write!(frame, r#"{comma}[{key},{at},"{value}"]"#)
        } else {
            write!(frame, "{comma}[{key},{at},{value}]")
        };
    }
    frame.push(']');
}

#[cfg(test)]
mod tests;
