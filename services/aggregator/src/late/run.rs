//! The loop of a late log: change of owner → fetch → round → commit. It reads on while a round is under way, and a
//! failed round is done again.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use domain::source::Log;
use futures::future::try_join_all;
use runtime::backoff::Backoff;
use runtime::clickhouse::Store;
use runtime::shutdown::Shutdown;
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep};

use super::decide::others;
use super::poller::Poller;
use super::rhythm::Rhythm;
use super::round::{Begin, Error, Rounds};
use crate::config::Config;
use crate::consumer::{Bounds, Change};
use crate::live::Publisher;
use crate::metrics::Metrics;
use crate::pipeline::Stopped;
use crate::repair::ASKED_AT_ONCE;
use crate::repair::tell::Tell;
use crate::writer::Stall;

/// Everything a loop is wired to.
#[derive(Clone)]
pub struct Wiring {
    /// Configuration.
    pub config: Config,
    /// Generation of the topics.
    pub epoch: u16,
    /// Generation of the cells.
    pub generation: u32,
    /// The store.
    pub store: Store,
    /// Metrics.
    pub metrics: Metrics,
    /// Where findings go.
    pub(crate) tell: Tell,
}

/// Records of a source between the consumer and the outcome.
const WAITING_MAX: usize = 40_000;
/// Between two looks at the consumer.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Between two rounds when there is nothing to decide.
const IDLE: Duration = Duration::from_millis(200);
/// Between two beats.
const BEAT_EVERY: Duration = Duration::from_secs(1);
/// The longest that a stop waits for a round.
const LAST_ROUND: Duration = Duration::from_secs(5);

/// Partitions to be taken up, each with an offset at or after which raw is known to lack something.
type TakenUp = Vec<(u16, Option<u64>)>;

/// What one turn of the loop has done: sources that begin, and the ends that may be committed.
struct Turn {
    begins: Vec<Begin>,
    ends: Result<Vec<(u16, u64)>, Error>,
}

/// Counts one late log until told to stop.
///
/// # Errors
/// What needs a person: rules that are not known, a log that is shorter than its ledger; or a client that has ended.
pub async fn run(log: Log, wiring: Wiring, mut shutdown: Shutdown) -> anyhow::Result<()> {
    let Wiring { config, epoch, generation, store, metrics, tell } = wiring;
    let bounds = |log: Log| anyhow::Ok(Arc::new(Bounds::new(&config.kafka, config.topics.of(log))?));
    let waits_for = others(log).iter().map(|log| anyhow::Ok((*log, bounds(*log)?))).collect::<Result<Vec<_>, _>>()?;
    let publisher = Publisher::new(&config.kafka, &config.topics.live, generation).context("live producer")?;
    let skew_ms = i64::from(config.late.skew_ms);
    let stall = Stall::default();
    let own = bounds(log)?;
    let checks = Rhythm::new(tell, config.counting.check_ms, config.counting.check_rows_max);
    let mut rounds = Rounds::new((log, epoch), skew_ms, store, own, waits_for, publisher, stall, metrics, checks);
    let mut poller = Poller::join(&config, log).context("consumer")?;
    let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(1));
    let (mut beaten, mut places, tasks) = (Instant::now(), poller.places(), Handle::current());
    let mut taken_up: TakenUp = Vec::new();
    while !shutdown.is_stopping() {
        poller.gather()?;
        for change in poller.take_changes() {
            match change {
                Change::Assigned(partitions) => taken_up.extend(partitions.into_iter().map(|p| (p, None))),
                Change::Revoked(partitions) => {
                    taken_up.retain(|(partition, _)| !partitions.contains(partition));
                    rounds.sources.retain(|partition, _| !partitions.contains(partition));
                }
            }
        }
        taken_up.extend(take_in(&mut poller, &mut rounds).into_iter().map(|partition| (partition, None)));
        let Some(Turn { begins, ends }) = beside(turn(&mut rounds, &mut taken_up), &mut poller, &mut shutdown).await?
        else {
            return Ok(());
        };
        for Begin { partition, offset, log_end } in begins {
            poller.begin(partition, offset, log_end);
        }
        match ends {
            Ok(ends) => {
                backoff.reset();
                poller.commit(&ends);
                if ends.is_empty() {
                    sleep(IDLE).await;
                }
            }
            Err(error) if error.is_retryable() => {
                tracing::warn!(log = log.name(), %error, "a round failed; trying again");
                rounds.suspect(&error);
                sleep(backoff.next_wait()).await;
            }
            Err(error) => return Err(error.into()),
        }
        for partition in places.lost(rounds.ready_for_more(), &rounds.own, &tasks) {
            tracing::warn!(log = log.name(), partition, "nothing comes although the log goes on; taken up anew");
            taken_up.push((partition, None));
        }
        poller.look_for_orphans(&rounds.own, &tasks);
        if beaten.elapsed() >= BEAT_EVERY {
            beaten = Instant::now();
            rounds.beat(|partition| poller.log_end(partition));
        }
    }
    Ok(())
}

/// Hands what has come to the sources; returns those in which a record is missing.
fn take_in(poller: &mut Poller, rounds: &mut Rounds) -> Vec<u16> {
    let mut gaps = Vec::new();
    for (partition, late) in &mut rounds.sources {
        let room = WAITING_MAX.saturating_sub(late.waiting());
        for fetched in poller.take(*partition, room) {
            if !late.offer(fetched) {
                tracing::warn!(source = %late.source(), "a record is missing; the partition is taken up anew");
                gaps.push(*partition);
                break;
            }
        }
    }
    gaps
}

/// Takes up what is new, does a round, then looks whether the store still has everything: what has to be taken up anew is
/// left for the next turn.
async fn turn(rounds: &mut Rounds, taken_up: &mut TakenUp) -> Turn {
    let mut begins = Vec::new();
    while !taken_up.is_empty() {
        let some = taken_up.len().saturating_sub(ASKED_AT_ONCE)..;
        let states = taken_up[some.clone()].iter().map(|(partition, suspect)| rounds.state_of(*partition, *suspect));
        match try_join_all(states).await {
            Ok(states) => {
                for (late, begin) in states {
                    rounds.sources.insert(begin.partition, late);
                    begins.push(begin);
                }
            }
            Err(error) => return Turn { begins, ends: Err(error) },
        }
        taken_up.truncate(some.start);
    }
    let ends = rounds.round().await;
    // Not in a turn that has begun a source: the consumer is told first.
    if begins.is_empty() {
        taken_up.extend(rounds.check().await);
    }
    Turn { begins, ends }
}

/// Reads on while a turn is under way. `None` if it is time to stop and the turn takes too long.
async fn beside(
    turn: impl Future<Output = Turn>,
    poller: &mut Poller,
    shutdown: &mut Shutdown,
) -> Result<Option<Turn>, Stopped> {
    let stop = async {
        shutdown.wait().await;
        sleep(LAST_ROUND).await;
    };
    tokio::pin!(turn, stop);
    loop {
        tokio::select! {
            biased;
            turn = &mut turn => return Ok(Some(turn)),
            () = &mut stop => return Ok(None),
            () = sleep(LOOK_EVERY) => poller.gather()?,
        }
    }
}
