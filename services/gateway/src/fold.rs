//! The figures in memory: versions of cells in, sums over sources out.
//!
//! Invariant: the state is a function of the set of cell versions that were folded and of the windows: their order,
//! repetition and number of owners make no difference, since every measure of a cell grows along its source and the
//! larger value wins, which is that of the larger applied offset. A period leaves with its versions and its sums at
//! once and is not taken again, so no sum is ever built on half of its versions.
//! It never reads a clock, and never counts a sandbox in a figure of a department or of government.

mod bucket;
mod detail;
mod minutes;
mod sum;
mod window;

use std::collections::{BTreeMap, HashMap};

use domain::cell::{CellKey, Measures, Slice};
use domain::event::ALL_PAGES;
use domain::source::{Log, ServiceNumber, Source};
use domain::time::{Day, Period};

pub use bucket::{Bucket, Total};
pub use detail::Detail;
pub use sum::{Measure, Sum};
pub use window::{MINUTES_SHOWN, Window};

use bucket::Version;
use detail::Details;
use minutes::MinuteTotals;

/// A source by its place in the order in which they were met; corrections take away what the others add.
#[derive(Debug, Clone, Copy)]
struct From {
    index: u16,
    sign: i64,
}

/// What is remembered of a service beside its figures.
#[derive(Debug, Clone, Copy, Default)]
struct Service {
    version: u64,
    heard_ms: Option<i64>,
}

/// All figures in memory.
#[derive(Debug)]
pub struct Fold {
    /// Number of the department of each public service of the catalogue.
    owners: HashMap<ServiceNumber, u8>,
    sources: BTreeMap<Source, u16>,
    window: Window,
    version: u64,
    /// The version with which it took another's place.
    origin: u64,
    minutes: BTreeMap<u32, Bucket>,
    hours: BTreeMap<u32, Bucket>,
    days: BTreeMap<u32, Bucket>,
    details: BTreeMap<u32, Details>,
    totals: MinuteTotals,
    services: BTreeMap<ServiceNumber, Service>,
}

impl Fold {
    /// Nothing counted yet. `owners` gives the department of each public service.
    #[must_use]
    pub fn new(owners: HashMap<ServiceNumber, u8>, now_ms: i64) -> Self {
        Self {
            owners,
            sources: BTreeMap::new(),
            window: Window::at(now_ms, now_ms),
            version: 0,
            origin: 0,
            minutes: BTreeMap::new(),
            hours: BTreeMap::new(),
            days: BTreeMap::new(),
            details: BTreeMap::new(),
            totals: MinuteTotals::default(),
            services: BTreeMap::new(),
        }
    }

    /// Takes versions of cells of one source, in any order. A service whose figures rise by a cell was heard at what
    /// `heard_ms` says of it; returns by how many cells a figure rose. If by none, nobody who watches the version wakes.
    pub fn take<'a>(
        &mut self,
        source: Source,
        cells: impl IntoIterator<Item = (&'a CellKey, &'a Measures)>,
        heard_ms: impl Fn(&CellKey) -> Option<i64>,
    ) -> usize {
        self.version += 1;
        let next = u16::try_from(self.sources.len()).expect("fewer sources than partitions of Kafka");
        let from = From {
            index: *self.sources.entry(source).or_insert(next),
            sign: if source.log == Log::Corrections { -1 } else { 1 },
        };
        let mut rose = 0;
        for (key, measures) in cells {
            if self.take_cell(from, key, measures) {
                rose += 1;
                let service = self.services.entry(key.service).or_default();
                service.version = self.version;
                if source.log == Log::Events {
                    service.heard_ms = service.heard_ms.max(heard_ms(key));
                }
            }
        }
        if rose == 0 {
            // No figure bears it.
            self.version -= 1;
        }
        rose
    }

    fn take_cell(&mut self, from: From, key: &CellKey, measures: &Measures) -> bool {
        match (key.slice, measures) {
            (Slice::Counts { channel }, Measures::Counts(counts)) => {
                let mut rose = false;
                if key.period == Period::Minute && key.service.is_public() && key.index >= self.window.totals_from {
                    let completed = counts.stages[1];
                    rose = self.totals.raise((from, key, channel), completed, self.version);
                }
                if key.period == Period::Day && key.index >= self.window.days_from {
                    self.details.entry(key.index).or_default().raise(from, key, measures);
                }
                self.take_version(from, key, &Version::of_counts(channel, counts)) || rose
            }
            (Slice::Breakdown { .. }, Measures::Number(_)) => {
                key.period == Period::Day
                    && key.index >= self.window.days_from
                    && self.details.entry(key.index).or_default().raise(from, key, measures)
            }
            (Slice::Page { page: ALL_PAGES }, Measures::Views(views)) => {
                self.take_version(from, key, &Version::of_views(views))
            }
            // Single pages and the ledger are shown nowhere yet; history has them.
            _ => false,
        }
    }

    fn take_version(&mut self, from: From, key: &CellKey, version: &Version<'_>) -> bool {
        let (buckets, first) = match key.period {
            Period::Minute => (&mut self.minutes, self.window.minutes_from),
            Period::Hour => (&mut self.hours, self.window.hours_from),
            Period::Day => (&mut self.days, self.window.days_from),
        };
        if key.index < first {
            return false;
        }
        buckets.entry(key.index).or_default().raise(from, key.service, version, &self.owners, self.version)
    }

    /// Before anything is taken: begins with the windows of an edge that is older than now.
    pub fn begin_at(&mut self, now_ms: i64, edge_ms: i64) {
        if self.version == 0 {
            self.window = Window::at(now_ms, edge_ms);
        }
    }

    /// Moves the windows on to an instant and the edge of the figures, and forgets what has left them. They never move
    /// back.
    pub fn advance(&mut self, now_ms: i64, edge_ms: i64) {
        let window = self.window.on_to(Window::at(now_ms, edge_ms));
        if window == self.window {
            return;
        }
        self.window = window;
        self.minutes = self.minutes.split_off(&window.minutes_from);
        self.hours = self.hours.split_off(&window.hours_from);
        self.days = self.days.split_off(&window.days_from);
        self.details = self.details.split_off(&window.days_from);
        self.totals.forget_before(window.totals_from);
    }

    /// Grows with everything that is taken; figures are stamped with it.
    #[must_use]
    pub const fn version(&self) -> u64 {
        self.version
    }

    /// Takes the place of another: versions go on from there, and whoever holds figures of the other must let go of them.
    #[must_use]
    pub fn in_place_of(mut self, other: &Self) -> Self {
        self.version = self.version.max(other.version) + 1;
        self.origin = self.version;
        self
    }

    /// Another for each fold that took the place of the one before.
    #[must_use]
    pub const fn origin(&self) -> u64 {
        self.origin
    }

    /// What is kept at present.
    #[must_use]
    pub const fn window(&self) -> Window {
        self.window
    }

    /// The department of a public service.
    #[must_use]
    pub fn owner(&self, service: ServiceNumber) -> Option<u8> {
        self.owners.get(&service).copied()
    }

    /// The figures of a period, if anything was counted in it.
    #[must_use]
    pub fn bucket(&self, period: Period, index: u32) -> Option<&Bucket> {
        match period {
            Period::Minute => self.minutes.get(&index),
            Period::Hour => self.hours.get(&index),
            Period::Day => self.days.get(&index),
        }
    }

    /// The figures of a London date.
    #[must_use]
    pub fn day(&self, day: Day) -> Option<&Bucket> {
        self.days.get(&day.0.cast_unsigned())
    }

    /// The figures of one service in one period.
    #[must_use]
    pub fn sum(&self, period: Period, index: u32, service: ServiceNumber) -> Option<&Sum> {
        self.bucket(period, index)?.sum(service)
    }

    /// Completed across government in a minute: all of today's and those of the last hour are kept.
    #[must_use]
    pub fn minute_total(&self, index: u32) -> Option<Total> {
        self.totals.get(index)
    }

    /// What only the page of a service shows of a day.
    #[must_use]
    pub fn detail(&self, day: Day, service: ServiceNumber) -> Detail {
        self.details.get(&day.0.cast_unsigned()).map_or_else(Detail::default, |details| details.of(service))
    }

    /// The version at which a figure of this service last changed; 0 if it has none.
    #[must_use]
    pub fn changed(&self, service: ServiceNumber) -> u64 {
        self.services.get(&service).map_or(0, |service| service.version)
    }

    /// When a service was last heard.
    #[must_use]
    pub fn heard_ms(&self, service: ServiceNumber) -> Option<i64> {
        self.services.get(&service)?.heard_ms
    }

    /// All services that were ever heard, with the instant, ascending by number.
    pub fn heard(&self) -> impl Iterator<Item = (ServiceNumber, i64)> + '_ {
        self.services.iter().filter_map(|(number, service)| Some((*number, service.heard_ms?)))
    }

    /// How many versions of cells are held, for metrics.
    #[must_use]
    pub fn versions(&self) -> usize {
        let buckets = self.minutes.values().chain(self.hours.values()).chain(self.days.values());
        buckets.map(Bucket::versions).sum::<usize>() + self.totals.versions()
    }
}

#[cfg(test)]
mod tests;
