//! Fan-out without queues: each topic has one state and one encoded frame for each step that a viewer may be behind; a
//! viewer holds a number and its place in the beat.
//!
//! Invariant: a frame is encoded once for all viewers who need it. What a viewer costs does not grow with how far it is
//! behind: it gets one tick over everything it missed, or the shared snapshot. It knows no viewer.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use domain::time::Day;

use crate::board::{Board, Next};
use crate::frame;
use crate::metrics::Metrics;
use crate::protocol::{Heartbeat, Hello, Pipeline};
use crate::topics::Topic;
use crate::world::{Live, World};

/// Length of a beat, milliseconds: it divides the interval of every rate.
pub const BEAT_MS: u64 = 50;
/// Beats between heartbeats.
pub const HEARTBEAT_BEATS: u64 = 1_000 / BEAT_MS;
/// Steps of a topic of which it is known what the fold held.
const MARKS_MAX: usize = 256;

/// A frame of a topic, and the number at which a viewer is who has it.
#[derive(Debug, Clone)]
pub struct TopicFrame {
    /// The whole WebSocket frame.
    pub bytes: Bytes,
    /// What the viewer has then.
    pub seq: u64,
}

/// A topic that somebody looks at.
#[derive(Debug)]
pub struct TopicCell {
    /// Which.
    pub topic: Topic,
    state: Mutex<TopicState>,
}

#[derive(Debug)]
struct TopicState {
    board: Board,
    /// The beat in which the board was last brought up to date.
    beat: u64,
    wm: Option<i64>,
    /// Frames that lead from a number to the present one.
    ticks: HashMap<u64, Bytes>,
    snapshot: Option<Bytes>,
    /// Sequence numbers with the fold's version at that time.
    marks: VecDeque<(u64, u64)>,
}

/// All topics that are looked at.
#[derive(Debug)]
pub struct Hub {
    /// What the figures come from.
    pub world: Arc<World>,
    /// What is counted about it.
    pub metrics: Metrics,
    /// Sequence numbers are comparable within it; another at every start.
    pub epoch: String,
    simulated: bool,
    started: Instant,
    seq: AtomicU64,
    sessions: AtomicU64,
    topics: Mutex<BTreeMap<Topic, Arc<TopicCell>>>,
    heartbeat: Mutex<(u64, Bytes)>,
}

impl Hub {
    /// No topic is looked at yet.
    #[must_use]
    pub fn new(world: Arc<World>, metrics: Metrics, simulated: bool) -> Arc<Self> {
        Arc::new(Self {
            world,
            metrics,
            epoch: format!("{:016x}", rand::random::<u64>()),
            simulated,
            started: Instant::now(),
            seq: AtomicU64::new(0),
            sessions: AtomicU64::new(0),
            topics: Mutex::default(),
            heartbeat: Mutex::default(),
        })
    }

    /// The present beat, from 1.
    #[must_use]
    pub fn beat(&self) -> u64 {
        self.started.elapsed().as_millis() as u64 / BEAT_MS + 1
    }

    /// A number for a new session; also its phase.
    pub fn next_session(&self) -> u64 {
        self.sessions.fetch_add(1, Ordering::Relaxed)
    }

    /// The topic, made if nobody held it.
    pub fn topic(&self, topic: Topic) -> Arc<TopicCell> {
        let mut topics = lock(&self.topics);
        let cell = topics.entry(topic).or_insert_with(|| Arc::new(TopicCell { topic, state: self.state_of(topic) }));
        Arc::clone(cell)
    }

    fn state_of(&self, topic: Topic) -> Mutex<TopicState> {
        let live = self.world.live();
        let now_ms = runtime::clock::now_ms();
        let scope = live.scope(now_ms);
        let board = Board::new(topic, &self.world.catalogue, &live.fold, &scope, &mut || self.next_seq());
        let marks = VecDeque::from([(board.seq(), live.fold.version())]);
        let wm = live.progress(now_ms).wm_ms;
        Mutex::new(TopicState { board, beat: self.beat(), wm, ticks: HashMap::new(), snapshot: None, marks })
    }

    fn next_seq(&self) -> u64 {
        self.seq.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// What a viewer of a topic needs who is at `since`; `None` if it has everything.
    pub fn frame(&self, cell: &TopicCell, since: u64, beat: u64) -> Option<TopicFrame> {
        let mut state = lock(&cell.state);
        if state.beat < beat {
            state.beat = beat;
            self.bring_up_to_date(&mut state);
        }
        let seq = state.board.seq();
        let state = &mut *state;
        let bytes = match state.board.next_for(since) {
            Next::Nothing => return None,
            Next::Tick => state.ticks.entry(since).or_insert_with(|| {
                self.metrics.encoded.inc();
                frame::text(&state.board.tick(since, state.wm, &self.world.catalogue))
            }),
            Next::Snapshot => state.snapshot.get_or_insert_with(|| {
                self.metrics.encoded.inc();
                frame::text(&state.board.snapshot(&self.epoch, state.wm, &self.world.catalogue))
            }),
        };
        Some(TopicFrame { bytes: bytes.clone(), seq })
    }

    fn bring_up_to_date(&self, state: &mut TopicState) {
        let live = self.world.live();
        let now_ms = runtime::clock::now_ms();
        let scope = live.scope(now_ms);
        if state.board.advance(&live.fold, &scope, &mut || self.next_seq()) {
            state.wm = live.progress(now_ms).wm_ms;
            state.ticks.clear();
            state.snapshot = None;
            state.marks.push_back((state.board.seq(), live.fold.version()));
            if state.marks.len() > MARKS_MAX {
                state.marks.pop_front();
            }
        }
    }

    /// Takes the age of every pack that a frame from `since` to `seq` holds, as the frame is on a socket.
    pub fn observe(&self, cell: &TopicCell, since: u64, seq: u64) {
        let (after, up_to) = {
            let state = lock(&cell.state);
            let version = |seq: u64| {
                let at = state.marks.binary_search_by_key(&seq, |mark| mark.0).ok()?;
                Some(state.marks[at].1)
            };
            let (Some(after), Some(up_to)) = (version(since), version(seq)) else { return };
            (after, up_to)
        };
        let now_ms = runtime::clock::now_ms();
        let live = self.world.live();
        for received_at_ms in live.receipts(after, up_to) {
            self.metrics.event_to_socket.observe((now_ms - received_at_ms).max(0) as f64 / 1_000.0);
        }
    }

    /// The first frame of a connection.
    #[must_use]
    pub fn hello(&self) -> Bytes {
        let now = runtime::clock::now_ms();
        let hello = Hello { epoch: &self.epoch, now, today: Day::at(now), simulated: self.simulated };
        frame::text(&hello.frame())
    }

    /// The heartbeat of a beat, encoded once.
    pub fn heartbeat(&self, beat: u64) -> Bytes {
        let mut held = lock(&self.heartbeat);
        if held.0 < beat {
            let live = self.world.live();
            *held = (beat, frame::text(&heartbeat(&live, runtime::clock::now_ms())));
        }
        held.1.clone()
    }

    /// Drops topics that nobody holds any more.
    pub fn drop_unheld(&self) {
        let mut topics = lock(&self.topics);
        topics.retain(|_, cell| Arc::strong_count(cell) > 1);
        self.metrics.topics.set(topics.len() as i64);
    }
}

fn heartbeat(live: &Live, now: i64) -> String {
    let progress = live.progress(now);
    Heartbeat {
        now,
        today: Day::at(now),
        wm: progress.wm_ms,
        state: progress.state,
        pipeline: Pipeline { state: progress.pipeline, behind_ms: progress.behind_ms, since: progress.since_ms },
        sources: &live.sources,
        incomplete: live.incomplete.as_deref(),
    }
    .frame()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
