//! Finds partitions in which nothing comes although their log goes on: the client has lost its place there, which it does
//! not notice by itself. They are to be taken up anew.
//!
//! Invariant: a partition is lost only if a broker has just said that its log goes on: who cannot be reached has lost nothing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::consumer::{Bounds, Context};

/// So long nothing has come.
const STANDS: Duration = Duration::from_secs(8);
/// Between two looks. At each one partition that stands at the end of its log, as far as known, is asked for.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What each partition waits for, and since when.
#[derive(Debug)]
pub(crate) struct Places {
    context: Context,
    waits: BTreeMap<u16, (u64, Instant)>,
    looked: Instant,
    /// The idle partition that was asked for last.
    asked: u16,
}

impl Places {
    pub(crate) fn new(context: Context) -> Self {
        Self { context, waits: BTreeMap::new(), looked: Instant::now(), asked: 0 }
    }

    /// Partitions that are lost, of those that are ready for more, each with the offset that must come next. Asks the broker
    /// in the background.
    pub(crate) fn lost(
        &mut self,
        ready: impl Iterator<Item = (u16, u64)>,
        bounds: &Arc<Bounds>,
        tasks: &tokio::runtime::Handle,
    ) -> Vec<u16> {
        if self.looked.elapsed() < LOOK_EVERY {
            return Vec::new();
        }
        self.looked = Instant::now();
        let (lost, ask) = self.look(ready, Instant::now());
        for partition in ask {
            let (bounds, context) = (Arc::clone(bounds), self.context.clone());
            tasks.spawn(async move {
                if let Ok((_, end)) = bounds.ask(partition).await {
                    context.was_told_log_end(partition, end);
                }
            });
        }
        lost
    }

    /// The partitions that are lost, and those to ask for.
    fn look(&mut self, ready: impl Iterator<Item = (u16, u64)>, now: Instant) -> (Vec<u16>, Vec<u16>) {
        let (mut waits, mut lost, mut ask, mut idle) = (BTreeMap::new(), Vec::new(), Vec::new(), Vec::new());
        for (partition, next) in ready {
            let goes_on = self.context.log_end(partition) > next;
            let told = self.context.take_told(partition).is_some_and(|end| end > next);
            if !goes_on {
                idle.push(partition);
                continue;
            }
            let before = self.waits.get(&partition).filter(|(was, _)| *was == next);
            let since = before.map_or(now, |(_, since)| *since);
            let is_long = now.duration_since(since) >= STANDS;
            match (is_long, told) {
                (true, true) => {
                    lost.push(partition);
                    continue;
                }
                (true, false) => ask.push(partition),
                (false, _) => {}
            }
            waits.insert(partition, (next, since));
        }
        self.waits = waits;
        if let Some(next) = idle.iter().find(|partition| **partition > self.asked).or(idle.first()) {
            self.asked = *next;
            ask.push(*next);
        }
        (lost, ask)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_gets_nothing_although_a_broker_says_that_there_is_more_has_lost_its_place() {
        let context = Context::default();
        let mut places = Places::new(context.clone());
        let (began, look) = (Instant::now(), |places: &mut Places, next: u64, seconds: u64, began: Instant| {
            places.look([(7, next)].into_iter(), began + Duration::from_secs(seconds))
        });
        let none: Vec<u16> = Vec::new();
        assert_eq!(look(&mut places, 0, 0, began), (none.clone(), vec![7]), "idle ones are asked for");
        context.was_told_log_end(7, 1);
        assert_eq!(look(&mut places, 0, 1, began), (none.clone(), none.clone()));
        assert_eq!(look(&mut places, 0, 8, began), (none.clone(), none.clone()));
        assert_eq!(look(&mut places, 0, 9, began), (none.clone(), vec![7]), "the broker is asked once more");
        assert_eq!(look(&mut places, 0, 10, began), (none.clone(), vec![7]), "which does not answer");
        context.was_told_log_end(7, 1);
        assert_eq!(look(&mut places, 0, 11, began), (vec![7], none.clone()));
        assert_eq!(look(&mut places, 0, 12, began), (none.clone(), none.clone()), "it has time again");
    }

    #[test]
    fn who_moves_or_is_at_the_end_has_not() {
        let context = Context::default();
        let mut places = Places::new(context.clone());
        let began = Instant::now();
        for second in 0..60 {
            context.was_told_log_end(3, second + 5);
            let ready = [(3, second), (4, 0), (6, 0)].into_iter();
            let (lost, ask) = places.look(ready, began + Duration::from_secs(second));
            assert!(lost.is_empty());
            assert_eq!(ask, [if second % 2 == 0 { 4 } else { 6 }], "one after the other");
        }
    }
}
