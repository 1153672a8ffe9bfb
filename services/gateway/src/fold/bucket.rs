//! The figures of one period: versions by service, source and channel, and the sums over them.
//!
//! Invariant: a sum is the sum of the versions held, each with the sign of its log. A version never falls.

use std::collections::{BTreeMap, HashMap};

use domain::cell::{Counts, Views};
use domain::source::ServiceNumber;
use domain::visitors::Registers;
use domain::vocabulary::{Channel, Stage};

use super::From;
use super::sum::{Measure, Sum};

/// Stages, ratings, page views.
const NUMBERS: usize = 10;
const RATINGS_AT: usize = 4;
const VIEWS_AT: usize = 9;
/// Stands for the channel of page views, which have none.
const NO_CHANNEL: u8 = u8::MAX;

/// The numbers of one version of a cell.
pub(super) struct Version<'a> {
    channel: u8,
    numbers: [u64; NUMBERS],
    visitors: Option<&'a Registers>,
}

impl<'a> Version<'a> {
    pub(super) fn of_counts(channel: u8, counts: &Counts) -> Self {
        let mut numbers = [0; NUMBERS];
        numbers[..RATINGS_AT].copy_from_slice(&counts.stages);
        numbers[RATINGS_AT..VIEWS_AT].copy_from_slice(&counts.ratings);
        Self { channel, numbers, visitors: None }
    }

    pub(super) fn of_views(views: &'a Views) -> Self {
        let mut numbers = [0; NUMBERS];
        numbers[VIEWS_AT] = views.views;
        Self { channel: NO_CHANNEL, numbers, visitors: Some(&views.visitors) }
    }
}

/// Completed over several services.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Total {
    /// How many.
    pub completed: i64,
    /// The fold's version at the last change.
    pub version: u64,
}

impl Total {
    pub(super) const fn add(&mut self, n: i64, version: u64) {
        self.completed += n;
        self.version = version;
    }
}

/// One service in one period.
#[derive(Debug, Default)]
struct Service {
    sum: Sum,
    /// Ascending by source and channel.
    versions: Vec<(u16, u8, [u64; NUMBERS])>,
}

impl Service {
    /// Takes the larger of each number; the change of completed transactions, and whether anything rose.
    fn raise(&mut self, from: From, version: &Version<'_>) -> (i64, bool) {
        let key = (from.index, version.channel);
        let at = self.versions.binary_search_by_key(&key, |held| (held.0, held.1)).unwrap_or_else(|at| {
            self.versions.insert(at, (key.0, key.1, [0; NUMBERS]));
            at
        });
        let held = &mut self.versions[at].2;
        let (mut completed, mut rose) = (0, false);
        for (place, (held, new)) in held.iter_mut().zip(version.numbers).enumerate() {
            let Some(more) = new.checked_sub(*held).filter(|more| *more > 0) else { continue };
            *held = new;
            rose = true;
            let more = from.sign * more.cast_signed();
            if let Some(measure) = measure(place) {
                self.sum.add(measure, more);
                if measure == Measure::COMPLETED {
                    completed = more;
                }
                let channel = Channel::from_number(version.channel.into());
                if let (Measure::Stage(Stage::Started), Some(channel)) = (measure, channel) {
                    self.sum.add_starts(channel, more);
                }
            }
        }
        if let Some(channel) = Channel::from_number(version.channel.into()).filter(|_| completed != 0) {
            self.sum.add(Measure::Completed(channel), completed);
        }
        for (register, rank) in version.visitors.into_iter().flat_map(Registers::iter) {
            rose |= self.sum.visitors.raise(register, rank);
        }
        (completed, rose)
    }
}

fn measure(place: usize) -> Option<Measure> {
    match place {
        VIEWS_AT => Some(Measure::Views),
        RATINGS_AT.. => Some(Measure::Rating((place - RATINGS_AT + 1) as u8)),
        _ => Stage::from_number(place as u32 + 1).map(Measure::Stage),
    }
}

/// The figures of one period.
#[derive(Debug, Default)]
pub struct Bucket {
    services: BTreeMap<ServiceNumber, Service>,
    departments: BTreeMap<u8, Total>,
    all: Option<Total>,
    version: u64,
}

impl Bucket {
    pub(super) fn raise(
        &mut self,
        from: From,
        number: ServiceNumber,
        version: &Version<'_>,
        owners: &HashMap<ServiceNumber, u8>,
        stamp: u64,
    ) -> bool {
        let service = self.services.entry(number).or_default();
        let (completed, rose) = service.raise(from, version);
        if !rose {
            return false;
        }
        service.sum.version = stamp;
        self.version = stamp;
        if completed != 0 && number.is_public() {
            self.all.get_or_insert_default().add(completed, stamp);
            if let Some(owner) = owners.get(&number) {
                self.departments.entry(*owner).or_default().add(completed, stamp);
            }
        }
        true
    }

    /// The fold's version at the last change of anything in this period.
    #[must_use]
    pub const fn version(&self) -> u64 {
        self.version
    }

    /// One service.
    #[must_use]
    pub fn sum(&self, service: ServiceNumber) -> Option<&Sum> {
        self.services.get(&service).map(|service| &service.sum)
    }

    /// All services, sandboxes too, ascending by number.
    pub fn services(&self) -> impl Iterator<Item = (ServiceNumber, &Sum)> {
        self.services.iter().map(|(number, service)| (*number, &service.sum))
    }

    /// Public services, ascending by number.
    pub fn public(&self) -> impl Iterator<Item = (ServiceNumber, &Sum)> {
        self.services().filter(|(number, _)| number.is_public())
    }

    /// All departments with completed transactions, ascending by number.
    pub fn departments(&self) -> impl Iterator<Item = (u8, Total)> + '_ {
        self.departments.iter().map(|(number, total)| (*number, *total))
    }

    /// Completed by a department.
    #[must_use]
    pub fn department(&self, number: u8) -> Option<Total> {
        self.departments.get(&number).copied()
    }

    /// Completed across government.
    #[must_use]
    pub const fn all(&self) -> Option<Total> {
        self.all
    }

    pub(super) fn versions(&self) -> usize {
        self.services.values().map(|service| service.versions.len()).sum()
    }
}
