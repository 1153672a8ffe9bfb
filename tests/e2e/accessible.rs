//! Every page for every reader: axe-core in a real Chromium, narrow and wide, light and dark; by keyboard; without script.

use std::sync::Mutex;

use tests::browser::{Browser, Page};
use tests::check;
use tests::events::{Mix, WIDE};
use tests::sender::Senders;
use tests::shared::Shared;
use tests::stack::Stack;
use tests::truth::Truth;
use tests::until::{PATIENCE, until_so};

use crate::stated::{importer, post};
use crate::suite::Test;

pub(crate) fn tests() -> Vec<Test> {
    vec![Test::needing("accessible::every_page_for_every_reader", lacks, every_page_for_every_reader)]
}

fn axe() -> Option<std::path::PathBuf> {
    dev::fetch::axe_script(&dev::Cache::open().ok()?)
}

fn lacks() -> Option<String> {
    Browser::lacks().or_else(|| axe().is_none().then(|| "axe-core was not fetched (dev fetch --tests)".to_owned()))
}

const SERVICE: &str = "dft-tax-a-vehicle";

/// Each kind of page, with data and without.
const PAGES: [&str; 29] = [
    "/",
    "/wall",
    "/services",
    "/services?q=passport&sort=name&order=up",
    "/services?q=nothing-like-it",
    "/services/dft-tax-a-vehicle",
    "/services/dft-tax-a-vehicle?span=30d&show=share",
    "/services/dft-personalised-registrations",
    "/services/dft-tax-a-vehicle/notes",
    "/compare",
    "/compare?services=dft-tax-a-vehicle,hmrc-stamp-duty-reserve-tax",
    "/explorer",
    "/explorer/all-services?department=dft",
    "/explorer/high-volume",
    "/explorer/search?q=vehicle",
    "/explorer/treemap",
    "/departments/dft",
    "/agencies/dvla",
    "/govuk",
    "/govuk/pages?path=/",
    "/audit",
    "/audit?department=dft",
    "/audit/letters",
    "/audit/receipt?service=dft-tax-a-vehicle&event_id=no-such-event",
    "/about-the-data",
    "/nothing-here",
    "/services/no-such-service",
    "/services?sort=colour",
    "/compare?services=no-such-service",
];

/// As narrow as a phone, or a desk at 400 per cent; a tablet; and a desk.
const NARROW: (u32, u32) = (320, 568);
const TABLET: (u32, u32) = (800, 1_100);
const DESK: (u32, u32) = (1_280, 900);
/// Pages that are looked at at once.
const TABS: usize = 3;

/// What is wrong, and where.
struct Wrong(Vec<String>);

impl Wrong {
    fn add(&mut self, path: &str, found: Vec<String>) {
        self.0.extend(found.into_iter().map(|line| format!("{path} {line}")));
    }
}

fn every_page_for_every_reader(shared: &Shared) {
    let mut stack = Stack::new(shared, "accessible");
    stack.provision();
    let (collector, _aggregator) = (stack.collector(), stack.aggregator(1));
    stack.set("GATEWAY_WRITING__COLLECTOR", &format!("http://{}", collector.grpc()));
    let gateway = stack.gateway();
    importer(&stack, &collector, "co", &["published"]).expect("stated");
    let senders = Senders::new(&stack, collector.grpc());
    let events = Mix::new(81, "accessible").of(&[WIDE, SERVICE]).with_repeats(3_000, 10);
    let more = Mix::new(82, "others").fresh(1_500);
    let mut truth = Truth::default();
    for events in [events, more] {
        senders.send_all(&events, PATIENCE);
        truth.take(&events);
    }
    check::counted(&stack.sql(), truth.records(), PATIENCE);
    let day = domain::time::Day::at(runtime::clock::now_ms());
    let note = format!(
        "{{\"note_id\":\"n\",\"day\":\"{day}\",\"kind\":\"outage\",\"text\":\"Away for an hour\",\"author\":\"A\"}}"
    );
    let bearer = format!("Bearer {}", stack.token("dft"));
    let headers = [("Content-Type", "application/json"), ("Authorization", bearer.as_str())];
    assert_eq!(post(gateway.http(), &format!("/api/v1/services/{SERVICE}/notes"), &headers, &note).0, 201);
    until_so("the note is shown", PATIENCE, || {
        dev::http::get(gateway.http(), &format!("/services/{SERVICE}"))
            .is_ok_and(|page| page.body.contains("Away for an hour"))
    });

    let axe = std::fs::read_to_string(axe().expect("looked for before")).expect("axe-core");
    let scripts = format!("{axe}\n{}; 1", include_str!("accessible.js"));
    let browser = Browser::start(stack.dir());
    let (pages, wrong) = (Mutex::new(PAGES.into_iter()), Mutex::new(Wrong(Vec::new())));
    let address = gateway.http();
    let look = |mut page: Page, mut plain: Page| {
        plain.without_script();
        let next = || pages.lock().expect("nobody panics while holding it").next();
        while let Some(path) = next() {
            let url = format!("http://{address}{path}");
            let found = look_at(&mut page, &mut plain, &url, &scripts);
            wrong.lock().expect("nobody panics while holding it").add(path, found);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..TABS {
            let (page, plain) = (browser.blank(DESK), browser.blank(DESK));
            let look = &look;
            scope.spawn(move || look(page, plain));
        }
    });
    let wrong = wrong.into_inner().expect("no thread panicked").0;
    assert!(wrong.is_empty(), "{} things are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

/// What is wrong with a page.
fn look_at(page: &mut Page, plain: &mut Page, url: &str, scripts: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut ask = |page: &mut Page, how: &str, question: &str| {
        let found = page.eval(question);
        let lines = found.as_array().expect("a list").iter();
        wrong.extend(lines.map(|line| format!("{how}: {}", line.as_str().expect("words"))));
    };
    page.resize(DESK);
    page.go(url);
    page.eval(scripts);
    let without = without_script(page, plain, url);
    let count = page.eval("accessible.watch()").as_u64().expect("a number");
    // A field of a date has several stops.
    (0..count + 16).for_each(|_| page.tab());
    ask(page, "by keyboard", "accessible.reached()");
    for size in [DESK, NARROW] {
        page.resize(size);
        let how = format!("at {} pixels", size.0);
        for (scheme, is_colours_only) in [("light", false), ("dark", true)] {
            page.prefer(scheme);
            ask(page, &format!("{how}, {scheme}"), &format!("accessible.axe({is_colours_only})"));
        }
        fits(page, &mut ask, size);
    }
    page.resize(TABLET);
    fits(page, &mut ask, TABLET);
    wrong.extend(without);
    wrong
}

/// Nothing is cut off, wider than the window or on top of something else.
fn fits(page: &mut Page, ask: &mut impl FnMut(&mut Page, &str, &str), (width, _): (u32, u32)) {
    let how = format!("at {width} pixels");
    ask(page, &how, &format!("accessible.fits({width})"));
    ask(page, &how, "accessible.labels()");
}

/// The same figures, headings, drawings and tables are there when no script runs.
fn without_script(page: &mut Page, plain: &mut Page, url: &str) -> Vec<String> {
    plain.go(url);
    plain.eval(concat!(include_str!("accessible.js"), "; 1"));
    let (with, without) = (page.eval("accessible.content()"), plain.eval("accessible.content()"));
    let parts = ["figures", "headings", "drawings", "tables"].into_iter().filter(|part| with[*part] != without[*part]);
    parts.map(|part| format!("without script: {part} {} instead of {}", without[part], with[part])).collect()
}
