//! The Explorer's figures against `tests/golden/explorer.json`, which a script of its own counts from the files of `config/`.

use serde_json::Value as Json;
use views::services::Order;

use super::*;
use crate::stated::Stated;
use domain::source::ServiceNumber;
use domain::statement::{Amount, Source, Statement, Value};
use domain::time::Day;
use std::sync::Arc;
use views::explorer::Column;
use views::figures::{Context, Freshness, PipelineState, State};

const NOW: i64 = 1_795_530_720_000;

fn golden() -> Json {
    serde_json::from_str(include_str!("../../../../tests/golden/explorer.json")).expect("JSON of the script")
}

struct Setting {
    catalogue: Catalogue,
    stated: Stated,
}

impl Setting {
    fn new() -> Self {
        let catalogue = Catalogue::embedded();
        let stated = Stated::default();
        stated.set_published(&catalogue, NOW);
        Self { catalogue, stated }
    }

    fn with<T>(&self, asked: &Asked, make: impl FnOnce(&Explorer<'_>) -> T) -> T {
        let reading = self.stated.reading();
        let explorer = Explorer::new(&self.catalogue, &reading, &self.stated.metrics, asked).unwrap();
        make(&explorer)
    }
}

fn context() -> Context {
    Context {
        now_ms: NOW,
        today: Day::at(NOW),
        freshness: Freshness {
            wm_ms: None,
            state: State::Ok,
            pipeline: PipelineState::Ok,
            behind_ms: None,
            since_ms: None,
            reporting: None,
            silent: Vec::new(),
            silent_count: 0,
            incomplete: None,
        },
        simulated: true,
        open_government_data: true,
    }
}

fn assert_sums(name: &str, sums: &StatedSums, golden: &Json) {
    let n = |field: &str| golden[field].as_u64().unwrap_or(0);
    let some = |field: &str, with: &str| (n(with) > 0).then(|| n(field));
    assert_eq!(u64::from(sums.services), n("services"), "{name}");
    assert_eq!(u64::from(sums.with_volume), n("with_volume"), "{name}");
    assert_eq!(sums.volume, some("volume", "with_volume"), "{name}");
    assert_eq!(u64::from(sums.with_digital), n("with_digital"), "{name}");
    assert_eq!(
        (sums.digital, sums.digital_of),
        (some("digital", "with_digital"), some("digital_of", "with_digital")),
        "{name}"
    );
    assert_eq!(u64::from(sums.with_cost), n("with_cost"), "{name}");
    let cost = some("cost", "with_cost").map(|millionths| millionths as f64 / 1_000_000.0);
    assert_eq!(sums.total_cost, cost, "{name}");
    assert_eq!((u64::from(sums.provided), u64::from(sums.expected)), (n("provided"), n("expected")), "{name}");
    assert_eq!(u64::from(sums.older), n("older"), "{name}");
}

#[test]
fn sums_of_departments_and_coverage_are_those_of_an_independent_count() {
    let (setting, golden) = (Setting::new(), golden());
    for (list, to, owners) in [
        ("today", None, Owners::Today),
        ("then", None, Owners::Then),
        ("year_to_march_2014_today", Some("2014-03"), Owners::Today),
        ("year_to_march_2014_then", Some("2014-03"), Owners::Then),
    ] {
        let asked = Asked { to: to.map(str::to_owned), owners, ..Asked::default() };
        let departments = setting.with(&asked, |explorer| explorer.all_services(context())).departments;
        let expected = golden[list].as_object().unwrap();
        assert_eq!(departments.len(), expected.len(), "{list}");
        for row in &departments {
            let id = &row.department.id;
            assert_sums(&format!("{list}: {id}"), &row.sums, &expected[id]);
        }
    }
    let all = setting.with(&Asked::default(), |explorer| explorer.sums(explorer.services()));
    assert_sums("all", &all, &golden["all"]);
    assert_eq!(all.volume, Some(3_471_708_815));
}

#[test]
fn figures_of_services_their_change_owners_and_revisions_are_those_of_an_independent_count() {
    let (setting, golden) = (Setting::new(), golden());
    let (today, then) = (Asked::default(), Asked { owners: Owners::Then, ..Asked::default() });
    let services = golden["services"].as_array().unwrap();
    assert!(services.len() >= 50);
    for expected in services {
        let id = expected["id"].as_str().unwrap();
        let service = setting.catalogue.service_by_id(id).unwrap();
        let row = setting.with(&today, |explorer| explorer.row(service));
        assert_eq!(row.service.department.id, expected["department_today"], "{id}");
        let at_the_time = setting.with(&then, |explorer| explorer.row(service)).service.department.id;
        let page = setting.with(&today, |explorer| explorer.service(service));
        let revised = page.metrics.iter().flat_map(|metric| metric.years.iter().chain(&metric.quarters));
        assert_eq!(revised.filter(|window| !window.before.is_empty()).count() as u64, expected["revised"], "{id}");
        let latest = &expected["latest"];
        let Some(stated) = &row.stated else {
            assert!(latest.is_null(), "{id}");
            continue;
        };
        assert_eq!(Json::from(at_the_time), expected["department_then"], "{id}");
        assert_eq!(stated.period.until.to_string()[..7], *latest["until"].as_str().unwrap(), "{id}");
        assert_eq!(Json::from(stated.volume), latest["volume"], "{id}");
        assert_eq!(Json::from(stated.digital_volume), latest["digital"], "{id}");
        let cost = stated.cost_per_transaction.map(|pounds| (pounds * 1e6).round() as u64);
        assert_eq!(Json::from(cost), latest["cost"], "{id}");
        assert_eq!(stated.revised, latest["values_said"].as_u64() > Some(1), "{id}");
        let change = row.change.as_ref();
        let before = latest["before"].as_object();
        assert_eq!(change.is_some(), before.is_some(), "{id}");
        if let (Some(change), Some(before)) = (change, before) {
            assert_eq!(change.period.until.to_string()[..7], *before["until"].as_str().unwrap(), "{id}");
            assert_eq!(change.before, before["volume"].to_string(), "{id}");
            let (now, was) = (stated.volume as f64, before["volume"].as_f64().unwrap());
            let direction = if now > was {
                "up"
            } else if now < was {
                "down"
            } else {
                "same"
            };
            assert_eq!(change.direction, direction, "{id}");
            let percent = (was > 0.0).then(|| 100.0 * (now - was) / was);
            assert_eq!(change.percent.map(|p| (p * 1e6).round()), percent.map(|p| (p * 1e6).round()), "{id}");
        }
        let volume = page.metrics.iter().find(|metric| metric.metric == "volume").unwrap();
        assert_eq!(volume.latest.as_ref().unwrap().now.value, Some(stated.volume.to_string()), "{id}");
        assert_eq!(&volume.change, &row.change, "{id}: list and page");
    }
}

#[test]
fn counts_on_the_first_page_are_those_of_an_independent_count() {
    let (setting, golden) = (Setting::new(), golden());
    let counted = CountedLive { services: 0, total: views::figures::Live::default() };
    let home = setting.with(&Asked::default(), |explorer| explorer.home(context(), counted));
    assert_eq!(Json::from(home.high_volume), golden["high_volume"]);
    assert_eq!(
        (Json::from(home.statements), Json::from(home.revised)),
        (golden["values"].clone(), golden["revised"].clone())
    );
    assert_eq!(home.windows.len(), golden["windows"].as_array().unwrap().len());
    assert_eq!(home.largest[0].service.short_name, "Stamp Duty");
    let sum: u64 = home.map.tiles.iter().map(|tile| tile.volume).sum();
    assert_eq!(
        (Some(sum), Some(home.map.volume)),
        (home.sums.volume, home.sums.volume),
        "the tiles add up to the whole"
    );
    let services: u32 = home.map.tiles.iter().map(|tile| tile.services).sum();
    assert_eq!(services, home.sums.with_volume);
}

#[test]
fn empty_stands_last_both_ways_in_every_order() {
    let setting = Setting::new();
    for (word, sort) in Column::ALL {
        for order in [Order::Ascending, Order::Descending] {
            let asked = Asked { by: views::explorer::List::Services, sort, order, ..Asked::default() };
            let rows = setting.with(&asked, |explorer| explorer.all_services(context())).services;
            assert_eq!(rows.len(), 820);
            let has = |row: &ExplorerService| {
                let stated = row.stated.as_ref();
                match sort {
                    Column::Volume | Column::Window => stated.is_some(),
                    Column::TakeUp => stated.is_some_and(|s| s.digital_volume.is_some() && s.volume > 0),
                    Column::CostPerTransaction => stated.is_some_and(|s| s.cost_per_transaction.is_some()),
                    Column::TotalCost => stated.is_some_and(|s| s.total_cost.is_some()),
                    _ => true,
                }
            };
            let with = rows.iter().take_while(|row| has(row)).count();
            assert!(rows[with..].iter().all(|row| !has(row)), "{word} {order:?}");
            assert!(with > 0, "{word}");
        }
    }
}

#[test]
fn a_map_leads_on_to_every_service_of_a_department() {
    let setting = Setting::new();
    let mut seen = 0;
    for rest in 0..40 {
        let asked = Asked { department: Some("dft".into()), rest, ..Asked::default() };
        let map = setting.with(&asked, |explorer| explorer.treemap(context())).unwrap().map;
        seen += map.tiles.iter().filter(|tile| !tile.others).count();
        if map.tiles.iter().all(|tile| !tile.others) {
            break;
        }
    }
    assert_eq!(seen, 75);
    let asked = Asked { department: Some("nowhere".into()), ..Asked::default() };
    assert!(setting.with(&asked, |explorer| explorer.treemap(context())).is_none());
}

#[test]
fn a_search_forgives_an_error_and_looks_at_owners_abbreviations_and_kinds() {
    let setting = Setting::new();
    let found = |q: &str| {
        let asked = Asked { q: q.into(), sort: Column::Match, ..Asked::default() };
        setting.with(&asked, |explorer| explorer.search(context())).services
    };
    let names = |q: &str| found(q).into_iter().map(|row| row.service.name).collect::<Vec<_>>();
    assert!(names("pasport")[0].to_lowercase().contains("passport"));
    assert_eq!(found("DVLA").iter().filter(|row| row.agency.as_ref().is_some_and(|a| a.id == "dvla")).count(), 37);
    assert!(found("DECC").len() >= 53, "who owned it then");
    assert!(names("car tax")[0].to_lowercase().contains("vehicle tax"), "ours: {:?}", names("car tax").first());
    assert!(!found("booking events").is_empty(), "its kind");
    assert!(found("zzzzzz").is_empty() && found("").is_empty());
}

#[test]
fn what_was_not_requested_is_said_and_not_expected() {
    let catalogue = Catalogue::embedded();
    let stated = Stated::default();
    let source = Arc::new(Source {
        id: "s".into(),
        title: "a file".into(),
        published: Day(17_000),
        department: 1,
        closed_at_ms: 0,
        order: 0,
    });
    let window = |year| Window::months_until(Day::from_ymd(year, 4, 1), 12).unwrap();
    let say = |service, metric, year, value| Statement {
        service: ServiceNumber(service),
        metric,
        window: window(year),
        value,
        source: Arc::clone(&source),
    };
    let n = |n| Value::Provided(Amount::whole(n).unwrap());
    let book = Book::new(vec![
        say(1, MetricNumber::VOLUME, 2014, n(10)),
        say(1, MetricNumber::DIGITAL_VOLUME, 2014, Value::NotRequested),
        say(1, MetricNumber::COST, 2014, Value::NotApplicable),
        say(1, MetricNumber::VOLUME, 2015, Value::NotRequested),
        say(2, MetricNumber::VOLUME, 2015, n(7)),
    ]);
    stated.set(Reading { as_of_ms: Some(NOW), book: Arc::new(book), ..Reading::default() });
    let setting = Setting { catalogue, stated };
    let asked = Asked::default();
    let service = setting.catalogue.service(ServiceNumber(1)).unwrap();
    let row = setting.with(&asked, |explorer| explorer.row(service));
    let figures = row.stated.unwrap();
    assert_eq!(figures.digital_missing.as_deref(), Some("not requested"));
    assert_eq!(figures.cost_missing.as_deref(), Some("not applicable"));
    assert_eq!(row.after.as_deref(), Some("not requested"));
    let sums = setting.with(&asked, |explorer| explorer.sums(std::iter::once(service)));
    // Two windows, three metrics: two not requested, one not applicable, two never mentioned, one given.
    assert_eq!((sums.provided, sums.expected), (1, 3));
    let page = setting.with(&asked, |explorer| explorer.service(service));
    assert_eq!(page.metrics[0].after.as_deref(), Some("not requested"));
    assert_eq!(page.metrics[1].years[0].now.missing.as_deref(), Some("not requested"));
}
