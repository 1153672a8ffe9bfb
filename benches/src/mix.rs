//! Realistic events: the simulator's, with the real volumes' skew, as departments send them and as records.

use domain::catalogue::Catalogue;
use domain::event::{Body, Door, Event};
use domain::pages::Pages;
use domain::rules::Rules;
use domain::source::partition_of;
use proto::{Stamp, encode_record, parse_event, v1};
use rand::SeedableRng as _;
use rand_pcg::Pcg64Mcg;
use simulator::alias::Alias;
use simulator::draw::{Draw, Drawn, Manner};
use simulator::tokens::Lane;

/// Draws events and turns them into records.
pub struct Mix {
    draw: Draw,
    classes: Alias,
    dice: Pcg64Mcg,
    catalogue: Catalogue,
    pages: Pages,
    rules: Rules,
    epoch: u16,
}

/// A record of the events topic.
#[derive(Debug, Clone)]
pub struct Placed {
    /// The partition that its id demands.
    pub partition: u16,
    /// As it is written.
    pub event: Event,
}

impl Mix {
    /// All departments, the volumes of the year to March 2014. `run` is the first part of every id; page views are a
    /// tenth of the events if they are wanted.
    ///
    /// # Panics
    /// When the files of the repository do not fit together.
    #[must_use]
    pub fn new(seed: u64, run: &str, page_views: bool) -> Self {
        let catalogue = Catalogue::embedded();
        let number = |id: &str| catalogue.service_by_id(id).map(|service| service.number);
        let (epoch, rules) = runtime::rules::load(None, number).expect("the rules of the repository");
        let mut config = simulator::Config::load(None).expect("the simulator's defaults");
        config.events.page_views = page_views;
        let lanes: Vec<Lane> = lanes(&catalogue);
        let plan = simulator::plan(&config, &catalogue, &lanes).expect("services have volumes");
        let weights: Vec<f64> = plan.classes.iter().map(|class| class.per_second).collect();
        let manner = Manner { seed, run_id: run.to_owned(), age_ms_max: 1_500, noted: 0.02, views_per_visit: 3.0 };
        Self {
            draw: Draw::new(plan, manner),
            classes: Alias::new(&weights).expect("something happens"),
            dice: Pcg64Mcg::seed_from_u64(seed),
            catalogue,
            pages: Pages::embedded(),
            rules,
            epoch,
        }
    }

    /// The rules of the repository.
    #[must_use]
    pub const fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Generation of the topic in the rules.
    #[must_use]
    pub const fn epoch(&self) -> u16 {
        self.epoch
    }

    /// The id of a public service of which no event is ever drawn, and the place of its department.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn quiet_service(&self) -> (String, usize) {
        let draws = |id: &str| self.draw.plan().actors.iter().any(|actor| actor.id == id);
        let is_quiet = |service: &&domain::catalogue::Service| service.number.is_public() && !draws(&service.id);
        let found = self.catalogue.services().iter().find(is_quiet).expect("some services have no volume");
        let lane = lanes(&self.catalogue).iter().position(|lane| lane.department == found.department);
        (found.id.clone(), lane.expect("its department is in the catalogue"))
    }

    /// An event that happened between two instants (unix milliseconds), as a department sends it. The lane is the
    /// department's place in the catalogue.
    pub fn drawn(&mut self, from_ms: i64, until_ms: i64) -> Drawn {
        let class = self.classes.draw(&mut self.dice);
        self.draw.event(class, from_ms, until_ms, 100.0)
    }

    /// The same as the collector places it.
    pub fn placed(&mut self, from_ms: i64, until_ms: i64) -> Placed {
        let event = self.drawn(from_ms, until_ms).event;
        self.place(&event)
    }

    /// An event as the collector sees it.
    ///
    /// # Panics
    /// When it breaks a rule.
    #[must_use]
    pub fn place(&self, event: &v1::Event) -> Placed {
        let service = |id: &str| self.catalogue.service_by_id(id).map(|found| (found.number, found.department));
        let department = service(&event.service_id).expect("a service of the catalogue").1;
        let page = |path: &str| self.pages.number(path);
        let (rules, now_ms) = (&self.rules, event.occurred_at_ms);
        let door = Door { service: &service, page: &page, department, rules, now_ms, path: domain::event::Path::Live };
        let event = parse_event(event, &door).expect("the simulator keeps to the contract");
        let spread = rules.spread(event.service);
        Placed { partition: partition_of(event.service, event.id, spread, rules.partitions), event }
    }

    /// The record of an event, received 20 ms after it happened.
    #[must_use]
    pub fn record(&self, event: Event) -> Vec<u8> {
        let received_at_ms = event.occurred_at_ms + 20;
        encode_record(event, Stamp { epoch: self.epoch, boot: 1, received_at_ms })
    }
}

/// Every department with a token made of its id.
#[must_use]
pub fn lanes(catalogue: &Catalogue) -> Vec<Lane> {
    let lane = |department: &domain::catalogue::Department| Lane {
        department: department.number,
        id: department.id.clone(),
        token: format!("token-of-{}", department.id),
    };
    catalogue.departments().iter().map(lane).collect()
}

/// Whether it is one completed transaction in the totals of its service.
#[must_use]
pub fn is_completed(event: &Event) -> bool {
    matches!(&event.body, Body::Transaction(t) if t.is_total() && t.stage == domain::vocabulary::Stage::Completed)
}
