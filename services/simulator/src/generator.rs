//! The loop: what is due is drawn, put into batches and handed to the sender.
//!
//! Invariant: it waits for the sender and never queues more than the batches being filled. At the end nothing new is
//! drawn, what is on the way is awaited for a bounded time, and what then has no answer is counted as unresolved.

use std::sync::Arc;
use std::time::Duration;

use rand::{Rng as _, SeedableRng as _};
use rand_pcg::Pcg64Mcg;
use runtime::clock;
use runtime::shutdown::Shutdown;
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, MissedTickBehavior};

use crate::batch::{Batch, Batches};
use crate::config::{Config, Spread};
use crate::draw::Draw;
use crate::pace::{Due, Pacer};
use crate::report::Tally;
use crate::sender::{Books, Phase, Repeat, Sender};
use crate::shape::Shape;
use crate::tokens::Lane;

const TICK: Duration = Duration::from_millis(10);

pub(crate) struct Generator {
    draw: Draw,
    shapes: Vec<Shape>,
    /// How many times the published rate.
    scale: f64,
    pacer: Pacer,
    /// How many are due and what is repeated; the draws have dice of their own.
    dice: Pcg64Mcg,
    batches: Batches,
    /// Events still to be drawn.
    left: u64,
    sender: Arc<Sender>,
    sending: JoinSet<()>,
    phase: watch::Sender<Phase>,
    tally: Arc<Tally>,
    books: Books,
    config: Config,
}

/// When to end: at a signal, or after a time.
struct End {
    shutdown: Shutdown,
    deadline: Option<Instant>,
}

impl End {
    async fn wait(&mut self) {
        match self.deadline {
            Some(deadline) => tokio::select! {
                () = self.shutdown.wait() => {}
                () = tokio::time::sleep_until(deadline) => {}
            },
            None => self.shutdown.wait().await,
        }
    }

    fn is_here(&self) -> bool {
        self.shutdown.is_stopping() || self.deadline.is_some_and(|deadline| deadline <= Instant::now())
    }
}

impl Generator {
    pub(crate) fn new(config: &Config, draw: Draw, lanes: &[Lane], books: Books) -> anyhow::Result<Self> {
        let plan = draw.plan();
        let shapes = plan.classes.iter().map(|class| config.shape(class.shape)).collect::<anyhow::Result<_>>()?;
        let published = plan.events_per_second();
        let wanted = config.rate.events_per_second;
        let scale = config.rate.speed * if wanted > 0.0 { wanted / published } else { 1.0 };
        tracing::info!(
            services = plan.actors.len(),
            departments = lanes.len(),
            events_per_second = format!("{:.1}", published * scale),
            completed_per_second = format!("{:.1}", plan.completed_per_second * scale),
            "sends, in the mean of a week"
        );
        let exact = config.rate.spread == Spread::Flat;
        let pacer = Pacer::new(clock::now_ms(), plan.classes.len(), config.rate.catch_up_ms, exact);
        let (phase, watched) = watch::channel(Phase::Running);
        Ok(Self {
            shapes,
            scale,
            pacer,
            dice: Pcg64Mcg::seed_from_u64(config.events.seed.wrapping_add(1)),
            batches: Batches::new(lanes.len(), config.batch.events_max, config.batch.linger_ms),
            left: if config.stop.count == 0 { u64::MAX } else { config.stop.count },
            sender: Arc::new(Sender::new(config, lanes, books.clone(), watched)?),
            sending: JoinSet::new(),
            phase,
            tally: Arc::clone(&books.tally),
            books,
            config: config.clone(),
            draw,
        })
    }

    /// Until it is told to stop or has drawn what it should; then it waits for the answers.
    pub(crate) async fn run(mut self, shutdown: Shutdown) {
        let progress = tokio::spawn(tell_progress(Arc::clone(&self.tally), self.config.output.progress_s));
        let seconds = self.config.stop.duration_s;
        let deadline = (seconds > 0).then(|| Instant::now() + Duration::from_secs(seconds));
        let mut end = End { shutdown, deadline };
        self.books.health.ready();
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while self.left > 0 {
            tokio::select! {
                biased;
                () = end.wait() => break,
                _ = ticks.tick() => {}
            }
            self.turn(&mut end).await;
        }
        self.close(&mut end).await;
        progress.abort();
    }

    /// Everything that is due now.
    async fn turn(&mut self, end: &mut End) {
        let now_ms = clock::now_ms();
        loop {
            let due = self.pacer.due(now_ms);
            self.skip(due);
            for class in 0..self.shapes.len() {
                self.draw_class(class, due, end).await;
            }
            if due.until_ms >= now_ms || self.left == 0 || end.is_here() {
                break;
            }
        }
        while let Some(batch) = self.batches.ripe(now_ms) {
            self.hand_over(batch, end).await;
        }
        while let Some(ended) = self.sending.try_join_next() {
            expect_no_panic(ended);
        }
    }

    async fn draw_class(&mut self, class: usize, due: Due, end: &mut End) {
        let expected = self.expected(class, due.from_ms, due.until_ms);
        let n = self.pacer.count(class, expected, &mut self.dice).min(self.left);
        for _ in 0..n {
            let drawn = self.draw.event(class, due.from_ms, due.until_ms, self.scale);
            if let Some(batch) = self.batches.push(drawn.lane, drawn.event, due.until_ms) {
                self.hand_over(batch, end).await;
            }
        }
        self.left -= n;
        self.tally.add(|counts| counts.drawn += n);
        self.books.metrics.drawn.inc_by(n);
    }

    /// Events of a class in the mean of a stretch.
    fn expected(&self, class: usize, from_ms: i64, until_ms: i64) -> f64 {
        let shape = self.shapes[class].at(i64::midpoint(from_ms, until_ms));
        let seconds = (until_ms - from_ms) as f64 / 1_000.0;
        self.draw.plan().classes[class].per_second * self.scale * shape * seconds
    }

    fn skip(&self, due: Due) {
        if due.given_up_ms > 0 {
            let from_ms = due.from_ms - due.given_up_ms;
            let skipped: f64 = (0..self.shapes.len()).map(|class| self.expected(class, from_ms, due.from_ms)).sum();
            self.tally.add(|counts| counts.skipped += skipped as u64);
        }
    }

    /// Waits until the batch may be on the way; at the end it waits there instead of here.
    async fn hand_over(&mut self, batch: Batch, end: &mut End) {
        let permit = tokio::select! {
            biased;
            permit = self.sender.permit() => Some(permit),
            () = end.wait() => None,
        };
        let repeat = self.dice.random_bool(self.config.repeat.share).then(|| {
            let delay_ms = self.dice.random_range(0..=self.config.repeat.delay_ms_max);
            Repeat { delay: Duration::from_millis(delay_ms) }
        });
        let sender = Arc::clone(&self.sender);
        self.sending.spawn(async move { sender.send(batch, permit, repeat).await });
    }

    async fn close(&mut self, end: &mut End) {
        if self.left > 0 {
            let due = self.pacer.due(clock::now_ms());
            self.skip(due);
        }
        while let Some(batch) = self.batches.any() {
            self.hand_over(batch, end).await;
        }
        self.phase.send_replace(Phase::Closing);
        let drain = Duration::from_millis(self.config.retry.drain_ms);
        if tokio::time::timeout(drain, join_all(&mut self.sending)).await.is_err() {
            self.phase.send_replace(Phase::GivingUp);
            join_all(&mut self.sending).await;
        }
    }
}

async fn join_all(sending: &mut JoinSet<()>) {
    while let Some(ended) = sending.join_next().await {
        expect_no_panic(ended);
    }
}

/// A sender that fell over is our own fault and must not pass for a quiet one.
fn expect_no_panic(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        std::panic::resume_unwind(error.into_panic());
    }
}

async fn tell_progress(tally: Arc<Tally>, every_s: u64) {
    if every_s == 0 {
        return;
    }
    let every = Duration::from_secs(every_s);
    let mut ticks = tokio::time::interval_at(Instant::now() + every, every);
    let mut before = tally.counts();
    loop {
        ticks.tick().await;
        let now = tally.counts();
        tracing::info!(
            accepted = now.accepted,
            per_second = format!("{:.1}", (now.accepted - before.accepted) as f64 / every.as_secs_f64()),
            rejected = now.rejected.values().sum::<u64>(),
            retried = now.retried,
            repeated = now.repeated,
            skipped = now.skipped,
            p99_ms = format!("{:.1}", now.latency.value_at_quantile(0.99) as f64 / 1_000.0),
            "progress"
        );
        before = now;
    }
}
