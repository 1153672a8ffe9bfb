//! Events as departments send them: seeded, of every kind, over a week of times, with known repeats.

use domain::catalogue::{Catalogue, GOV_UK};
use domain::pages::Pages;
use proto::v1::{self, event::Kind};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use runtime::clock::now_ms;

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;
const DAY_MS: i64 = 24 * HOUR_MS;

/// One of the two services that are spread over all partitions.
pub const WIDE: &str = "hmrc-stamp-duty-reserve-tax";

/// Makes events.
pub struct Mix {
    rng: StdRng,
    run: String,
    next: u64,
    services: Vec<String>,
    paths: Vec<String>,
    now_ms: i64,
    oldest_ms: i64,
}

impl Mix {
    /// Of some twenty services of many departments, a wide one and a sandbox, over the last seven days. `run` is the
    /// first part of every id.
    #[must_use]
    pub fn new(seed: u64, run: &str) -> Self {
        let catalogue = Catalogue::embedded();
        let some = catalogue.services().iter().step_by(37).map(|service| service.id.clone());
        let services = some.chain([WIDE.to_owned(), "sandbox-hmrc".to_owned()]).collect();
        let pages = Pages::embedded();
        let paths = pages.all().iter().step_by(250).map(|page| page.path.clone());
        let paths = paths.chain(["/not-a-known-page".to_owned(), "/nor-this".to_owned()]).collect();
        let (rng, run) = (StdRng::seed_from_u64(seed), run.to_owned());
        Self { rng, run, next: 0, services, paths, now_ms: now_ms(), oldest_ms: 7 * DAY_MS - HOUR_MS }
    }

    /// Only of these services.
    #[must_use]
    pub fn of(mut self, services: &[&str]) -> Self {
        self.services = services.iter().map(|id| (*id).to_owned()).collect();
        self
    }

    /// Only of the last so many minutes, and none ahead.
    #[must_use]
    pub fn recent(mut self, minutes: i64) -> Self {
        self.oldest_ms = minutes * MINUTE_MS;
        self
    }

    /// Events that were not there before, each with an id of its own.
    pub fn fresh(&mut self, count: usize) -> Vec<v1::Event> {
        (0..count).map(|_| self.event()).collect()
    }

    /// Events of which about every `one_in`th is an earlier one of them again.
    pub fn with_repeats(&mut self, count: usize, one_in: u32) -> Vec<v1::Event> {
        let mut events: Vec<v1::Event> = Vec::with_capacity(count);
        for _ in 0..count {
            let again = self.rng.random_ratio(1, one_in);
            let event = if again { events.choose(&mut self.rng).cloned() } else { None };
            let event = event.unwrap_or_else(|| self.event());
            events.push(event);
        }
        events
    }

    /// Some of these again.
    pub fn some_of(&mut self, events: &[v1::Event], count: usize) -> Vec<v1::Event> {
        (0..count).map(|_| events.choose(&mut self.rng).expect("there are events").clone()).collect()
    }

    fn event(&mut self) -> v1::Event {
        self.next += 1;
        let is_view = self.rng.random_ratio(1, 12);
        let is_wide = self.rng.random_ratio(1, 4) && self.services.iter().any(|id| id == WIDE);
        let service_id = match (is_view, is_wide) {
            (true, _) if self.services.len() > 8 => GOV_UK.to_owned(),
            (_, true) => WIDE.to_owned(),
            _ => self.services.choose(&mut self.rng).expect("there are services").clone(),
        };
        let kind = if is_view { self.view() } else { self.transaction_or_rating() };
        let attributes = match self.next % 50 {
            0 => vec![v1::Attribute { name: "region".into(), value: "north".into() }],
            _ => Vec::new(),
        };
        let event_id = format!("{}-{}", self.run, self.next);
        v1::Event { event_id, service_id, occurred_at_ms: self.occurred_at_ms(), kind: Some(kind), attributes }
    }

    fn view(&mut self) -> Kind {
        let path = self.paths.choose(&mut self.rng).expect("there are paths").clone();
        Kind::PageView(v1::PageView { path, visitor_id: format!("v{}", self.rng.random_range(0..400)) })
    }

    fn transaction_or_rating(&mut self) -> Kind {
        if self.rng.random_ratio(1, 10) {
            let (rating, channel) = (self.rng.random_range(1..=5), self.rng.random_range(0..=7));
            return Kind::Satisfaction(v1::Satisfaction { rating, channel });
        }
        let stage = *[1, 1, 2, 2, 2, 3, 4].choose(&mut self.rng).expect("not empty");
        let has_reason = stage > 2 && self.rng.random_bool(0.8);
        Kind::Transaction(v1::TransactionStep {
            stage,
            channel: *[1, 1, 1, 2, 3, 4, 5, 6, 7].choose(&mut self.rng).expect("not empty"),
            step: if self.rng.random_ratio(1, 4) { self.rng.random_range(1..=20) } else { 0 },
            reason: if has_reason { self.rng.random_range(1..=8) } else { 0 },
            duration_ms: self.rng.random_bool(0.6).then(|| self.rng.random_range(0..4_000_000)),
            value_pence: self.rng.random_bool(0.3).then(|| self.rng.random_range(0..2_000_000)),
        })
    }

    fn occurred_at_ms(&mut self) -> i64 {
        let within = |rng: &mut StdRng, ms: i64| rng.random_range(0..ms);
        if self.oldest_ms <= HOUR_MS {
            return self.now_ms - within(&mut self.rng, self.oldest_ms);
        }
        let back = match self.rng.random_range(0..20) {
            0..8 => within(&mut self.rng, 55 * MINUTE_MS),
            8..12 => within(&mut self.rng, 20 * HOUR_MS),
            12..17 => within(&mut self.rng, self.oldest_ms),
            // The first and the last millisecond of a day, while London is on UTC, and of an hour always.
            17 => self.now_ms % DAY_MS + DAY_MS * self.rng.random_range(0..6),
            18 => self.now_ms % DAY_MS + DAY_MS * self.rng.random_range(0..6) + 1,
            _ => -within(&mut self.rng, 3 * MINUTE_MS),
        };
        self.now_ms - back
    }
}
