//! The weeks before the first run, through the same doors as everyone's: what is older than the live path takes goes by
//! backfill, under a manifest for each department and stretch; the rest is published.
//!
//! Invariant: a stretch is drawn from its own name and the rate alone, so that one that is sent again after an
//! interruption holds the same events with the same ids and counts once. What is finished is written down, and is never
//! sent again.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use domain::source::{EventId, ServiceNumber};
use domain::time::{DAY_MS, Day, HOUR_MS, MINUTE_MS};
use proto::v1;
use rand::SeedableRng as _;
use rand_pcg::Pcg64Mcg;
use runtime::clock::now_ms;
use serde::{Deserialize, Serialize};

use crate::config::Config;
use crate::draw::{Draw, Manner};
use crate::pace::Pacer;
use crate::plan::Plan;
use crate::sender::Sender;
use crate::shape::Shape;

/// What the live path takes, less time to get there.
const LIVE_MS: i64 = 7 * DAY_MS - 3 * MINUTE_MS;
/// From here on it is for backfill.
const BACKFILL_MS: i64 = 7 * DAY_MS + 2 * MINUTE_MS;
/// Drawn at once.
const STRETCH_MS: i64 = 10 * MINUTE_MS;
/// Events in one call of `Publish`, or in one chunk.
const CHUNK: usize = 1_000;

/// What is written down between runs.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Written {
    /// When the first run began, unix milliseconds: history ends there.
    began_ms: i64,
    /// The rate of that run, events a second.
    events_per_second: f64,
    /// Names of the stretches that are sent.
    sent: Vec<String>,
    /// Events sent.
    events: u64,
    /// Whether there is nothing left.
    complete: bool,
}

/// A stretch of the past that is sent as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stretch {
    name: String,
    from_ms: i64,
    to_ms: i64,
}

/// The stretches, newest first: the hours of the day it began, then whole London days.
fn stretches(began_ms: i64, weeks: u32) -> Vec<Stretch> {
    let today = Day::at(began_ms);
    let mut all = Vec::new();
    let mut to_ms = began_ms;
    while to_ms > today.start_ms() {
        let from_ms = ((to_ms - 1).div_euclid(HOUR_MS) * HOUR_MS).max(today.start_ms());
        all.push(Stretch { name: format!("{today}-{:02}", (from_ms - today.start_ms()) / HOUR_MS), from_ms, to_ms });
        to_ms = from_ms;
    }
    for back in 1..=(7 * weeks).cast_signed() {
        let day = Day(today.0 - back);
        all.push(Stretch { name: day.to_string(), from_ms: day.start_ms(), to_ms: day.next().start_ms() });
    }
    all
}

/// Sends what was not sent yet; does nothing if all of it was.
pub(crate) struct History {
    pub(crate) config: Config,
    pub(crate) plan: Plan,
    pub(crate) sender: Arc<Sender>,
}

impl History {
    /// Until all is sent. It goes on beside the live traffic and is the first to give way.
    ///
    /// # Errors
    /// A file that cannot be read or written.
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let Some(path) = self.config.history.file.clone() else { return Ok(()) };
        let mut written = self.begin(&path)?;
        if written.complete {
            return Ok(());
        }
        let weeks = self.config.history.weeks;
        let expected = written.events_per_second * f64::from(weeks) * 7.0 * DAY_MS as f64 / 1_000.0;
        let events_max = self.config.history.events_max;
        if expected > events_max as f64 {
            tracing::warn!(
                weeks,
                expected = expected as u64,
                events_max,
                "history is not sent: too many events at this rate; start with a lower one, or raise history.events_max"
            );
            return Ok(());
        }
        let all = stretches(written.began_ms, weeks);
        tracing::info!(weeks, expected = expected as u64, sent = written.events, "history: sending, simulated");
        let mut left = None;
        for stretch in &all {
            if written.sent.contains(&stretch.name) {
                continue;
            }
            let began = Instant::now();
            let (mut n, between) = self.send(stretch, self.draw(stretch, written.events_per_second)?, began).await;
            if between.is_empty() {
                done(&path, &mut written, (stretch, all.len()), n, began)?;
            } else {
                n += between.iter().map(|(_, events)| events.len() as u64).sum::<u64>();
                left = Some((stretch, n, between));
            }
        }
        if let Some((stretch, n, between)) = left {
            let began = Instant::now();
            self.send_later(stretch, between).await;
            done(&path, &mut written, (stretch, all.len()), n, began)?;
        }
        written.complete = true;
        write(&path, &written)?;
        tracing::info!(events = written.events, "history: complete");
        Ok(())
    }

    /// What was written down, or the beginning of it.
    fn begin(&self, path: &Path) -> anyhow::Result<Written> {
        if path.exists() {
            let text = std::fs::read_to_string(path).with_context(|| format!("history file {}", path.display()))?;
            return serde_json::from_str(&text).with_context(|| format!("history file {}", path.display()));
        }
        let written = Written { began_ms: now_ms(), events_per_second: self.events_per_second(), ..Written::default() };
        write(path, &written)?;
        Ok(written)
    }

    fn events_per_second(&self) -> f64 {
        let (published, rate) = (self.plan.events_per_second(), &self.config.rate);
        rate.speed * if rate.events_per_second > 0.0 { rate.events_per_second } else { published }
    }

    /// The events of a stretch by lane: a function of its name and the rate.
    fn draw(&self, stretch: &Stretch, events_per_second: f64) -> anyhow::Result<Vec<Vec<v1::Event>>> {
        let name = EventId::new(ServiceNumber::UNKNOWN, stretch.name.as_bytes());
        let seed = name.low() ^ self.config.events.seed;
        let manner = Manner {
            seed,
            run_id: format!("history-{}", stretch.name),
            age_ms_max: 0,
            noted: self.config.events.noted_share,
            views_per_visit: self.config.events.views_per_visit,
        };
        let scale = events_per_second / self.plan.events_per_second();
        let shapes: Vec<Shape> = {
            let of = |class: &crate::plan::Class| self.config.shape(class.shape);
            self.plan.classes.iter().map(of).collect::<anyhow::Result<_>>()?
        };
        let mut draw = Draw::new(self.plan.clone(), manner);
        let mut dice = Pcg64Mcg::seed_from_u64(seed.wrapping_add(1));
        let mut pacer = Pacer::new(0, shapes.len(), 1, false);
        let lanes = self.plan.actors.iter().map(|actor| actor.lane + 1).max().unwrap_or(0);
        let mut events = vec![Vec::new(); lanes];
        let mut from_ms = stretch.from_ms;
        while from_ms < stretch.to_ms {
            let until_ms = (from_ms + STRETCH_MS).min(stretch.to_ms);
            for (class, shape) in shapes.iter().enumerate() {
                let load = shape.at(i64::midpoint(from_ms, until_ms));
                let seconds = (until_ms - from_ms) as f64 / 1_000.0;
                let expected = self.plan.classes[class].per_second * scale * load * seconds;
                for _ in 0..pacer.count(class, expected, &mut dice) {
                    let drawn = draw.event(class, from_ms, until_ms, scale);
                    events[drawn.lane].push(drawn.event);
                }
            }
            from_ms = until_ms;
        }
        events.iter_mut().for_each(|lane| lane.sort_by_key(|event| event.occurred_at_ms));
        Ok(events)
    }

    /// Sends the events of a stretch, each through its door. Returns how many, and by lane those that are too old for one
    /// door and too young for the other, for a few minutes.
    async fn send(
        &self,
        stretch: &Stretch,
        events: Vec<Vec<v1::Event>>,
        began: Instant,
    ) -> (u64, Vec<(usize, Vec<v1::Event>)>) {
        let (mut sent, mut between) = (0, Vec::new());
        for (lane, events) in events.into_iter().enumerate() {
            let now = now_ms();
            let age_ms = |event: &v1::Event| now - event.occurred_at_ms;
            let (old, others): (Vec<_>, Vec<_>) = events.into_iter().partition(|event| age_ms(event) >= BACKFILL_MS);
            let (young, waits): (Vec<_>, Vec<_>) = others.into_iter().partition(|event| age_ms(event) < LIVE_MS);
            if !waits.is_empty() {
                between.push((lane, waits));
            }
            for events in young.chunks(CHUNK) {
                self.sender.publish_all(lane, events.to_vec()).await;
                sent += events.len() as u64;
                self.give_way(sent, began).await;
            }
            if !old.is_empty() {
                sent += old.len() as u64;
                self.backfill(stretch, lane, old).await;
                self.give_way(sent, began).await;
            }
        }
        (sent, between)
    }

    /// Sends what was too young for backfill, when it is old enough.
    async fn send_later(&self, stretch: &Stretch, between: Vec<(usize, Vec<v1::Event>)>) {
        let youngest = between.iter().flat_map(|(_, events)| events).map(|event| event.occurred_at_ms).max();
        let wait_ms = youngest.map_or(0, |at| at + BACKFILL_MS - now_ms()).max(0);
        tokio::time::sleep(Duration::from_millis(wait_ms.cast_unsigned())).await;
        for (lane, events) in between {
            self.backfill(stretch, lane, events).await;
        }
    }

    async fn backfill(&self, stretch: &Stretch, lane: usize, events: Vec<v1::Event>) {
        let batch = format!("history-{}", stretch.name);
        self.sender.backfill_all(lane, &batch, (stretch.from_ms, stretch.to_ms), events).await;
    }

    /// Keeps to the rate of history, so that the live traffic has room.
    async fn give_way(&self, sent: u64, began: Instant) {
        let least = Duration::from_secs_f64(sent as f64 / self.config.history.events_per_second_max);
        tokio::time::sleep(least.saturating_sub(began.elapsed())).await;
    }
}

/// Writes down that a stretch is sent.
fn done(
    path: &Path,
    written: &mut Written,
    (stretch, of): (&Stretch, usize),
    n: u64,
    began: Instant,
) -> anyhow::Result<()> {
    written.events += n;
    written.sent.push(stretch.name.clone());
    write(path, written)?;
    let (sent, events) = (written.sent.len(), written.events);
    let seconds = format!("{:.1}", began.elapsed().as_secs_f64());
    tracing::info!(stretch = stretch.name, sent, of, events, seconds, "history: progress");
    Ok(())
}

fn write(path: &Path, written: &Written) -> anyhow::Result<()> {
    let text = serde_json::to_string(written).expect("plain values");
    let beside = path.with_extension("tmp");
    std::fs::write(&beside, text).with_context(|| format!("cannot write {}", beside.display()))?;
    std::fs::rename(&beside, path).with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokens::Lane;
    use domain::catalogue::Catalogue;

    #[test]
    fn stretches_cover_the_weeks_without_a_gap_newest_first() {
        let began_ms = Day::from_ymd(2026, 11, 24).start_ms() + 13 * HOUR_MS + 17 * MINUTE_MS;
        let all = stretches(began_ms, 8);
        assert_eq!(all.len(), 14 + 56);
        assert_eq!((all[0].name.as_str(), all[0].to_ms), ("2026-11-24-13", began_ms));
        for (newer, older) in all.iter().zip(&all[1..]) {
            assert_eq!(newer.from_ms, older.to_ms, "{} follows {}", newer.name, older.name);
        }
        // The clocks went back on 25 October: that day has 25 hours.
        let long = all.iter().find(|stretch| stretch.name == "2026-10-25").expect("within the weeks");
        assert_eq!(long.to_ms - long.from_ms, 25 * HOUR_MS);
    }

    fn history() -> History {
        let mut config = Config::load(None).unwrap();
        config.rate.events_per_second = 0.5;
        let catalogue = Catalogue::embedded();
        let lane =
            |d: &domain::catalogue::Department| Lane { department: d.number, id: d.id.clone(), token: "t".into() };
        let lanes: Vec<Lane> = catalogue.departments().iter().map(lane).collect();
        let plan = crate::plan(&config, &catalogue, &lanes).unwrap();
        let books = crate::sender::Books {
            tally: Arc::default(),
            truth: None,
            metrics: crate::metrics::Metrics::new(&mut prometheus_client::registry::Registry::default()),
            health: runtime::admin::Health::default(),
        };
        let (_phase, watched) = tokio::sync::watch::channel(crate::sender::Phase::Running);
        let sender = Arc::new(Sender::new(&config, &lanes, books, watched).unwrap());
        History { config, plan, sender }
    }

    #[tokio::test]
    async fn a_stretch_drawn_again_holds_the_same_events_as_many_as_the_rate_says() {
        let history = history();
        let all = stretches(Day::from_ymd(2026, 11, 24).start_ms(), 1);
        let draws = |stretch| history.draw(stretch, history.events_per_second()).unwrap();
        assert_eq!(draws(&all[0]), draws(&all[0]));
        let mut n = 0;
        for stretch in &all {
            for event in draws(stretch).iter().flatten() {
                assert!((stretch.from_ms..stretch.to_ms).contains(&event.occurred_at_ms));
                n += 1;
            }
        }
        let expected = 0.5 * 7.0 * 86_400.0;
        assert!((f64::from(n) - expected).abs() < 5.0 * expected.sqrt(), "{n} in a week, {expected} expected");
    }
}
