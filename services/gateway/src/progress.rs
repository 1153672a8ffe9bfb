//! How far each source has come, and whether the figures are the latest there are.
//!
//! Invariant: everything that the log took before the watermark is in the figures; the watermark never moves back.
//! Who is not heard of is behind: a dead aggregator, a partition without an owner and a gateway that is cut off from
//! Kafka all make the watermark old. It never reads a clock.

use std::collections::BTreeMap;

use domain::source::{Log, Source};
use proto::Pack;
use schemars::JsonSchema;
use serde::Serialize;

/// A watermark older than this is behind: three heartbeats of an idle source.
pub const BEHIND_AFTER_MS: i64 = 3_000;

/// Of the gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Still reading.
    Starting,
    /// The figures are the latest there are.
    Ok,
    /// The figures are older than they should be.
    Behind,
}

/// Of the way from the log to the gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PipelineState {
    /// Counted as it comes.
    Ok,
    /// Counted late, or not at all at present.
    Behind,
    /// Nothing is known of it.
    Unknown,
}

/// How far one source has come.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct SourceProgress {
    /// Everything below this offset is in the figures.
    pub applied_end: u64,
    /// One past the last record known to be in the log.
    pub log_end: u64,
    /// Append time of the last applied record, unix milliseconds.
    pub appended_at_ms: Option<i64>,
    /// When its last pack was written, by the broker's clock; `None` if there was none.
    pub heard_at_ms: Option<i64>,
    /// Everything that the log took before this instant is in the figures.
    pub wm_ms: Option<i64>,
    /// Why nothing moves, in words.
    pub stalled: Option<String>,
    /// Which part of a tick was heard last.
    #[serde(skip)]
    part: Option<u32>,
}

/// All sources, and whether Kafka can be reached.
#[derive(Debug, Default)]
pub struct Pipeline {
    sources: BTreeMap<Source, SourceProgress>,
    /// Partitions of the events topic, once known: a partition without a pack is behind as well.
    partitions: Option<u16>,
    /// Kafka answered when it was asked last.
    reachable: bool,
}

/// The whole, at an instant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// Of the gateway.
    pub state: State,
    /// Of the pipeline.
    pub pipeline: PipelineState,
    /// The smallest watermark; `None` if that of a source is not known.
    pub wm_ms: Option<i64>,
    /// How old the watermark is.
    pub behind_ms: Option<i64>,
    /// The watermark, if it is too old.
    pub since_ms: Option<i64>,
}

impl Pipeline {
    /// Takes what a pack says that the broker took at `at_ms`. Returns whether it follows on what is known: if not, a pack
    /// before it was missed, as when the live topic was lost and made anew.
    pub fn on_pack(&mut self, pack: &Pack, at_ms: i64) -> bool {
        let source = self.sources.entry(pack.source).or_default();
        let begins = pack.part == 0 || source.part.is_none_or(|part| pack.part <= part + 1);
        let follows = begins && pack.previous_end <= source.applied_end;
        source.part = Some(pack.part);
        // Another owner's older pack still tells where the log ends and that somebody reads it.
        let latest = pack.applied_end >= source.applied_end;
        source.applied_end = source.applied_end.max(pack.applied_end);
        source.log_end = source.log_end.max(pack.log_end).max(pack.applied_end);
        source.heard_at_ms = source.heard_at_ms.max(Some(at_ms));
        if latest {
            source.stalled = (!pack.stalled.is_empty()).then(|| pack.stalled.clone());
            if pack.appended_at_ms > 0 {
                source.appended_at_ms = source.appended_at_ms.max(Some(pack.appended_at_ms));
            }
        }
        let current = source.applied_end >= source.log_end && source.stalled.is_none();
        source.wm_ms = source.wm_ms.max(if current { Some(at_ms) } else { source.appended_at_ms });
        follows
    }

    /// Takes what the ledger says.
    pub fn on_ledger(&mut self, source: Source, applied_end: u64, appended_at_ms: i64) {
        let source = self.sources.entry(source).or_default();
        source.applied_end = source.applied_end.max(applied_end);
        source.log_end = source.log_end.max(applied_end);
        source.appended_at_ms = source.appended_at_ms.max(Some(appended_at_ms));
        source.wm_ms = source.wm_ms.max(Some(appended_at_ms));
    }

    /// The live topic is read from somewhere on now, which may be in the middle of a tick.
    pub fn on_begin(&mut self) {
        self.sources.values_mut().for_each(|source| source.part = None);
    }

    /// How many partitions the events topic has.
    pub fn on_partitions(&mut self, partitions: u16) {
        self.partitions = Some(partitions);
    }

    /// Whether Kafka answered.
    pub fn on_contact(&mut self, reachable: bool) {
        self.reachable = reachable;
    }

    /// Whether Kafka answered when it was asked last.
    #[must_use]
    pub const fn is_reachable(&self) -> bool {
        self.reachable
    }

    /// The sources that are read at present: those of the newest generation of each log.
    pub fn sources(&self) -> impl Iterator<Item = (Source, &SourceProgress)> {
        let newest = |log| self.newest_epoch(log);
        let mut epochs: [Option<u16>; 4] = [None; 4];
        for log in [Log::Events, Log::Backfill, Log::Corrections] {
            epochs[log as usize] = newest(log);
        }
        let current = move |source: &Source| epochs[source.log as usize] == Some(source.epoch);
        self.sources.iter().filter(move |(source, _)| current(source)).map(|(source, progress)| (*source, progress))
    }

    fn newest_epoch(&self, log: Log) -> Option<u16> {
        self.sources.keys().filter(|source| source.log == log).map(|source| source.epoch).max()
    }

    /// Up to when the late logs are decided that have records before them; `None` if none has.
    #[must_use]
    pub fn late_settled_ms(&self) -> Option<i64> {
        let waits = |(source, progress): &(Source, &SourceProgress)| {
            source.log != Log::Events && progress.applied_end < progress.log_end
        };
        self.sources().filter(waits).map(|(_, progress)| progress.wm_ms.unwrap_or(0)).min()
    }

    /// The whole at an instant; `ready` is whether the gateway has read all it needs.
    #[must_use]
    pub fn at(&self, now_ms: i64, ready: bool) -> Progress {
        let known = self.sources().filter(|(source, _)| source.log == Log::Events).count();
        let complete = known > 0 && self.partitions.is_none_or(|partitions| known >= usize::from(partitions));
        // The late logs wait by their nature, and nothing that happens now comes through them.
        let events = || self.sources().filter(|(source, _)| source.log == Log::Events);
        let watermarks = || events().map(|(_, source)| source.wm_ms);
        let all_known = complete && watermarks().all(|wm| wm.is_some());
        let wm_ms = if all_known { watermarks().flatten().min() } else { None };
        let behind_ms = wm_ms.map(|wm| (now_ms - wm).max(0));
        let late = behind_ms.is_none_or(|ms| ms > BEHIND_AFTER_MS);
        let pipeline = match (late, self.reachable && known > 0) {
            (false, _) => PipelineState::Ok,
            (true, true) => PipelineState::Behind,
            (true, false) => PipelineState::Unknown,
        };
        let state = match (ready, late) {
            (false, _) => State::Starting,
            (true, true) => State::Behind,
            (true, false) => State::Ok,
        };
        Progress { state, pipeline, wm_ms, behind_ms, since_ms: wm_ms.filter(|_| late) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_795_500_000_000;

    fn pack(partition: u16, applied_end: u64, log_end: u64, appended_at_ms: i64) -> Pack {
        Pack {
            source: Source { log: Log::Events, epoch: 1, partition },
            applied_end,
            log_end,
            appended_at_ms,
            received_at_ms: 0,
            stalled: String::new(),
            cells: Vec::new(),
            previous_end: 0,
            part: 0,
        }
    }

    fn pipeline(packs: &[(Pack, i64)]) -> Pipeline {
        let mut pipeline = Pipeline::default();
        pipeline.on_contact(true);
        for (pack, at) in packs {
            pipeline.on_pack(pack, *at);
        }
        pipeline
    }

    #[test]
    fn a_pack_that_was_missed_is_noticed() {
        let after = |previous_end, applied_end, part| Pack { previous_end, part, ..pack(0, applied_end, 99, NOW) };
        let mut pipeline = Pipeline::default();
        assert!(pipeline.on_pack(&after(0, 9, 0), NOW), "the first of a source that was never stored");
        assert!(pipeline.on_pack(&after(9, 9, 0), NOW), "nothing new");
        assert!(pipeline.on_pack(&after(4, 7, 0), NOW), "another owner, who is not as far");
        assert!(!pipeline.on_pack(&after(12, 20, 0), NOW), "10 to 12");
        assert!(pipeline.on_pack(&after(20, 21, 0), NOW), "told once");
        let parts = |pipeline: &mut Pipeline, parts: &[u32]| {
            parts.iter().map(|part| pipeline.on_pack(&after(21, 21, *part), NOW)).collect::<Vec<_>>()
        };
        assert_eq!(parts(&mut pipeline, &[0, 1, 2, 0, 2]), [true, true, true, true, false], "of one tick");
        pipeline.on_ledger(Source { log: Log::Events, epoch: 1, partition: 0 }, 21, NOW);
        assert_eq!(parts(&mut pipeline, &[4]), [false], "the store was read again, and packs go on");
        pipeline.on_begin();
        assert_eq!(parts(&mut pipeline, &[6]), [true], "the topic is read from here on");

        let mut begun = Pipeline::default();
        begun.on_ledger(Source { log: Log::Events, epoch: 1, partition: 0 }, 21, NOW);
        assert!(begun.on_pack(&after(20, 25, 2), NOW), "in the middle of a tick");
        assert!(!Pipeline::default().on_pack(&after(1, 2, 0), NOW), "of a source that is not in the store");
    }

    #[test]
    fn a_source_that_has_everything_is_current_as_of_its_pack_however_old_its_last_record_is() {
        let progress = pipeline(&[(pack(0, 9, 9, NOW - 3_600_000), NOW - 800)]).at(NOW, true);
        assert_eq!(progress.state, State::Ok);
        assert_eq!((progress.wm_ms, progress.behind_ms, progress.since_ms), (Some(NOW - 800), Some(800), None));
    }

    #[test]
    fn a_source_that_lags_is_behind_since_its_last_applied_record() {
        let progress = pipeline(&[(pack(0, 9, 90, NOW - 5_000), NOW - 100)]).at(NOW, true);
        assert_eq!((progress.state, progress.pipeline), (State::Behind, PipelineState::Behind));
        assert_eq!(progress.since_ms, Some(NOW - 5_000));
    }

    #[test]
    fn what_was_current_once_stays_current_up_to_then() {
        let packs = [(pack(0, 9, 9, NOW - 60_000), NOW - 1_000), (pack(0, 9, 10, NOW - 60_000), NOW - 100)];
        assert_eq!(pipeline(&packs).at(NOW, true).wm_ms, Some(NOW - 1_000));
    }

    #[test]
    fn a_stalled_source_is_not_current_even_at_the_end_of_its_log() {
        let mut stalled = pack(0, 9, 9, NOW - 4_000);
        stalled.stalled = "ClickHouse does not answer".into();
        let pipeline = pipeline(&[(stalled, NOW - 100)]);
        assert_eq!(pipeline.at(NOW, true).state, State::Behind);
        assert_eq!(pipeline.sources().next().unwrap().1.stalled.as_deref(), Some("ClickHouse does not answer"));
    }

    #[test]
    fn a_dead_aggregator_is_behind_since_its_last_pack() {
        let pipeline = pipeline(&[(pack(0, 9, 9, NOW), NOW)]);
        assert_eq!(pipeline.at(NOW + BEHIND_AFTER_MS, true).state, State::Ok);
        let progress = pipeline.at(NOW + BEHIND_AFTER_MS + 1, true);
        assert_eq!((progress.state, progress.pipeline), (State::Behind, PipelineState::Behind));
        assert_eq!(progress.since_ms, Some(NOW));
    }

    #[test]
    fn a_gateway_cut_off_from_kafka_is_behind_and_knows_nothing() {
        let mut pipeline = pipeline(&[(pack(0, 9, 9, NOW), NOW)]);
        pipeline.on_contact(false);
        let progress = pipeline.at(NOW + 10_000, true);
        assert_eq!((progress.state, progress.pipeline), (State::Behind, PipelineState::Unknown));
    }

    #[test]
    fn the_slowest_source_decides_and_one_that_was_never_heard_of_leaves_it_unknown() {
        let packs = [(pack(0, 9, 9, NOW), NOW), (pack(1, 9, 9, NOW), NOW - 2_000)];
        let mut pipeline = pipeline(&packs);
        assert_eq!(pipeline.at(NOW, true).wm_ms, Some(NOW - 2_000));
        pipeline.on_partitions(3);
        let progress = pipeline.at(NOW, true);
        assert_eq!((progress.state, progress.wm_ms), (State::Behind, None));
        assert_eq!(Pipeline::default().at(NOW, true).pipeline, PipelineState::Unknown);
    }

    #[test]
    fn a_second_owner_s_older_packs_change_nothing() {
        let packs = [(pack(0, 50, 50, NOW - 1_000), NOW - 500), (pack(0, 20, 40, NOW - 9_000), NOW - 400)];
        let pipeline = pipeline(&packs);
        let progress = pipeline.sources().next().unwrap().1;
        assert_eq!((progress.applied_end, progress.log_end), (50, 50));
        assert_eq!(progress.appended_at_ms, Some(NOW - 1_000));
    }

    #[test]
    fn a_late_log_that_waits_leaves_the_figures_of_now_current() {
        let mut pipeline = pipeline(&[(pack(0, 9, 9, NOW), NOW)]);
        let mut late = pack(0, 1, 500, NOW - 900_000);
        late.source.log = Log::Backfill;
        assert_eq!(pipeline.late_settled_ms(), None);
        pipeline.on_pack(&late, NOW - 60_000);
        assert_eq!(pipeline.at(NOW, true).state, State::Ok);
        assert_eq!(pipeline.late_settled_ms(), Some(NOW - 900_000), "what came since is on its way");
        (late.applied_end, late.appended_at_ms) = (500, NOW - 800_000);
        pipeline.on_pack(&late, NOW);
        assert_eq!(pipeline.late_settled_ms(), None);
    }

    #[test]
    fn a_closed_generation_is_not_waited_for() {
        let mut pipeline = pipeline(&[(pack(0, 9, 9, NOW - 900_000), NOW - 900_000)]);
        let mut second = pack(0, 1, 1, NOW);
        second.source.epoch = 2;
        pipeline.on_pack(&second, NOW);
        assert_eq!(pipeline.at(NOW, true).state, State::Ok);
    }

    #[test]
    fn the_watermark_never_moves_back() {
        let mut pipeline = Pipeline::default();
        let mut last = None;
        for n in 0..200_i64 {
            let lag = (n * 7) % 5;
            let applied = (10 + n - lag).cast_unsigned();
            pipeline.on_pack(&pack(0, applied, applied + lag.cast_unsigned() % 3, NOW + n * 10 - lag), NOW + n * 10);
            let wm = pipeline.at(NOW, true).wm_ms;
            assert!(wm >= last, "at {n}");
            last = wm;
        }
    }

    #[test]
    fn a_gateway_that_is_still_reading_says_so() {
        assert_eq!(pipeline(&[(pack(0, 9, 9, NOW), NOW)]).at(NOW, false).state, State::Starting);
    }
}
