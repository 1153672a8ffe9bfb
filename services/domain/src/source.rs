//! Names of things that are permanent: services by number, events by id, and the sources of the log.
//!
//! The hashes here decide the partition of every event for ever: the test vectors below hold them still.

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3;

/// Permanent number of a service in the catalogue, never reused. 0 means that a record could not be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ServiceNumber(pub u16);

impl ServiceNumber {
    /// No service: the record could not be decoded.
    pub const UNKNOWN: Self = Self(0);
    /// From here on a number is a department's sandbox, whose events never reach a public figure.
    pub const FIRST_SANDBOX: u16 = 60_000;

    /// Whether this is the sandbox of a department.
    #[must_use]
    pub const fn is_sandbox(self) -> bool {
        self.0 >= Self::FIRST_SANDBOX
    }

    /// Whether its events belong into public figures.
    #[must_use]
    pub const fn is_public(self) -> bool {
        self.0 != 0 && !self.is_sandbox()
    }
}

/// An event's name: 128 bits of XXH3 over the sender's id, seeded with the service number, so that two services may
/// use the same id. Not a cryptographic hash: a department that looks for collisions finds them in its own service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId(pub u128);

impl EventId {
    /// The name of `event_id` of `service`.
    #[must_use]
    pub fn new(service: ServiceNumber, event_id: &[u8]) -> Self {
        Self(xxh3::xxh3_128_with_seed(event_id, u64::from(service.0)))
    }

    /// Upper 64 bits.
    #[must_use]
    pub const fn high(self) -> u64 {
        (self.0 >> 64) as u64
    }

    /// Lower 64 bits; they choose the partition among a service's spread.
    #[must_use]
    pub const fn low(self) -> u64 {
        self.0 as u64
    }

    /// As tables have it: a UUID of its 32 digits.
    #[must_use]
    pub fn uuid(self) -> String {
        let (high, low) = (self.high(), self.low());
        let (second, third, fourth) = (high >> 16 & 0xffff, high & 0xffff, low >> 48);
        format!("{:08x}-{second:04x}-{third:04x}-{fourth:04x}-{:012x}", high >> 32, low & 0xffff_ffff_ffff)
    }

    /// From its 32 hexadecimal digits.
    #[must_use]
    pub fn from_hex(digits: &str) -> Option<Self> {
        let is_hex = digits.len() == 32 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        is_hex.then(|| u128::from_str_radix(digits, 16).ok().map(Self))?
    }

    /// From its halves.
    #[must_use]
    pub const fn from_halves(high: u64, low: u64) -> Self {
        Self(((high as u128) << 64) | low as u128)
    }
}

/// The partition that an id demands: `(H(service) + id mod spread) mod partitions`. Every copy of an event lands in
/// the same partition, so each partition decides its duplicates alone.
///
/// `H` is XXH3-64 over the service number as two little-endian bytes; `id` stands for its lower 64 bits.
#[must_use]
pub fn partition_of(service: ServiceNumber, id: EventId, spread: u16, partitions: u16) -> u16 {
    let home = xxh3::xxh3_64(&service.0.to_le_bytes()) % u64::from(partitions);
    let step = id.low() % u64::from(spread.max(1));
    ((home + step) % u64::from(partitions)) as u16
}

/// Which of the three logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Log {
    /// The live path.
    Events = 1,
    /// Events older than the live path takes.
    Backfill = 2,
    /// Retractions.
    Corrections = 3,
}

impl Log {
    /// All, in the order of their numbers.
    pub const ALL: [Self; 3] = [Self::Events, Self::Backfill, Self::Corrections];

    /// Its name in tables, metrics and on pages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::Backfill => "backfill",
            Self::Corrections => "corrections",
        }
    }

    /// From its number in tables and records.
    #[must_use]
    pub const fn from_number(number: u32) -> Option<Self> {
        match number {
            1 => Some(Self::Events),
            2 => Some(Self::Backfill),
            3 => Some(Self::Corrections),
            _ => None,
        }
    }
}

/// Where a record stands: which log, which generation of its topic, which partition. Part of every key of every
/// table, since offsets start again at 0 in a re-created topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Source {
    /// Which log.
    pub log: Log,
    /// Generation of the topic.
    pub epoch: u16,
    /// Kafka partition.
    pub partition: u16,
}

impl Source {
    /// Every source of a generation, log by log.
    pub fn all(epoch: u16, partitions: u16) -> impl Iterator<Item = Self> {
        Log::ALL.into_iter().flat_map(move |log| (0..partitions).map(move |partition| Self { log, epoch, partition }))
    }
}

impl std::str::FromStr for Source {
    type Err = &'static str;

    /// As it is displayed: `events/1/5`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parse = || {
            let mut parts = text.split('/');
            let name = parts.next()?;
            let log = Log::ALL.into_iter().find(|log| log.name() == name)?;
            let source = Self { log, epoch: parts.next()?.parse().ok()?, partition: parts.next()?.parse().ok()? };
            parts.next().is_none().then_some(source)
        };
        parse().ok_or("a source is log/epoch/partition, such as events/1/5")
    }
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}/{}", self.log.name(), self.epoch, self.partition)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_partitions_never_change() {
        let service = ServiceNumber(1);
        let id = EventId::new(service, b"order-1");
        assert_eq!(format!("{:032x}", id.0), VECTOR_ID);
        let homes: Vec<u16> = (1..=6).map(|n| partition_of(ServiceNumber(n), EventId(0), 1, 12)).collect();
        assert_eq!(homes, VECTOR_HOMES);
    }

    const VECTOR_ID: &str = "c8b9f52fc734d3e6eac027b4cd29740a";
    const VECTOR_HOMES: [u16; 6] = [0, 2, 10, 4, 8, 2];

    #[test]
    fn the_same_id_of_two_services_is_two_events() {
        assert_ne!(EventId::new(ServiceNumber(1), b"a"), EventId::new(ServiceNumber(2), b"a"));
    }

    #[test]
    fn a_source_is_read_as_it_is_written_and_nothing_else_is_one() {
        for source in Source::all(3, 12) {
            assert_eq!(source.to_string().parse(), Ok(source));
        }
        for wrong in ["", "events", "events/1", "events/1/x", "events/1/2/3", "other/1/2", "events/-1/2"] {
            assert!(wrong.parse::<Source>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn halves_make_the_whole() {
        let id = EventId::new(ServiceNumber(7), b"x");
        assert_eq!(EventId::from_halves(id.high(), id.low()), id);
        assert_eq!(id.uuid().replace('-', ""), format!("{:032x}", id.0));
        assert_eq!(EventId::from_hex(&format!("{:032x}", id.0)), Some(id));
        for wrong in ["", "12", "+0b9f52fc734d3e6eac027b4cd29740a", "x8b9f52fc734d3e6eac027b4cd29740a"] {
            assert_eq!(EventId::from_hex(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_spread_service_reaches_all_partitions_and_an_ordinary_one_a_single_partition() {
        let reached = |spread| {
            let mut seen = std::collections::BTreeSet::new();
            for n in 0..1_000_u32 {
                let id = EventId::new(ServiceNumber(3), &n.to_le_bytes());
                seen.insert(partition_of(ServiceNumber(3), id, spread, 12));
            }
            seen.len()
        };
        assert_eq!(reached(12), 12);
        assert_eq!(reached(1), 1);
    }
}
