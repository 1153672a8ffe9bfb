//! GOV.UK performance: page, API, socket and SQL say the same, and it is the truth within the stated error.

use std::collections::{BTreeMap, BTreeSet};

use domain::pages::Pages;
use domain::time::Period;
use domain::visitors::Registers;
use proto::v1::{self, event::Kind};
use runtime::clock::now_ms;
use tests::get::{get, json};
use tests::sender::Senders;
use tests::shared::Shared;
use tests::stack::Stack;
use tests::truth::{Truth, Views};
use tests::until::{PATIENCE, until};
use tests::viewer::Viewer;

use crate::suite::Test;

pub(crate) fn tests() -> Vec<Test> {
    vec![Test::new("govuk::page_api_socket_and_store_equal_the_truth", everywhere_the_same)]
}

const VIEWS: u32 = 6_000;
const VISITORS: u32 = 1_500;

/// Views of the last three minutes: each visitor sees some of a few known pages and one that is not known.
fn views(paths: &[String]) -> Vec<v1::Event> {
    let now = now_ms();
    (0..VIEWS)
        .map(|n| {
            let path = if n % 9 == 0 { "/nobody-knows-this".to_owned() } else { paths[(n % 7) as usize].clone() };
            let view = v1::PageView { path, visitor_id: format!("visitor-{}", n * 7 % VISITORS) };
            v1::Event {
                event_id: format!("view-{n}"),
                service_id: "gov-uk".into(),
                occurred_at_ms: now - i64::from(n % 170) * 1_000,
                kind: Some(Kind::PageView(view)),
                attributes: Vec::new(),
            }
        })
        .collect()
}

/// The estimate of the truth's registers.
fn estimate(views: &Views) -> i64 {
    let mut registers = Registers::default();
    for (register, rank) in &views.registers {
        registers.raise(*register, *rank);
    }
    registers.estimate().round() as i64
}

fn everywhere_the_same(shared: &Shared) {
    let stack = Stack::new(shared, "govuk");
    stack.provision();
    let (collector, _aggregator, gateway) = (stack.collector(), stack.aggregator(1), stack.gateway());
    let senders = Senders::new(&stack, collector.grpc());
    let pages = Pages::embedded();
    let paths: Vec<_> = pages.all().iter().step_by(99).take(7).map(|page| page.path.clone()).collect();
    let events = views(&paths);
    let viewer = Viewer::connect(gateway.http(), &["govuk"]);
    senders.send_all(&events, PATIENCE);
    let mut truth = Truth::default();
    truth.take(&events);
    let site = truth.number("gov-uk");
    let (day, today) = truth.day(now_ms());
    let of_today = &truth.figures(Period::Day).pages[&(day, site, 0)];
    let (wanted, period) = (estimate(of_today), format!("d:{today}"));
    // The estimate is what it claims to be: within three standard errors of the exact number of visitors of the day.
    let exact: BTreeSet<_> = events
        .iter()
        .filter(|event| truth.day(event.occurred_at_ms).0 == day)
        .filter_map(|event| match &event.kind {
            Some(Kind::PageView(view)) => Some(view.visitor_id.clone()),
            _ => None,
        })
        .collect();
    let error = (wanted - exact.len() as i64).abs() as f64 / exact.len() as f64;
    assert!(error < 0.048, "{wanted} estimated of {}", exact.len());
    let number = |value: &serde_json::Value| value.as_i64().unwrap_or(-1);
    until("API, page and socket show the visitors of today", PATIENCE, || {
        let api = json(gateway.http(), "/api/v1/govuk")?;
        let (_, page) = get(gateway.http(), "/govuk");
        let fold = viewer.fold("govuk");
        let socket = |key: &str| fold.values.get(&(key.to_owned(), period.clone())).copied();
        let found = (number(&api["visitors_today"]), socket("visitors"), number(&api["views_today"]), socket("views"));
        let want = (wanted, Some(wanted), of_today.views, Some(of_today.views));
        let is_on_page = page.contains(&format!("data-figure=\"visitors/today\" data-value=\"{wanted}\""));
        if found == want && is_on_page { Ok(()) } else { Err(format!("{found:?} {is_on_page}, wanted {want:?}")) }
    });
    // SQL by the same registers, merged in the store, which may be a flush behind the screens.
    until("the store shows them too", PATIENCE, || {
        let registers = stack.sql().rows::<(u16, u8)>(&format!(
            "SELECT register, rank FROM (SELECT maxMap(registers) AS merged FROM {{figures}}.page_day WHERE service = {site} \
             AND page = 0 AND d = toDate({day})) ARRAY JOIN mapKeys(merged) AS register, mapValues(merged) AS rank"
        ));
        let found = estimate(&Views { views: 0, registers: registers.into_iter().collect() });
        if found == wanted { Ok(()) } else { Err(format!("{found}, wanted {wanted}")) }
    });
    now(&truth, site, gateway.http(), &viewer);
    lists(&truth, site, day, gateway.http(), &pages);
    history(&truth, site, day, gateway.http(), &pages, &paths[0]);
}

/// Visitors of five minutes: the figure of the API is that of the socket for the same minute, and that of the truth.
fn now(truth: &Truth, site: u16, gateway: std::net::SocketAddr, viewer: &Viewer) {
    until("visitors now are the same everywhere", PATIENCE, || {
        let api = json(gateway, "/api/v1/govuk")?;
        let until_s = api["now_until_s"].as_i64().ok_or("no end")?;
        let midnight = truth.day(until_s * 1_000 - 1).0;
        let mut merged = Views::default();
        let minutes = truth.figures(Period::Minute).pages;
        for minute in (until_s - 300..until_s).step_by(60).filter(|s| truth.day(s * 1_000).0 == midnight) {
            for (register, rank) in minutes.get(&(minute, site, 0)).iter().flat_map(|views| &views.registers) {
                let highest = merged.registers.entry(*register).or_default();
                *highest = (*rank).max(*highest);
            }
        }
        let wanted = estimate(&merged);
        let key = ("visitors_now".to_owned(), format!("m:{}", until_s - 60));
        let found =
            (api["visitors_now"].as_i64().unwrap_or(0), viewer.fold("govuk").values.get(&key).copied().unwrap_or(0));
        if found == (wanted, wanted) { Ok(()) } else { Err(format!("{found:?}, wanted {wanted}")) }
    });
}

/// Views of the day by page and by type.
fn lists(truth: &Truth, site: u16, day: i64, gateway: std::net::SocketAddr, pages: &Pages) {
    let figures = truth.figures(Period::Day).pages;
    let of_day = figures.iter().filter(|((start, service, page), _)| (*start, *service) == (day, site) && *page > 0);
    let wanted: BTreeMap<String, i64> =
        of_day.filter_map(|((.., page), views)| Some((pages.page(*page)?.path.clone(), views.views))).collect();
    until("the list of today is the truth", PATIENCE * 2, || {
        let top = &json(gateway, "/api/v1/govuk")?["top_today"];
        let rows = top["pages"].as_array().cloned().unwrap_or_default();
        let found: BTreeMap<String, i64> =
            rows.iter().filter_map(|row| Some((row["path"].as_str()?.to_owned(), row["views"].as_i64()?))).collect();
        let kinds = top["kinds"].as_array().cloned().unwrap_or_default();
        let sum: i64 = kinds.iter().filter_map(|kind| kind["views"].as_i64()).sum();
        let is_all = sum == figures[&(day, site, 0)].views && top["views"].as_i64() == Some(sum);
        if found == wanted && is_all { Ok(()) } else { Err(format!("{found:?} of {sum}, wanted {wanted:?}")) }
    });
    let (status, csv) = get(gateway, "/api/v1/govuk.csv?table=top_today");
    assert_eq!(status, 200);
    for (path, views) in &wanted {
        assert!(csv.lines().any(|line| line.starts_with(&format!("{path},")) && line.ends_with(&format!(",{views}"))));
    }
    assert_eq!(get(gateway, "/api/v1/govuk.csv?table=nothing").0, 400);
}

fn history(truth: &Truth, site: u16, day: i64, gateway: std::net::SocketAddr, pages: &Pages, path: &str) {
    let page = pages.number(path).expect("a known path");
    let wanted = &truth.figures(Period::Day).pages[&(day, site, page)];
    let found = json(gateway, &format!("/api/v1/govuk/pages?path={path}")).expect("an answer");
    let last = found["days"].as_array().and_then(|days| days.last()).expect("a day");
    assert_eq!((last["views"].as_i64(), last["visitors"].as_i64()), (Some(wanted.views), Some(estimate(wanted))));
    let (status, html) = get(gateway, &format!("/govuk/pages?path={path}"));
    assert_eq!(status, 200);
    assert!(html.contains(path));
    let (status, html) = get(gateway, "/govuk/pages?path=/%3Cscript%3E");
    assert_eq!(status, 400);
    assert!(!html.contains("<script>"), "what was asked for is not repeated");
    assert_eq!(get(gateway, "/api/v1/govuk/pages?path=/no-such-page").0, 400);
}
