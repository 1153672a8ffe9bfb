//! The settings; `config/simulator.toml` holds the defaults and says what each means.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use domain::pages::Hours;
use domain::time::Day;
use serde::Deserialize;

use crate::shape::{Kind, Profile, Shape};

/// The defaults, which are also the reference.
pub const DEFAULTS: &str = include_str!("../../../config/simulator.toml");

/// All settings.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where events go.
    pub collector: Collector,
    /// Who sends.
    pub tokens: Tokens,
    /// How many.
    pub rate: Rate,
    /// When.
    pub shape: Shapes,
    /// What.
    pub events: Events,
    /// How they travel together.
    pub batch: Batch,
    /// What is sent twice.
    pub repeat: Repeat,
    /// What happened before the first run.
    pub history: History,
    /// What happens when there is no answer.
    pub retry: Retry,
    /// When it ends.
    pub stop: Stop,
    /// What is written.
    pub output: Output,
    /// Health and metrics.
    pub admin: runtime::admin::Config,
    /// The log.
    pub log: runtime::telemetry::Config,
}

/// `[collector]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Collector {
    /// Such as `http://127.0.0.1:50051`.
    pub endpoint: String,
    /// TCP connections.
    pub connections: usize,
    /// Batches on the way at a time.
    pub in_flight_batches_max: usize,
    /// Time for an answer.
    pub timeout_ms: u64,
}

/// `[tokens]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tokens {
    /// A TOML file with a table `[tokens]`.
    pub file: PathBuf,
}

/// `[rate]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// 0 = as published.
    pub events_per_second: f64,
    /// Multiplies the rate.
    pub speed: f64,
    /// How it is spread over the week.
    pub spread: Spread,
    /// What is made good after a stop.
    pub catch_up_ms: i64,
}

/// How events are spread over the week.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Spread {
    /// By London's hours and weekdays.
    London,
    /// Evenly.
    Flat,
}

/// `[shape]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shapes {
    /// Weekdays of people online.
    pub online_week: Vec<f64>,
    /// People by phone, post and over a counter.
    pub office: Profile,
    /// Programs.
    pub machine: Profile,
}

/// `[events]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Events {
    /// Of characters and draws.
    pub seed: u64,
    /// First part of every id.
    pub run_id: Option<String>,
    /// Such as `2014-04`.
    pub window: String,
    /// How late senders are.
    pub age_ms_max: i64,
    /// Whether GOV.UK is visited.
    pub page_views: bool,
    /// Larger services report no steps.
    pub steps_volume_max: u64,
    /// Share with a note.
    pub noted_share: f64,
    /// Pages of a visit.
    pub views_per_visit: f64,
}

/// `[batch]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Batch {
    /// Events in one call.
    pub events_max: usize,
    /// How long an event waits for company.
    pub linger_ms: i64,
}

/// `[repeat]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Repeat {
    /// Share of batches.
    pub share: f64,
    /// How long after, at most.
    pub delay_ms_max: u64,
    /// How many may wait.
    pub pending_max: usize,
}

/// `[history]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct History {
    /// Where it is written down what was sent; absent = no history.
    pub file: Option<PathBuf>,
    /// How far back.
    pub weeks: u32,
    /// More events than this are not sent.
    pub events_max: u64,
    /// How fast, at most.
    pub events_per_second_max: f64,
}

/// `[retry]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retry {
    /// The first wait.
    pub first_ms: u64,
    /// The longest.
    pub longest_ms: u64,
    /// How long to try at the end.
    pub drain_ms: u64,
}

/// `[stop]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stop {
    /// Events; 0 = never.
    pub count: u64,
    /// Seconds; 0 = never.
    pub duration_s: u64,
}

/// `[output]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Output {
    /// One line for each accepted event.
    pub accepted: Option<PathBuf>,
    /// The closing report.
    pub report: Option<PathBuf>,
    /// Seconds between lines of progress; 0 = none.
    pub progress_s: u64,
}

impl Config {
    /// The defaults, with a file and the environment laid over them.
    ///
    /// # Errors
    /// Names what cannot be read.
    pub fn load(file: Option<&Path>) -> anyhow::Result<Self> {
        runtime::config::load("simulator", DEFAULTS, file)
    }

    /// Checks what must hold between settings.
    ///
    /// # Errors
    /// Names the setting.
    pub fn check(&self) -> anyhow::Result<()> {
        let share = |name, value: f64| {
            ensure!((0.0..=1.0).contains(&value), "{name} is a share: between 0 and 1");
            Ok(())
        };
        share("repeat.share", self.repeat.share)?;
        share("events.noted_share", self.events.noted_share)?;
        ensure!((1..=1_000).contains(&self.batch.events_max), "batch.events_max is between 1 and 1,000");
        ensure!(self.collector.connections > 0, "collector.connections is at least 1");
        ensure!(self.collector.in_flight_batches_max > 0, "collector.in_flight_batches_max is at least 1");
        let rate = [self.rate.events_per_second, self.rate.speed];
        ensure!(rate.iter().all(|n| *n >= 0.0 && n.is_finite()), "rates are numbers of at least 0");
        ensure!(self.rate.catch_up_ms > 0, "rate.catch_up_ms is at least 1");
        ensure!(self.history.weeks <= 50, "history.weeks is at most 50");
        ensure!(self.history.events_per_second_max >= 1.0, "history.events_per_second_max is at least 1");
        ensure!(self.events.age_ms_max >= 0, "events.age_ms_max is at least 0");
        ensure!(self.events.views_per_visit >= 1.0, "events.views_per_visit is at least 1");
        if let Some(run_id) = &self.events.run_id {
            let is_name = (1..=40).contains(&run_id.len()) && run_id.bytes().all(|b| b.is_ascii_graphic());
            ensure!(is_name, "events.run_id is 1 to 40 printable characters without spaces");
        }
        Ok(())
    }

    /// The first day after the twelve months whose volumes are taken.
    ///
    /// # Errors
    /// If `events.window` is not a month.
    pub fn window(&self) -> anyhow::Result<Day> {
        let parse = || {
            let (year, month) = self.events.window.split_once('-')?;
            let (year, month) = (year.parse().ok()?, month.parse().ok()?);
            (1..=12).contains(&month).then(|| Day::from_ymd(year, month, 1))
        };
        parse().with_context(|| format!("events.window = {:?} is not a month such as 2014-04", self.events.window))
    }

    /// The shape of each kind of load.
    ///
    /// # Errors
    /// Names the shape that has no meaning.
    pub fn shape(&self, kind: Kind) -> anyhow::Result<Shape> {
        if self.rate.spread == Spread::Flat {
            return Ok(Shape::flat());
        }
        let (name, shape) = match kind {
            Kind::Online => {
                let hours = Hours::embedded().usual.iter().map(|n| *n as f64).collect();
                ("online_week", Shape::new(&Profile { hours, week: self.shape.online_week.clone() }))
            }
            Kind::Office => ("office", Shape::new(&self.shape.office)),
            Kind::Machine => ("machine", Shape::new(&self.shape.machine)),
        };
        shape.with_context(|| format!("shape.{name}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::time::{HOUR_MS, MINUTE_MS};

    #[test]
    fn the_defaults_pass_their_own_check() {
        let config = Config::load(None).unwrap();
        config.check().unwrap();
        assert_eq!(config.window().unwrap(), Day::from_ymd(2014, 4, 1));
        for kind in [Kind::Online, Kind::Office, Kind::Machine] {
            config.shape(kind).unwrap();
        }
    }

    #[test]
    fn a_week_of_the_default_shapes_integrates_to_the_stated_rate() {
        let config = Config::load(None).unwrap();
        let monday = Day::from_ymd(2026, 11, 23).start_ms();
        for kind in [Kind::Online, Kind::Office, Kind::Machine] {
            let shape = config.shape(kind).unwrap();
            let minutes = 7 * 24 * 60;
            let sum: f64 = (0..minutes).map(|minute| shape.at(monday + minute * MINUTE_MS)).sum();
            assert!((sum / minutes as f64 - 1.0).abs() < 1e-9, "{kind:?}: {sum}");
            let at = |hour| shape.at(monday + hour * HOUR_MS);
            assert!(at(11) > 2.0 * at(3), "{kind:?} is busier by day");
        }
    }

    #[test]
    fn what_has_no_meaning_is_refused_by_name() {
        let broken = |change: fn(&mut Config)| {
            let mut config = Config::load(None).unwrap();
            change(&mut config);
            config.check().unwrap_err().to_string()
        };
        assert!(broken(|c| c.repeat.share = 1.5).contains("repeat.share"));
        assert!(broken(|c| c.batch.events_max = 0).contains("batch.events_max"));
        assert!(broken(|c| c.rate.speed = -1.0).contains("rates"));
        assert!(broken(|c| c.events.run_id = Some("a b".into())).contains("events.run_id"));
        let mut config = Config::load(None).unwrap();
        config.events.window = "2014".into();
        assert!(config.window().unwrap_err().to_string().contains("events.window"));
    }
}
