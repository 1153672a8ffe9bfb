//! The figures of one service in one period, summed over sources and channels.
//!
//! Invariant: a measure is there once anything was counted of it, and stays there when corrections take it back to 0.
//! It never holds a 0 for what no source has ever counted.

use domain::visitors::Registers;
use domain::vocabulary::{Channel, Stage};

/// What is summed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Measure {
    /// Transactions by stage.
    Stage(Stage),
    /// Completed transactions by channel.
    Completed(Channel),
    /// Ratings, 1 to 5.
    Rating(u8),
    /// Page views of all pages of the service.
    Views,
}

const CHANNELS: usize = Channel::ALL.len();
const RATINGS_AT: usize = 4 + CHANNELS;
const VIEWS_AT: usize = RATINGS_AT + 5;
const SLOTS: usize = VIEWS_AT + 1;

impl Measure {
    /// Completed transactions: "transactions" in every figure.
    pub const COMPLETED: Self = Self::Stage(Stage::Completed);

    /// All, in a fixed order.
    pub fn all() -> impl Iterator<Item = Self> {
        let stages = Stage::ALL.into_iter().map(Self::Stage);
        let channels = Channel::ALL.into_iter().map(Self::Completed);
        stages.chain(channels).chain((1..=5).map(Self::Rating)).chain([Self::Views])
    }

    const fn slot(self) -> usize {
        match self {
            Self::Stage(stage) => stage.number() as usize - 1,
            Self::Completed(channel) => 3 + channel.number() as usize,
            Self::Rating(rating) => RATINGS_AT + rating as usize - 1,
            Self::Views => VIEWS_AT,
        }
    }
}

/// Figures of one service in one period.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sum {
    values: [i64; SLOTS],
    /// A bit for each measure of which anything was ever counted.
    counted: u32,
    /// A bit for each channel through which a start was ever counted.
    starts: u8,
    /// Starts by channel, those taken back left out.
    started: [i64; CHANNELS],
    /// Who saw the pages; registers are never taken back.
    pub visitors: Registers,
    /// The fold's version at the last change.
    pub version: u64,
}

impl Sum {
    /// A figure; `None` if nothing was ever counted of it.
    #[must_use]
    pub const fn get(&self, measure: Measure) -> Option<i64> {
        let slot = measure.slot();
        if self.counted & (1 << slot) == 0 { None } else { Some(self.values[slot]) }
    }

    /// Completed transactions.
    #[must_use]
    pub const fn completed(&self) -> Option<i64> {
        self.get(Measure::COMPLETED)
    }

    /// Completed through digital channels; `None` if none.
    #[must_use]
    pub fn completed_digital(&self) -> Option<i64> {
        let digital = Channel::ALL.into_iter().filter(|channel| channel.is_digital());
        digital.filter_map(|channel| self.get(Measure::Completed(channel))).reduce(|a, b| a + b)
    }

    /// Completed through the channels that report starts: what the completion rate divides by the starts. A channel
    /// that reports its completions only (a file from program to program, say) has no part in it, nor has one whose starts
    /// were all taken back. `None` if no start was ever counted.
    #[must_use]
    pub fn completed_of_started(&self) -> Option<i64> {
        let reports = |channel: &Channel| self.starts & (1 << channel.number()) != 0;
        let channels = Channel::ALL.into_iter().filter(reports);
        let completed = |channel: Channel| self.get(Measure::Completed(channel)).unwrap_or(0);
        let has_starts = |channel: Channel| self.started[channel.number() as usize - 1] > 0;
        channels.map(|channel| if has_starts(channel) { completed(channel) } else { 0 }).reduce(|a, b| a + b)
    }

    /// Ratings 1 to 5; `None` if nobody rated.
    #[must_use]
    pub fn ratings(&self) -> Option<[i64; 5]> {
        let ratings = [1, 2, 3, 4, 5].map(|rating| self.get(Measure::Rating(rating)));
        ratings.iter().any(Option::is_some).then(|| ratings.map(|n| n.unwrap_or(0)))
    }

    /// Everything that a sign of life is: transactions of every stage, ratings, page views.
    #[must_use]
    pub fn events(&self) -> i64 {
        let stages: i64 = self.values[..4].iter().sum();
        stages + self.values[RATINGS_AT..].iter().sum::<i64>()
    }

    pub(super) const fn add_starts(&mut self, channel: Channel, more: i64) {
        self.starts |= 1 << channel.number();
        self.started[channel.number() as usize - 1] += more;
    }

    pub(super) const fn add(&mut self, measure: Measure, n: i64) {
        let slot = measure.slot();
        self.values[slot] += n;
        self.counted |= 1 << slot;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn completions_of_a_channel_without_starts_are_not_in_the_rate() {
        let mut sum = Sum::default();
        assert_eq!(sum.completed_of_started(), None);
        sum.add_starts(Channel::Digital, 2);
        assert_eq!(sum.completed_of_started(), Some(0));
        sum.add(Measure::Completed(Channel::Digital), 3);
        sum.add(Measure::Completed(Channel::Api), 40);
        assert_eq!(sum.completed_of_started(), Some(3));
        sum.add_starts(Channel::Digital, -2);
        assert_eq!(sum.completed_of_started(), Some(0), "every start was taken back");
    }

    #[test]
    fn every_measure_has_a_place_of_its_own() {
        let slots: BTreeSet<usize> = Measure::all().map(Measure::slot).collect();
        assert_eq!(slots.len(), Measure::all().count());
        assert_eq!(slots.last(), Some(&(SLOTS - 1)));
    }

    #[test]
    fn what_was_never_counted_is_missing_and_what_was_taken_back_is_nought() {
        let mut sum = Sum::default();
        assert_eq!(sum.completed(), None);
        sum.add(Measure::COMPLETED, 2);
        sum.add(Measure::COMPLETED, -2);
        assert_eq!(sum.completed(), Some(0));
        assert_eq!(sum.ratings(), None);
        sum.add(Measure::Rating(4), 3);
        assert_eq!(sum.ratings(), Some([0, 0, 0, 3, 0]));
        assert_eq!(sum.events(), 3);
    }
}
