use std::collections::{BTreeMap, BTreeSet};

use domain::catalogue::Catalogue;
use domain::event::{Body, Door, Event};
use domain::pages::Pages;
use domain::rules::Rules;
use domain::time::DAY_MS;

use super::*;
use crate::plan::Assumptions;

const NOW: i64 = 1_790_000_000_000;

fn plan() -> Plan {
    let catalogue = Catalogue::embedded();
    let lanes: Vec<u8> = catalogue.departments().iter().map(|department| department.number).collect();
    let window = Day::from_ymd(2014, 4, 1);
    let with = Assumptions { window, seed: 1, steps_volume_max: 5_000_000, page_views: true };
    Plan::new(&catalogue, &Pages::embedded(), &lanes, &with).unwrap()
}

fn draw(plan: Plan, seed: u64, run_id: &str) -> Draw {
    let run_id = run_id.to_owned();
    Draw::new(plan, Manner { seed, run_id, age_ms_max: 1_000, noted: 0.1, views_per_visit: 3.0 })
}

/// `n` events over all classes, each as often as it comes.
fn events(draw: &mut Draw, n: usize) -> Vec<v1::Event> {
    let classes: Vec<f64> = draw.plan().classes.iter().map(|class| class.per_second).collect();
    let choose = crate::alias::Alias::new(&classes).unwrap();
    let mut dice = Pcg64Mcg::seed_from_u64(9);
    (0..n).map(|_| draw.event(choose.draw(&mut dice), NOW, NOW + 10, 1.0).event).collect()
}

#[test]
fn the_same_seed_draws_the_same_events() {
    let plan = plan();
    let of = |seed, run_id: &str| events(&mut draw(plan.clone(), seed, run_id), 2_000);
    assert_eq!(of(1, "a"), of(1, "a"));
    assert_ne!(of(1, "a"), of(2, "a"));
}

#[test]
fn ids_are_unique_within_a_run_and_between_runs() {
    let plan = plan();
    let mut ids = BTreeSet::new();
    for run_id in ["a", "b"] {
        for event in events(&mut draw(plan.clone(), 1, run_id), 5_000) {
            assert!(ids.insert(event.event_id));
        }
    }
}

#[test]
fn every_event_passes_the_door_of_its_own_department() {
    let (catalogue, pages) = (Catalogue::embedded(), Pages::embedded());
    let rules = Rules {
        version: 1,
        future_ms: 300_000,
        late_ms: 7 * DAY_MS,
        window_ms: 8 * DAY_MS,
        partitions: 12,
        wide_spread: 12,
        wide_services: vec![],
        keep_minute_days: 9,
        keep_hour_days: 396,
    };
    let service = |id: &str| catalogue.service_by_id(id).map(|service| (service.number, service.department));
    let page = |path: &str| pages.number(path);
    let mut draw = draw(plan(), 1, "run");
    let mut kinds = BTreeMap::new();
    for at in 0..30_000_usize {
        let class = at % draw.plan().classes.len();
        let Drawn { lane, event } = draw.event(class, NOW, NOW + 10, 1.0);
        let department = catalogue.departments()[lane].number;
        let door = Door {
            service: &service,
            page: &page,
            department,
            rules: &rules,
            now_ms: NOW,
            path: domain::event::Path::Live,
        };
        let parsed: Event = proto::parse_event(&event, &door).unwrap_or_else(|reject| panic!("{reject}: {event:?}"));
        let kind = match parsed.body {
            Body::Transaction(t) if t.step.is_some() => "step",
            Body::Transaction(_) => "transaction",
            Body::Rating(_) => "rating",
            Body::PageView(_) => "page",
            Body::Retraction => "retraction",
        };
        *kinds.entry(kind).or_insert(0_u32) += 1;
    }
    assert_eq!(kinds.len(), 4, "{kinds:?}");
}

#[test]
fn shares_of_services_converge_to_the_published_ones() {
    let catalogue = Catalogue::embedded();
    let mut draw = draw(plan(), 5, "run");
    let mut completed: BTreeMap<String, f64> = BTreeMap::new();
    let mut digital = 0.0;
    let mut all = 0.0;
    for event in events(&mut draw, 1_000_000) {
        let Some(v1::event::Kind::Transaction(t)) = event.kind else { continue };
        if t.stage == 2 && t.step == 0 {
            all += 1.0;
            digital += if event.service_id == "dft-tax-a-vehicle" && t.channel <= 3 { 1.0 } else { 0.0 };
            *completed.entry(event.service_id).or_default() += 1.0;
        }
    }
    for (id, volume) in [
        ("hmrc-stamp-duty-reserve-tax", 394_512_397.0),
        ("hmrc-pay-as-you-earn-paye", 380_678_501.0),
        ("dft-tax-a-vehicle", 45_969_118.0),
        ("home-office-passport-applications", 5_658_238.0),
    ] {
        let expected = all * volume / 1_556_593_308.0;
        let drawn = completed[id];
        assert!((drawn - expected).abs() < 5.0 * expected.sqrt(), "{id}: {drawn} of {expected}");
    }
    let tax = catalogue.service_by_id("dft-tax-a-vehicle").unwrap().volume(Day::from_ymd(2014, 4, 1)).unwrap();
    let take_up = tax.digital_volume.unwrap() as f64 / tax.volume.unwrap() as f64;
    let drawn = digital / completed["dft-tax-a-vehicle"];
    assert!((drawn - take_up).abs() < 0.02, "{drawn} of {take_up}");
}

#[test]
fn durations_lie_around_their_median_and_prices_are_paid_on_completion_only() {
    let plan = plan();
    let actor = plan.actors.iter().find(|actor| actor.id == "home-office-passport-applications").unwrap().clone();
    let mut draw = draw(plan, 1, "run");
    let (mut below, mut above) = (0, 0);
    for event in events(&mut draw, 400_000) {
        let Some(v1::event::Kind::Transaction(t)) = event.kind else { continue };
        let is_end = t.stage == 2;
        assert!(is_end || (t.duration_ms.is_none() && t.value_pence.is_none()));
        if event.service_id == actor.id && is_end && t.step == 0 && t.channel == 1 {
            let below_median = (t.duration_ms.unwrap() as f64) < actor.duration.median;
            *(if below_median { &mut below } else { &mut above }) += 1;
        }
    }
    let n = f64::from(below + above);
    assert!(n > 50.0 && (f64::from(below) - n / 2.0).abs() < 5.0 * (n / 4.0).sqrt(), "{below} {above}");
}

#[test]
fn visitors_are_pseudonyms_of_the_day_and_see_several_pages() {
    let plan = plan();
    let mut draw = draw(plan, 1, "run");
    let mut visitors: BTreeMap<String, u32> = BTreeMap::new();
    let mut views = 0_u32;
    for event in events(&mut draw, 10_000) {
        if let Some(v1::event::Kind::PageView(view)) = event.kind {
            views += 1;
            *visitors.entry(view.visitor_id).or_default() += 1;
        }
    }
    let mean = f64::from(views) / visitors.len() as f64;
    assert!(views > 500 && mean > 1.2, "{views} views of {} visitors", visitors.len());
    let tomorrow = NOW + DAY_MS;
    let site = draw
        .plan()
        .classes
        .iter()
        .position(|c| c.templates.iter().any(|t| t.begins == Begins::Single(What::PageView)))
        .unwrap();
    for _ in 0..20_000 {
        let Drawn { event, .. } = draw.event(site, tomorrow, tomorrow + 10, 1.0);
        if let Some(v1::event::Kind::PageView(view)) = event.kind {
            assert!(!visitors.contains_key(&view.visitor_id), "a pseudonym outlived its day");
        }
    }
}
