//! Everything that can happen, with how often it does: from the catalogue's yearly volumes to tables for drawing.
//!
//! Invariant: completed transactions of a service come to its published volume a year; everything else (starts,
//! failures, steps, ratings) follows from them by the service's character, page views from the published week.

use std::collections::BTreeMap;

use domain::catalogue::{Catalogue, GOV_UK, Service};
use domain::pages::Pages;
use domain::source::ServiceNumber;
use domain::time::Day;
use domain::vocabulary::{Channel, Stage};

use crate::alias::Alias;
use crate::character::{Character, LogNormal, Price};
use crate::journey::{Journey, What};
use crate::shape::Kind;

/// What to plan with.
#[derive(Debug, Clone, Copy)]
pub struct Assumptions {
    /// The first day after the twelve months whose volumes are taken.
    pub window: Day,
    /// Seed of what was never published.
    pub seed: u64,
    /// Larger services report no steps.
    pub steps_volume_max: u64,
    /// Whether page views of the site are sent too.
    pub page_views: bool,
}

/// A service that sends.
#[derive(Debug, Clone)]
pub struct Actor {
    /// Its number.
    pub number: ServiceNumber,
    /// Its id.
    pub id: String,
    /// Index of its department among those that send.
    pub lane: usize,
    /// How long users take online, milliseconds.
    pub duration: LogNormal,
    /// Steps on the way, if it reports any.
    pub steps: u8,
    /// How users go through it online.
    pub journey: Journey,
    /// What a user pays.
    pub price: Price,
    /// For drawing the rating less 1.
    pub ratings: Alias,
}

/// What one draw begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begins {
    /// All events of one user online, from start to end.
    Journey(Channel),
    /// One event.
    Single(What),
}

/// Something that can happen to a service.
#[derive(Debug, Clone, Copy)]
pub struct Template {
    /// Index of the actor.
    pub actor: u16,
    /// What happens.
    pub begins: Begins,
}

/// All that happens by one shape of the week.
#[derive(Debug, Clone)]
pub struct Class {
    /// Its shape.
    pub shape: Kind,
    /// Events a second in the mean of a week, at the published volumes.
    pub per_second: f64,
    /// Everything that can happen.
    pub templates: Vec<Template>,
    /// How often each begins, a second in the mean of a week, at the published volumes.
    pub weights: Vec<f64>,
    /// For drawing one of them.
    pub alias: Alias,
}

/// The pages of the site.
#[derive(Debug, Clone)]
pub struct Site {
    /// Their paths; `None` stands for every page that is not a known one.
    pub paths: Vec<Option<String>>,
    /// For drawing one of them.
    pub alias: Alias,
    /// Views a second in the mean of a week, as published.
    pub per_second: f64,
}

/// Everything that can happen.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Services that send.
    pub actors: Vec<Actor>,
    /// By shape.
    pub classes: Vec<Class>,
    /// The pages.
    pub site: Site,
    /// Completed transactions a second in the mean of a year, at the published volumes.
    pub completed_per_second: f64,
}

impl Plan {
    /// Plans for the departments (numbers) that send, in the order of their lanes; `None` if nothing could happen.
    #[must_use]
    pub fn new(catalogue: &Catalogue, pages: &Pages, lanes: &[u8], with: &Assumptions) -> Option<Self> {
        let site = site(pages)?;
        let year_seconds = f64::from(with.window.0 - a_year_before(with.window).0) * 86_400.0;
        let mut draft = Draft::default();
        let mut completed_per_second = 0.0;
        for service in catalogue.services() {
            let Some(lane) = lanes.iter().position(|department| *department == service.department) else { continue };
            let volume = service.volume(with.window).and_then(|volume| volume.volume).unwrap_or(0);
            let is_site = service.id == GOV_UK && with.page_views;
            if volume == 0 && !is_site {
                continue;
            }
            let character = Character::of(service, with.window, volume, with.steps_volume_max, with.seed);
            let actor = draft.actor(service, lane, &character)?;
            let per_second = volume as f64 / year_seconds;
            completed_per_second += per_second;
            draft.transactions(actor, &character, per_second);
            if is_site {
                draft.add(Kind::Online, actor, Begins::Single(What::PageView), site.per_second);
            }
        }
        let classes =
            draft.happenings.into_iter().filter_map(|(shape, happenings)| class(shape, &happenings, &draft.actors));
        let classes: Vec<Class> = classes.collect();
        (!classes.is_empty()).then_some(Self { actors: draft.actors, classes, site, completed_per_second })
    }

    /// Events of all kinds a second in the mean of a week, at the published volumes.
    #[must_use]
    pub fn events_per_second(&self) -> f64 {
        self.classes.iter().map(|class| class.per_second).sum()
    }
}

fn a_year_before(day: Day) -> Day {
    let (year, month, of_month) = day.ymd();
    Day::from_ymd(year - 1, month, of_month)
}

fn class(shape: Kind, happenings: &[(Template, f64)], actors: &[Actor]) -> Option<Class> {
    let weights: Vec<f64> = happenings.iter().map(|(_, weight)| *weight).collect();
    let templates = happenings.iter().map(|(template, _)| *template).collect();
    let events = |(template, weight): &(Template, f64)| match template.begins {
        Begins::Journey(_) => weight * actors[usize::from(template.actor)].journey.events_mean(),
        Begins::Single(_) => *weight,
    };
    let per_second = happenings.iter().map(events).sum();
    Some(Class { shape, per_second, templates, alias: Alias::new(&weights)?, weights })
}

fn site(pages: &Pages) -> Option<Site> {
    let mut paths: Vec<Option<String>> = vec![None];
    let mut weights = vec![pages.other_entries() as f64];
    for page in pages.all() {
        paths.push(Some(page.path.clone()));
        weights.push(page.entries as f64);
    }
    let per_second = weights.iter().sum::<f64>() / (7.0 * 86_400.0);
    Some(Site { paths, alias: Alias::new(&weights)?, per_second })
}

#[derive(Default)]
struct Draft {
    actors: Vec<Actor>,
    happenings: BTreeMap<Kind, Vec<(Template, f64)>>,
}

impl Draft {
    fn actor(&mut self, service: &Service, lane: usize, character: &Character) -> Option<u16> {
        self.actors.push(Actor {
            number: service.number,
            id: service.id.clone(),
            lane,
            duration: character.duration,
            steps: character.steps,
            journey: Journey::of(character)?,
            price: character.price,
            ratings: Alias::new(&character.ratings)?,
        });
        u16::try_from(self.actors.len() - 1).ok()
    }

    fn add(&mut self, shape: Kind, actor: u16, begins: Begins, per_second: f64) {
        if per_second > 0.0 {
            self.happenings.entry(shape).or_default().push((Template { actor, begins }, per_second));
        }
    }

    fn transactions(&mut self, actor: u16, character: &Character, per_second: f64) {
        let mut online = 0.0;
        for &(channel, share) in &character.channels {
            let completed = per_second * share;
            let shape = shape_of(channel);
            let failed = match shape {
                Kind::Online => {
                    online += completed;
                    self.add(shape, actor, Begins::Journey(channel), completed / character.completion);
                    continue;
                }
                Kind::Machine => completed * character.failed_by_api,
                Kind::Office => completed * character.failed_by_office,
            };
            let what = |stage, reason| Begins::Single(What::Step { stage, channel, step: 0, reason });
            self.add(shape, actor, what(Stage::Completed, None), completed);
            let sum: f64 = character.reasons.iter().map(|(_, weight)| weight).sum();
            for &(reason, weight) in &character.reasons {
                self.add(shape, actor, what(Stage::Failed, Some(reason)), failed * weight / sum);
            }
        }
        let rated = online * character.rated;
        self.add(Kind::Online, actor, Begins::Single(What::Rating(Some(Channel::Digital))), rated * 0.8);
        self.add(Kind::Online, actor, Begins::Single(What::Rating(None)), rated * 0.2);
    }
}

fn shape_of(channel: Channel) -> Kind {
    match channel {
        Channel::Digital | Channel::AssistedDigital => Kind::Online,
        Channel::Api => Kind::Machine,
        Channel::Phone | Channel::Post | Channel::FaceToFace | Channel::Other => Kind::Office,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WITH: Assumptions =
        Assumptions { window: Day::from_ymd(2014, 4, 1), seed: 1, steps_volume_max: 5_000_000, page_views: true };

    fn all_lanes(catalogue: &Catalogue) -> Vec<u8> {
        catalogue.departments().iter().map(|department| department.number).collect()
    }

    fn plan() -> Plan {
        let catalogue = Catalogue::embedded();
        Plan::new(&catalogue, &Pages::embedded(), &all_lanes(&catalogue), &WITH).unwrap()
    }

    /// How often those templates begin, a second, for which the answer is yes; a journey as its completion.
    fn per_second(plan: &Plan, ask: impl Fn(&Actor, What) -> bool) -> f64 {
        let all = plan.classes.iter().flat_map(|class| class.templates.iter().zip(&class.weights));
        let asked = |(t, weight): (&Template, &f64)| {
            let actor = &plan.actors[usize::from(t.actor)];
            let (what, weight) = match t.begins {
                Begins::Journey(channel) => (completed(channel), weight * actor.journey.completion()),
                Begins::Single(what) => (what, *weight),
            };
            ask(actor, what).then_some(weight)
        };
        all.filter_map(asked).sum()
    }

    fn completed(channel: Channel) -> What {
        What::Step { stage: Stage::Completed, channel, step: 0, reason: None }
    }

    fn is_completed(what: What) -> bool {
        matches!(what, What::Step { stage: Stage::Completed, step: 0, .. })
    }

    #[test]
    fn completed_transactions_come_to_the_published_year() {
        let plan = plan();
        let completed = per_second(&plan, |_, what| is_completed(what));
        assert!((completed * 365.0 * 86_400.0 - 1_556_593_308.0).abs() < 1.0, "{completed}");
        assert!((completed - plan.completed_per_second).abs() < 1e-9);
    }

    #[test]
    fn each_service_completes_its_published_volume() {
        let (plan, catalogue) = (plan(), Catalogue::embedded());
        for actor in &plan.actors {
            let is_own = |other: &Actor, what| other.number == actor.number && is_completed(what);
            let volume = catalogue.service(actor.number).unwrap().volume(WITH.window).and_then(|v| v.volume);
            let year = per_second(&plan, is_own) * 365.0 * 86_400.0;
            assert!((year - volume.unwrap_or(0) as f64).abs() < 1e-3, "{}: {year}", actor.id);
        }
        assert_eq!(plan.actors.len(), 659, "680 with a figure, 22 of them 0, and the site");
    }

    #[test]
    fn departments_without_a_lane_send_nothing() {
        let catalogue = Catalogue::embedded();
        let hmrc = catalogue.department_by_id("hmrc").unwrap().number;
        let plan = Plan::new(&catalogue, &Pages::embedded(), &[hmrc], &WITH).unwrap();
        assert!(plan.actors.iter().all(|actor| actor.id.starts_with("hmrc-") && actor.lane == 0));
        assert!(Plan::new(&catalogue, &Pages::embedded(), &[], &WITH).is_none());
    }

    #[test]
    fn page_views_come_to_the_published_week() {
        let views = per_second(&plan(), |actor, what| actor.id == GOV_UK && what == What::PageView);
        assert!((views * 7.0 * 86_400.0 - 7_203_410.0).abs() < 1e-3);
    }
}
