//! Draws events: which, when, how long, for how much.
//!
//! Invariant: a pure function of the plan, the seed, the names it was given and the times it is asked for; no two
//! events of one run, or of two runs with different names, have the same id.

use std::collections::VecDeque;
use std::fmt::Write as _;

use domain::time::Day;
use domain::vocabulary::{Channel, Stage};
use proto::v1;
use rand::{Rng, SeedableRng};
use rand_distr::{Distribution as _, StandardNormal};
use rand_pcg::Pcg64Mcg;

use crate::character::{LogNormal, Price};
use crate::journey::What;
use crate::plan::{Actor, Begins, Plan, Template};

/// How events are drawn.
#[derive(Debug, Clone)]
pub struct Manner {
    /// Seed of the draws.
    pub seed: u64,
    /// Name of the run: first part of every event id.
    pub run_id: String,
    /// Events reach the collector up to this long after they happened, milliseconds.
    pub age_ms_max: i64,
    /// Share of events with a note.
    pub noted: f64,
    /// Views a visitor makes within five minutes, in the mean.
    pub views_per_visit: f64,
}

/// An event and the lane of the department that sends it.
#[derive(Debug, Clone)]
pub struct Drawn {
    /// Index of the department.
    pub lane: usize,
    /// The event.
    pub event: v1::Event,
}

/// Draws events of one run.
#[derive(Debug)]
pub struct Draw {
    plan: Plan,
    manner: Manner,
    rng: Pcg64Mcg,
    /// What is left of a journey that has begun, by class.
    begun: Vec<Begun>,
    drawn: u64,
}

#[derive(Debug, Clone, Default)]
struct Begun {
    actor: u16,
    left: VecDeque<What>,
    /// When its last event happened, unix milliseconds.
    last_ms: i64,
}

const VISIT_MS: i64 = 300_000;
const REGIONS: [&str; 6] = ["england", "scotland", "wales", "northern_ireland", "crown_dependency", "abroad"];
/// The longest duration that the contract takes.
const DURATION_MS_MAX: f64 = 30.0 * 86_400_000.0;

impl Draw {
    /// Begins with the first event of the run.
    #[must_use]
    pub fn new(plan: Plan, manner: Manner) -> Self {
        let rng = Pcg64Mcg::seed_from_u64(manner.seed);
        let begun = vec![Begun::default(); plan.classes.len()];
        Self { plan, manner, rng, begun, drawn: 0 }
    }

    /// What the events are drawn from.
    #[must_use]
    pub const fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The next event of a class, which happened in the milliseconds from `from_ms` up to `until_ms` or a little
    /// before, as far as senders are late. `site_scale` says how much busier than published the site is. The events of
    /// a journey follow each other.
    pub fn event(&mut self, class: usize, from_ms: i64, until_ms: i64, site_scale: f64) -> Drawn {
        let (actor, what, happened_ms) = self.next(class, from_ms, until_ms);
        let (rng, actor) = (&mut self.rng, &self.plan.actors[usize::from(actor)]);
        let late_ms = if self.manner.age_ms_max > 0 { rng.random_range(0..=self.manner.age_ms_max) } else { 0 };
        let occurred_at_ms = happened_ms - late_ms;
        let kind = match what {
            What::Step { stage, channel, step, reason } => {
                let is_end = stage == Stage::Completed;
                v1::event::Kind::Transaction(v1::TransactionStep {
                    stage: i32::from(stage.number()),
                    channel: i32::from(channel.number()),
                    step: step.into(),
                    reason: reason.map_or(0, |reason| i32::from(reason.number())),
                    duration_ms: if is_end { duration_ms(actor, channel, step, rng) } else { None },
                    value_pence: if is_end && step == 0 { value_pence(actor, rng) } else { None },
                })
            }
            What::Rating(channel) => v1::event::Kind::Satisfaction(v1::Satisfaction {
                rating: actor.ratings.draw(rng) as u32 + 1,
                channel: channel.map_or(0, |channel| i32::from(channel.number())),
            }),
            What::PageView => {
                let per_visit = self.plan.site.per_second * site_scale * VISIT_MS as f64 / 1_000.0;
                let visitors = (per_visit / self.manner.views_per_visit).max(1.0) as u64;
                page_view(&self.plan, occurred_at_ms, visitors, rng)
            }
        };
        let noted = self.manner.noted > 0.0 && rng.random_bool(self.manner.noted);
        let attributes = if noted { vec![note(rng)] } else { Vec::new() };
        self.drawn += 1;
        let event_id = event_id(&self.manner.run_id, self.drawn);
        let event = v1::Event { event_id, service_id: actor.id.clone(), occurred_at_ms, kind: Some(kind), attributes };
        Drawn { lane: actor.lane, event }
    }

    /// Whose event of a class comes next, what it says and when it happened: of the journey that has begun, or a new one.
    fn next(&mut self, class: usize, from_ms: i64, until_ms: i64) -> (u16, What, i64) {
        let (rng, begun, class) = (&mut self.rng, &mut self.begun[class], &self.plan.classes[class]);
        let happened_ms = if until_ms > from_ms { rng.random_range(from_ms..until_ms) } else { from_ms };
        if let Some(what) = begun.left.pop_front() {
            begun.last_ms = begun.last_ms.max(happened_ms);
            return (begun.actor, what, begun.last_ms);
        }
        let Template { actor, begins } = class.templates[class.alias.draw(rng)];
        let what = match begins {
            Begins::Single(what) => what,
            Begins::Journey(channel) => {
                let journey = &self.plan.actors[usize::from(actor)].journey;
                journey.walk(channel, rng, |what| begun.left.push_back(what));
                (begun.actor, begun.last_ms) = (actor, happened_ms);
                begun.left.pop_front().expect("a journey has a start")
            }
        };
        (actor, what, happened_ms)
    }
}

fn event_id(run_id: &str, number: u64) -> String {
    let mut id = String::with_capacity(run_id.len() + 12);
    id.push_str(run_id);
    write!(id, "-{number}").expect("a string takes all");
    id
}

fn log_normal(of: LogNormal, rng: &mut impl Rng) -> f64 {
    let normal: f64 = StandardNormal.sample(rng);
    of.median * (of.sigma * normal).exp()
}

fn duration_ms(actor: &Actor, channel: Channel, step: u8, rng: &mut impl Rng) -> Option<u64> {
    let online = actor.duration;
    let of = match channel {
        Channel::Digital if step > 0 => LogNormal { median: online.median / f64::from(actor.steps), ..online },
        Channel::Digital => online,
        Channel::AssistedDigital => LogNormal { median: online.median * 1.6, ..online },
        Channel::Api => LogNormal { median: online.median / 400.0, ..online },
        Channel::Phone => LogNormal { median: online.median * 1.3, ..online },
        Channel::FaceToFace => LogNormal { median: online.median * 1.8, ..online },
        Channel::Post => LogNormal { median: online.median * 1_000.0, ..online },
        Channel::Other => return None,
    };
    Some(log_normal(of, rng).clamp(1.0, DURATION_MS_MAX) as u64)
}

fn value_pence(actor: &Actor, rng: &mut impl Rng) -> Option<u64> {
    match actor.price {
        Price::Free => None,
        Price::Fixed(pence) => Some(pence),
        Price::Varies(of) => Some(log_normal(of, rng).clamp(1.0, 1e9) as u64),
    }
}

/// A visitor is one of as many as come within five minutes, under the pseudonym of the day.
fn page_view(plan: &Plan, occurred_at_ms: i64, visitors: u64, rng: &mut impl Rng) -> v1::event::Kind {
    let at = plan.site.alias.draw(rng);
    let path = match &plan.site.paths[at] {
        Some(path) => path.clone(),
        None => format!("/simulated/page-{}", rng.random_range(1..=6_956)),
    };
    let day = Day::at(occurred_at_ms).0;
    let visit = occurred_at_ms.div_euclid(VISIT_MS) % 288;
    let visitor_id = format!("{day:x}-{visit:x}-{:x}", rng.random_range(0..visitors));
    v1::event::Kind::PageView(v1::PageView { path, visitor_id })
}

fn note(rng: &mut impl Rng) -> v1::Attribute {
    let value = REGIONS[rng.random_range(0..REGIONS.len())];
    v1::Attribute { name: "region".into(), value: value.into() }
}

#[cfg(test)]
mod tests;
