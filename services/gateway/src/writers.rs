//! The tasks that write to viewers, beat by beat.
//!
//! Time is cut into beats of 50 ms. Viewers of the same rate are spread over the beats of their interval by a phase of
//! their own, so that the work is even and no viewer always waits for all others. A writer never waits for a viewer.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use runtime::shutdown::Shutdown;
use tokio::task::JoinHandle;

use crate::hub::{BEAT_MS, Hub};
use crate::session::{Round, Session};

/// Beats between looks for topics that nobody holds.
const SWEEP_BEATS: u64 = 10_000 / BEAT_MS;
/// Sessions served before other tasks get a turn.
const SESSIONS_PER_TURN: usize = 64;

/// All writers; each has its own share of the sessions.
#[derive(Debug)]
pub struct Writers {
    /// What they write.
    pub hub: Arc<Hub>,
    arrivals: Vec<Mutex<Vec<Arc<Session>>>>,
}

impl Writers {
    /// So many writers, at least one, none of them at work yet.
    #[must_use]
    pub fn new(hub: Arc<Hub>, writers: usize) -> Arc<Self> {
        Arc::new(Self { hub, arrivals: (0..writers.max(1)).map(|_| Mutex::default()).collect() })
    }

    /// Takes a session into the rounds of a writer.
    pub fn admit(&self, session: Arc<Session>) {
        let writer = session.number as usize % self.arrivals.len();
        lock(&self.arrivals[writer]).push(session);
    }

    /// Sets every writer to work, each in a task of its own, until the end.
    #[must_use]
    pub fn start(self: &Arc<Self>, shutdown: &Shutdown) -> Vec<JoinHandle<()>> {
        let start = |writer| tokio::spawn(Arc::clone(self).write(writer, shutdown.clone()));
        (0..self.arrivals.len()).map(start).collect()
    }

    async fn write(self: Arc<Self>, writer: usize, mut shutdown: Shutdown) {
        let hub = &*self.hub;
        let mut sessions: Vec<Arc<Session>> = Vec::new();
        let mut beats = tokio::time::interval(Duration::from_millis(BEAT_MS));
        beats.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        let mut swept = 0;
        loop {
            tokio::select! {
                _ = beats.tick() => {}
                () = shutdown.wait() => return,
            }
            let beat = hub.beat();
            sessions.append(&mut lock(&self.arrivals[writer]));
            let began = Instant::now();
            let mut round = Round::default();
            for chunk in sessions.chunks(SESSIONS_PER_TURN) {
                for session in chunk.iter().filter(|session| session.is_due(beat)) {
                    session.serve(hub, beat, &mut round);
                }
                tokio::task::yield_now().await;
            }
            account(round, hub, began);
            if beat - swept > SWEEP_BEATS {
                swept = beat;
                hub.drop_unheld();
            }
            sessions.retain(|session| !session.is_closed());
        }
    }
}

fn account(round: Round, hub: &Hub, began: Instant) {
    if round.frames + round.conflated == 0 {
        return;
    }
    hub.metrics.frames.inc_by(round.frames);
    hub.metrics.written.inc_by(round.bytes);
    hub.metrics.conflated.inc_by(round.conflated);
    hub.metrics.round.observe(began.elapsed().as_secs_f64());
    if let Some((cell, since, seq)) = round.sample {
        hub.observe(&cell, since, seq);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
