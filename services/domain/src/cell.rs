//! Cells: where an event is counted, what is counted there, and how two versions of a cell merge.
//!
//! Invariant: every measure is monotone along its log, so versions of one cell of one source merge with the larger
//! value, in any order and any number of times. Cells of different sources add up (registers: the higher rank).

use std::hash::{Hash, Hasher};

use crate::event::{ALL_PAGES, Body, Event};
use crate::histogram;
use crate::outcome::Outcome;
use crate::source::ServiceNumber;
use crate::time::Period;
use crate::visitors::{self, Registers};
use crate::vocabulary::Stage;

/// Which part of a service's events a cell counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Slice {
    /// Transactions and ratings of a channel (0 = unstated).
    Counts {
        /// Number of the channel.
        channel: u8,
    },
    /// One step or one reason of a channel, by stage.
    Breakdown {
        /// Number of the channel.
        channel: u8,
        /// Of what `member` is a number.
        dimension: Dimension,
        /// The step, or the number of the reason.
        member: u8,
        /// Number of the stage.
        stage: u8,
    },
    /// Views and visitors of a page.
    Page {
        /// Number of the page; 0 = all of the service.
        page: u32,
    },
    /// Records by outcome; the period is that of the append time.
    Ledger {
        /// What became of them.
        outcome: Outcome,
    },
}

/// What a breakdown breaks down by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Dimension {
    /// The step on the way through the service.
    Step = 1,
    /// Why it failed or was abandoned.
    Reason = 2,
}

impl Dimension {
    /// From its number in records and tables.
    #[must_use]
    pub const fn from_number(number: u32) -> Option<Self> {
        match number {
            1 => Some(Self::Step),
            2 => Some(Self::Reason),
            _ => None,
        }
    }
}

/// The key of a cell within its source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct CellKey {
    /// Length of the period.
    pub period: Period,
    /// Which period: minutes, hours or London days since 1970.
    pub index: u32,
    /// Whose.
    pub service: ServiceNumber,
    /// Which part.
    pub slice: Slice,
}

/// Two words instead of a word for each part: keys are looked up several times for each event.
impl Hash for CellKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let place = u64::from(self.index) << 32 | u64::from(self.service.0) << 8 | self.period as u64;
        let slice = match self.slice {
            Slice::Counts { channel } => 1 << 32 | u64::from(channel),
            Slice::Breakdown { channel, dimension, member, stage } => {
                2 << 32 | u64::from(u32::from_be_bytes([channel, dimension as u8, member, stage]))
            }
            Slice::Page { page } => 3 << 32 | u64::from(page),
            Slice::Ledger { outcome } => 4 << 32 | u64::from(outcome.number()),
        };
        state.write_u64(place);
        state.write_u64(slice);
    }
}

/// Transactions and ratings of one channel.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// By stage: started, completed, failed, abandoned.
    pub stages: [u64; 4],
    /// Sum of the durations of completed transactions, milliseconds.
    pub duration_ms: u64,
    /// Sum of the money of completed transactions, pence.
    pub value_pence: u64,
    /// `(bucket, count)` of the durations of completed transactions, ascending.
    pub durations: Vec<(u8, u64)>,
    /// Ratings 1 to 5.
    pub ratings: [u64; 5],
}

impl Counts {
    /// Transactions of a stage.
    #[must_use]
    pub const fn stage(&self, stage: Stage) -> u64 {
        self.stages[stage.number() as usize - 1]
    }

    fn each(&mut self, other: &Self, join: fn(u64, u64) -> u64) {
        for (mine, theirs) in self.stages.iter_mut().zip(other.stages) {
            *mine = join(*mine, theirs);
        }
        for (mine, theirs) in self.ratings.iter_mut().zip(other.ratings) {
            *mine = join(*mine, theirs);
        }
        self.duration_ms = join(self.duration_ms, other.duration_ms);
        self.value_pence = join(self.value_pence, other.value_pence);
        for &(bucket, n) in &other.durations {
            let slot = bucket_slot(&mut self.durations, bucket);
            *slot = join(*slot, n);
        }
    }
}

fn bucket_slot(buckets: &mut Vec<(u8, u64)>, bucket: u8) -> &mut u64 {
    let at = match buckets.binary_search_by_key(&bucket, |pair| pair.0) {
        Ok(at) => at,
        Err(at) => {
            buckets.insert(at, (bucket, 0));
            at
        }
    };
    &mut buckets[at].1
}

/// Views of a page and who saw it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Views {
    /// Times shown.
    pub views: u64,
    /// Distinct visitors.
    pub visitors: Registers,
}

/// What a cell holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Measures {
    /// Of [`Slice::Counts`].
    Counts(Counts),
    /// Of [`Slice::Breakdown`] and [`Slice::Ledger`].
    Number(u64),
    /// Of [`Slice::Page`].
    Views(Views),
}

impl Measures {
    /// Nothing counted yet.
    #[must_use]
    pub fn empty(slice: Slice) -> Self {
        match slice {
            Slice::Counts { .. } => Self::Counts(Counts::default()),
            Slice::Breakdown { .. } | Slice::Ledger { .. } => Self::Number(0),
            Slice::Page { .. } => Self::Views(Views::default()),
        }
    }

    /// Counts one accepted event of this slice.
    pub fn count(&mut self, event: &Event) {
        match (self, &event.body) {
            (Self::Counts(counts), Body::Transaction(transaction)) => {
                counts.stages[usize::from(transaction.stage.number()) - 1] += 1;
                if transaction.stage == Stage::Completed {
                    counts.value_pence += transaction.value_pence.unwrap_or(0);
                    if let Some(ms) = transaction.duration_ms {
                        counts.duration_ms += u64::from(ms);
                        *bucket_slot(&mut counts.durations, histogram::bucket_of(ms)) += 1;
                    }
                }
            }
            (Self::Counts(counts), Body::Rating(rating)) => counts.ratings[usize::from(*rating) - 1] += 1,
            (Self::Views(views), Body::PageView(view)) => {
                views.views += 1;
                let (register, rank) = visitors::register_of(view.visitor);
                views.visitors.raise(register, rank);
            }
            (Self::Number(n), _) => *n += 1,
            (Self::Counts(_), Body::PageView(_) | Body::Retraction) | (Self::Views(_), _) => {}
        }
    }

    /// Merges another version of the same cell of the same source: the larger of each measure.
    pub fn merge_version(&mut self, other: &Self) {
        self.join(other, u64::max);
    }

    /// Adds the same cell of another source.
    pub fn add_source(&mut self, other: &Self) {
        self.join(other, u64::saturating_add);
    }

    fn join(&mut self, other: &Self, numbers: fn(u64, u64) -> u64) {
        match (self, other) {
            (Self::Counts(mine), Self::Counts(theirs)) => mine.each(theirs, numbers),
            (Self::Number(mine), Self::Number(theirs)) => *mine = numbers(*mine, *theirs),
            (Self::Views(mine), Self::Views(theirs)) => {
                mine.views = numbers(mine.views, theirs.views);
                mine.visitors.merge(&theirs.visitors);
            }
            _ => {}
        }
    }
}

/// The slices in which an event is counted, at most three; each is counted in all three lengths of period.
pub fn slices_of(event: &Event) -> impl Iterator<Item = Slice> {
    let channel = event.channel.map_or(0, crate::vocabulary::Channel::number);
    let mut slices = [None; 3];
    match &event.body {
        Body::Transaction(transaction) => {
            let stage = transaction.stage.number();
            if transaction.is_total() {
                slices[0] = Some(Slice::Counts { channel });
            }
            if let Some(member) = transaction.step {
                slices[1] = Some(Slice::Breakdown { channel, dimension: Dimension::Step, member, stage });
            }
            if let Some(reason) = transaction.reason {
                let member = reason.number();
                slices[2] = Some(Slice::Breakdown { channel, dimension: Dimension::Reason, member, stage });
            }
        }
        Body::Rating(_) => slices[0] = Some(Slice::Counts { channel }),
        Body::PageView(view) => {
            slices[0] = Some(Slice::Page { page: ALL_PAGES });
            slices[1] = Some(Slice::Page { page: view.page });
        }
        Body::Retraction => {}
    }
    slices.into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn counts() -> impl Strategy<Value = Measures> {
        let durations = proptest::collection::btree_map(0..40_u8, 0..9_u64, 0..6);
        (any::<[u16; 4]>(), any::<[u16; 5]>(), 0..999_u64, 0..999_u64, durations).prop_map(
            |(stages, ratings, duration_ms, value_pence, durations)| {
                Measures::Counts(Counts {
                    stages: stages.map(u64::from),
                    ratings: ratings.map(u64::from),
                    duration_ms,
                    value_pence,
                    durations: durations.into_iter().collect(),
                })
            },
        )
    }

    fn views() -> impl Strategy<Value = Measures> {
        (0..99_u64, proptest::collection::vec((0..4096_u16, 1..53_u8), 0..40)).prop_map(|(views, pairs)| {
            let mut visitors = Registers::default();
            for (register, rank) in pairs {
                visitors.raise(register, rank);
            }
            Measures::Views(Views { views, visitors })
        })
    }

    fn same_kind() -> impl Strategy<Value = [Measures; 3]> {
        let numbers = || any::<u32>().prop_map(|n| Measures::Number(u64::from(n)));
        prop_oneof![[counts(), counts(), counts()], [views(), views(), views()], [numbers(), numbers(), numbers()],]
    }

    fn merged(a: &Measures, b: &Measures) -> Measures {
        let mut merged = a.clone();
        merged.merge_version(b);
        merged
    }

    proptest! {
        #[test]
        fn merging_versions_is_associative_commutative_and_idempotent([a, b, c] in same_kind()) {
            prop_assert_eq!(merged(&a, &b), merged(&b, &a));
            prop_assert_eq!(merged(&merged(&a, &b), &c), merged(&a, &merged(&b, &c)));
            prop_assert_eq!(merged(&a, &a), a.clone());
            prop_assert_eq!(merged(&merged(&a, &b), &b), merged(&a, &b));
        }

        #[test]
        fn adding_sources_does_not_depend_on_their_order([a, b, c] in same_kind()) {
            let sum = |parts: [&Measures; 3]| {
                let mut sum = parts[0].clone();
                sum.add_source(parts[1]);
                sum.add_source(parts[2]);
                sum
            };
            prop_assert_eq!(sum([&a, &b, &c]), sum([&c, &a, &b]));
        }
    }
}
