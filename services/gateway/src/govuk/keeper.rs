//! What is held of page views: read in the background, so that no reader of `/govuk` waits for the store.
//!
//! Invariant: each part is as old as its own rhythm; what could not be read is missing. It never counts: registers and
//! views come from the views of the store.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use domain::event::ALL_PAGES;
use domain::source::ServiceNumber;
use domain::time::{DAY_MS, Day, HOUR_MS, MINUTE_MS};
use runtime::clickhouse::{Error, Store};
use runtime::shutdown::Shutdown;
use tokio::time::Instant;

use super::read::{self, Grain, PageRow};
use crate::store::Stores;

/// Same weekdays that are looked at.
const WEEKS: i32 = 8;
/// The length of the line, and of its steps.
const LINE_MS: i64 = DAY_MS;
const STEP_S: i64 = 300;
/// Late events change the newest steps.
const STEPS_AGAIN: i64 = 3;
/// How often the parts are read: what is of now, of today, of the past.
const NOW_EVERY: Duration = Duration::from_secs(5);
const TODAY_EVERY: Duration = Duration::from_secs(30);
const PAST_EVERY: Duration = Duration::from_secs(600);

/// Views by page of a span.
#[derive(Debug, Clone, Default)]
pub struct Span {
    /// Unix seconds.
    pub from_s: i64,
    /// Unix seconds.
    pub until_s: i64,
    /// Most views first.
    pub rows: Vec<PageRow>,
}

/// All that is held.
#[derive(Debug, Clone, Default)]
pub struct Past {
    /// Distinct visitors of five minutes, by their begin in unix seconds.
    pub line: BTreeMap<i64, u64>,
    /// Whether the line was ever read.
    pub has_line: bool,
    /// Views by page of the last five full minutes.
    pub now: Option<Span>,
    /// Of today.
    pub today: Option<Span>,
    /// Of the last full week.
    pub week: Option<Span>,
    /// Distinct visitors by day, of the last 15 days without today.
    pub days: BTreeMap<i32, u64>,
    /// Visitors by hour of the same weekdays before: one list for each day that has any.
    pub weekdays: Vec<Vec<Option<u64>>>,
    /// The day that these are of.
    pub weekdays_of: Option<Day>,
    /// Views by page of the last seven full days, and of the seven before.
    pub trend: Option<(Vec<PageRow>, Vec<PageRow>)>,
}

/// Keeps it.
pub struct Keeper {
    stores: Arc<Stores>,
    past: Mutex<Arc<Past>>,
}

impl Keeper {
    /// Nothing read yet.
    #[must_use]
    pub fn new(stores: Arc<Stores>) -> Arc<Self> {
        Arc::new(Self { stores, past: Mutex::default() })
    }

    /// Where single pages are read.
    #[must_use]
    pub fn stores(&self) -> &Stores {
        &self.stores
    }

    /// What is held.
    #[must_use]
    pub fn past(&self) -> Arc<Past> {
        Arc::clone(&self.past.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads again and again until it is time to stop.
    pub async fn keep(self: Arc<Self>, site: ServiceNumber, mut shutdown: Shutdown) {
        let reading = async {
            let (mut today_at, mut past_at) = (None, None);
            loop {
                let began = Instant::now();
                let is_due = |at: Option<Instant>, every| at.is_none_or(|at: Instant| at.elapsed() >= every);
                let now_ms = runtime::clock::now_ms();
                let is_new_day = self.past().weekdays_of != Some(Day::at(now_ms));
                let due = (is_due(today_at, TODAY_EVERY), is_due(past_at, PAST_EVERY) || is_new_day);
                match self.read(site, now_ms, due).await {
                    Ok(past) => {
                        *self.past.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(past);
                        today_at = if due.0 { Some(began) } else { today_at };
                        past_at = if due.1 { Some(began) } else { past_at };
                    }
                    Err(error) => tracing::debug!(%error, "page views cannot be read"),
                }
                tokio::time::sleep(NOW_EVERY).await;
            }
        };
        tokio::select! {
            () = reading => {}
            () = shutdown.wait() => {}
        }
    }

    async fn read(&self, site: ServiceNumber, now_ms: i64, due: (bool, bool)) -> Result<Past, Error> {
        let store = self.stores.get().await?;
        let mut past = (*self.past()).clone();
        let today = Day::at(now_ms);
        line(&store, site, now_ms, &mut past).await?;
        let until_s = now_ms.div_euclid(MINUTE_MS) * 60;
        let from_s = (until_s - STEP_S).max(today.start_ms() / 1_000);
        let rows = read::pages_of_minutes(&store, site, from_s..until_s).await?;
        past.now = Some(Span { from_s, until_s, rows });
        if due.0 {
            let rows = read::pages_of_days(&store, site, today..today.next()).await?;
            past.today = Some(Span { from_s: today.start_ms() / 1_000, until_s: now_ms / 1_000, rows });
        }
        if due.1 {
            old(&store, site, today, &mut past).await?;
        }
        Ok(past)
    }
}

/// Steps that are new, and the newest again.
async fn line(store: &Store, site: ServiceNumber, now_ms: i64, past: &mut Past) -> Result<(), Error> {
    let until_s = (now_ms / 1_000).div_euclid(STEP_S) * STEP_S;
    let oldest_s = until_s - LINE_MS / 1_000;
    let known_s = past.line.keys().next_back().map_or(oldest_s, |last| last - STEPS_AGAIN * STEP_S).max(oldest_s);
    for seen in read::seen(store, site, ALL_PAGES, Grain::FiveMinutes, known_s..until_s).await? {
        past.line.insert(seen.start.into(), seen.distinct());
    }
    past.line.retain(|start, _| *start >= oldest_s);
    past.has_line = true;
    Ok(())
}

/// What changes once a day, but for late events.
async fn old(store: &Store, site: ServiceNumber, today: Day, past: &mut Past) -> Result<(), Error> {
    let before = |days: i32| Day(today.0 - days);
    let days = i64::from(before(15).0)..i64::from(today.0);
    let seen = read::seen(store, site, ALL_PAGES, Grain::Day, days).await?;
    past.days = seen.iter().map(|seen| (seen.start as i32, seen.distinct())).collect();
    let monday = before(today.weekday() as i32);
    let week = Day(monday.0 - 7)..monday;
    let (from_s, until_s) = (week.start.start_ms() / 1_000, week.end.start_ms() / 1_000);
    past.week = Some(Span { from_s, until_s, rows: read::pages_of_days(store, site, week).await? });
    past.trend = Some((
        read::pages_of_days(store, site, before(7)..today).await?,
        read::pages_of_days(store, site, before(14)..before(7)).await?,
    ));
    let mut weekdays = Vec::new();
    for week in 1..=WEEKS {
        let day = before(7 * week);
        let range = day.start_ms() / 1_000..day.next().start_ms() / 1_000;
        let seen = read::seen(store, site, ALL_PAGES, Grain::Hour, range).await?;
        if seen.is_empty() {
            continue;
        }
        let mut hours = vec![None; 25];
        for seen in seen {
            let place = (i64::from(seen.start) * 1_000 - day.start_ms()) / HOUR_MS;
            if let Some(slot) = usize::try_from(place).ok().and_then(|place| hours.get_mut(place)) {
                *slot = Some(seen.distinct());
            }
        }
        weekdays.push(hours);
    }
    past.weekdays = weekdays;
    past.weekdays_of = Some(today);
    Ok(())
}
