//! Events wait for company: one batch for each department, sent when full or when its first event has waited enough.
//!
//! Invariant: events leave in the order they came, each once.

use proto::v1;

/// Events of one department that travel together.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// Index of the department.
    pub lane: usize,
    /// At least one.
    pub events: Vec<v1::Event>,
}

/// The batches that are being filled.
#[derive(Debug)]
pub struct Batches {
    lanes: Vec<(i64, Vec<v1::Event>)>,
    events_max: usize,
    linger_ms: i64,
}

impl Batches {
    /// For so many departments.
    #[must_use]
    pub fn new(lanes: usize, events_max: usize, linger_ms: i64) -> Self {
        Self { lanes: vec![(0, Vec::new()); lanes], events_max, linger_ms }
    }

    /// Adds an event; returns the batch that it fills.
    pub fn push(&mut self, lane: usize, event: v1::Event, now_ms: i64) -> Option<Batch> {
        let (since_ms, events) = &mut self.lanes[lane];
        if events.is_empty() {
            *since_ms = now_ms;
            events.reserve_exact(self.events_max.min(64));
        }
        events.push(event);
        (events.len() >= self.events_max).then(|| Batch { lane, events: std::mem::take(events) })
    }

    /// A batch that has waited enough, if there is one.
    pub fn ripe(&mut self, now_ms: i64) -> Option<Batch> {
        let linger_ms = self.linger_ms;
        let is_ripe = |(since_ms, events): &(i64, Vec<_>)| !events.is_empty() && now_ms - since_ms >= linger_ms;
        let lane = self.lanes.iter().position(is_ripe)?;
        Some(Batch { lane, events: std::mem::take(&mut self.lanes[lane].1) })
    }

    /// Any batch, ripe or not.
    pub fn any(&mut self) -> Option<Batch> {
        let lane = self.lanes.iter().position(|(_, events)| !events.is_empty())?;
        Some(Batch { lane, events: std::mem::take(&mut self.lanes[lane].1) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(id: u32) -> v1::Event {
        v1::Event { event_id: id.to_string(), ..Default::default() }
    }

    #[test]
    fn a_batch_leaves_when_full_or_when_its_first_event_has_waited() {
        let mut batches = Batches::new(2, 2, 100);
        assert_eq!(batches.push(0, event(1), 1_000), None);
        assert_eq!(batches.push(1, event(2), 1_050), None);
        assert_eq!(batches.ripe(1_099), None);
        assert_eq!(batches.ripe(1_100), Some(Batch { lane: 0, events: vec![event(1)] }));
        assert_eq!(batches.ripe(1_100), None);
        let full = batches.push(1, event(3), 1_101);
        assert_eq!(full, Some(Batch { lane: 1, events: vec![event(2), event(3)] }));
        assert_eq!(batches.push(1, event(4), 1_102), None);
        assert_eq!(batches.any(), Some(Batch { lane: 1, events: vec![event(4)] }));
        assert_eq!(batches.any(), None);
    }
}
