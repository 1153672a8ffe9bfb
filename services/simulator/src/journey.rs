//! The way of one user through a service online, from the start to its one end.
//!
//! Invariant: what is started is completed, failed or abandoned, once, and no step is reported that was not reached.

use domain::vocabulary::{Channel, Reason, Stage};
use rand::Rng;

use crate::alias::Alias;
use crate::character::Character;

/// What one event says, before its details.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// A step of a transaction.
    Step {
        /// How far it came.
        stage: Stage,
        /// By which way.
        channel: Channel,
        /// 0 = the whole transaction.
        step: u8,
        /// Why not further.
        reason: Option<Reason>,
    },
    /// A rating; the channel is not always known.
    Rating(Option<Channel>),
    /// A page shown.
    PageView,
}

/// How users go through a service.
#[derive(Debug, Clone)]
pub struct Journey {
    /// Steps that are reported on the way; 0 = none.
    steps: u8,
    /// Share that goes on at each step, or to the end where none is reported.
    stays: f64,
    /// How those end who do not go on.
    losses: Vec<(Stage, Option<Reason>)>,
    /// For drawing one of the losses.
    alias: Alias,
}

impl Journey {
    /// Of a service; an equal share of those who still are there leaves at each step. `None` if nobody could leave.
    #[must_use]
    pub fn of(character: &Character) -> Option<Self> {
        let sum: f64 = character.reasons.iter().map(|(_, weight)| weight).sum();
        let failed =
            |(reason, weight): &(Reason, f64)| ((Stage::Failed, Some(*reason)), character.failed * weight / sum);
        let abandoned = 1.0 - character.failed;
        // Most who go away do not say why.
        let silent = [
            ((Stage::Abandoned, None), abandoned * 0.7),
            ((Stage::Abandoned, Some(Reason::Timeout)), abandoned * 0.2),
            ((Stage::Abandoned, Some(Reason::Cancelled)), abandoned * 0.1),
        ];
        let (losses, weights): (Vec<_>, Vec<_>) = character.reasons.iter().map(failed).chain(silent).unzip();
        let stays = character.completion.powf(1.0 / f64::from(character.steps.max(1)));
        Some(Self { steps: character.steps, stays, losses, alias: Alias::new(&weights)? })
    }

    /// Share of the started that completes.
    #[must_use]
    pub fn completion(&self) -> f64 {
        self.stays.powi(i32::from(self.steps.max(1)))
    }

    /// Events of one journey in the mean: its start, its end, and for each step that is reached a start and, for those
    /// who go on, a completion.
    #[must_use]
    pub fn events_mean(&self) -> f64 {
        let steps = (0..self.steps).map(|passed| self.stays.powi(i32::from(passed)) * (1.0 + self.stays));
        2.0 + steps.sum::<f64>()
    }

    /// One journey, in the order in which it happens.
    pub fn walk(&self, channel: Channel, rng: &mut impl Rng, mut tell: impl FnMut(What)) {
        let of = |stage, step| What::Step { stage, channel, step, reason: None };
        tell(of(Stage::Started, 0));
        for step in self.steps.min(1)..=self.steps {
            if step > 0 {
                tell(of(Stage::Started, step));
            }
            if !rng.random_bool(self.stays) {
                let (stage, reason) = self.losses[self.alias.draw(rng)];
                return tell(What::Step { stage, channel, step, reason });
            }
            if step > 0 {
                tell(of(Stage::Completed, step));
            }
        }
        tell(of(Stage::Completed, 0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::catalogue::Catalogue;
    use domain::time::Day;
    use rand::SeedableRng;
    use rand_pcg::Pcg64Mcg;

    fn journeys() -> Vec<(Character, Journey)> {
        let catalogue = Catalogue::embedded();
        let of = |service| Character::of(service, Day::from_ymd(2014, 4, 1), 1_000, 5_000_000, 1);
        let characters: Vec<Character> = catalogue.services().iter().take(60).map(of).collect();
        assert!(characters.iter().any(|c| c.steps == 0) && characters.iter().any(|c| c.steps > 3));
        characters.into_iter().map(|c| (c.clone(), Journey::of(&c).unwrap())).collect()
    }

    /// What must have been told on the way to this end.
    fn way_to(end: (Stage, u8), steps: u8) -> Vec<(Stage, u8)> {
        let mut way = vec![(Stage::Started, 0)];
        let (passed, left_at) =
            if end == (Stage::Completed, 0) { (steps, 0) } else { (end.1.saturating_sub(1), end.1) };
        for step in 1..=passed {
            way.extend([(Stage::Started, step), (Stage::Completed, step)]);
        }
        if left_at > 0 {
            way.push((Stage::Started, left_at));
        }
        way.push(end);
        way
    }

    #[test]
    fn every_start_has_one_end_and_steps_follow_each_other() {
        let mut rng = Pcg64Mcg::seed_from_u64(1);
        for (character, journey) in journeys() {
            for _ in 0..100 {
                let mut walked = Vec::new();
                journey.walk(Channel::Digital, &mut rng, |what| match what {
                    What::Step { stage, step, channel: Channel::Digital, .. } => walked.push((stage, step)),
                    _ => panic!("{what:?}"),
                });
                let end = *walked.last().unwrap();
                let is_lost = matches!(end.0, Stage::Failed | Stage::Abandoned);
                assert!(end == (Stage::Completed, 0) || (is_lost && (end.1 > 0) == (character.steps > 0)), "{end:?}");
                assert_eq!(walked, way_to(end, character.steps));
            }
        }
    }

    #[test]
    fn as_many_complete_and_as_many_events_come_as_the_character_says() {
        let mut rng = Pcg64Mcg::seed_from_u64(2);
        for (character, journey) in journeys().into_iter().take(12) {
            let (mut completed, mut events) = (0.0, 0.0);
            for _ in 0..20_000 {
                journey.walk(Channel::Digital, &mut rng, |what| {
                    events += 1.0;
                    completed += f64::from(matches!(what, What::Step { stage: Stage::Completed, step: 0, .. }));
                });
            }
            assert!((journey.completion() - character.completion).abs() < 1e-9);
            assert!((completed / 20_000.0 - character.completion).abs() < 0.02, "{completed} {character:?}");
            assert!((events / 20_000.0 / journey.events_mean() - 1.0).abs() < 0.02, "{events} {character:?}");
        }
    }
}
