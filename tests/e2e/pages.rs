//! The pages in a real browser: figures that equal the truth, and states that say different things.
//!
//! Pictures go to `target/screenshots`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde_json::Value;
use tests::browser::{Browser, Page};
use tests::events::Mix;
use tests::expect::{self, Values};
use tests::sender::Senders;
use tests::shared::Shared;
use tests::stack::Stack;
use tests::truth::Truth;
use tests::until::{PATIENCE, until};
use tests::{check, viewer::Viewer};

use crate::suite::Test;

pub(crate) fn tests() -> Vec<Test> {
    vec![
        Test::needing("pages::figures_on_screens_equal_the_truth", Browser::lacks, figures_on_screens_equal_the_truth),
        Test::needing("pages::degraded_states_say_different_things", Browser::lacks, degraded_states_differ),
    ]
}

const DESK: (u32, u32) = (1_280, 900);
const WALL: (u32, u32) = (1_920, 1_080);
const PHONE: (u32, u32) = (390, 844);
const SERVICE: &str = "hmrc-stamp-duty-reserve-tax";

fn picture(name: &str) -> PathBuf {
    let own = std::env::current_exe().expect("the running program has a path");
    let target = own.ancestors().nth(3).expect("a test runs from target/<profile>/deps");
    target.join("screenshots").join(format!("{name}.png"))
}

/// What a page shows of today, by key: the exact counts in its attributes.
fn shown_today(page: &mut Page) -> BTreeMap<String, i64> {
    let found = page.eval(
        "Object.fromEntries([...document.querySelectorAll('[data-figure$=\"/today\"][data-value]')].map(e => \
         [e.dataset.figure.slice(0, -6), e.dataset.value]))",
    );
    let number = |value: &Value| value.as_str().and_then(|text| text.parse().ok()).expect("a count");
    found.as_object().expect("an object").iter().map(|(key, value)| (key.clone(), number(value))).collect()
}

fn today(truth: &Truth) -> String {
    format!("d:{}", truth.day(runtime::clock::now_ms()).1)
}

/// Waits until a page shows the truth of today: each of its figures, and these keys among them.
fn page_equals(page: &mut Page, want: &Values, day: &str, keys: &[String]) {
    until("the page shows the truth", PATIENCE, || {
        let shown = shown_today(page);
        for key in keys {
            if !shown.contains_key(key) {
                return Err(format!("{key} is not shown; {shown:?}"));
            }
        }
        for (key, value) in &shown {
            let wanted = want.get(&(key.clone(), day.to_owned())).copied().unwrap_or(0);
            if wanted != *value {
                return Err(format!("{key}: wanted {wanted}, shown {value}"));
            }
        }
        Ok(())
    });
}

/// A page complains of nothing and asks nobody but its own gateway.
fn is_clean(page: &mut Page, gateway: &str) {
    assert_eq!(page.complaints(), Vec::<String>::new());
    // Chromium draws its own controls (a calendar in a date field) from `data:`; nobody is asked for those.
    let is_foreign = |url: &String| !url.contains(gateway) && !url.starts_with("data:");
    let foreign: Vec<_> = page.asked().into_iter().filter(is_foreign).collect();
    assert_eq!(foreign, Vec::<String>::new(), "requests to others");
}

fn figures_on_screens_equal_the_truth(shared: &Shared) {
    let stack = Stack::new(shared, "pages");
    stack.provision();
    let (collector, _aggregator, gateway) = (stack.collector(), stack.aggregator(1), stack.gateway());
    let senders = Senders::new(&stack, collector.grpc());
    let (mut truth, mut mix) = (Truth::default(), Mix::new(41, "pages"));
    let browser = Browser::start(stack.dir());
    let address = gateway.http().to_string();
    let url = |path: &str| format!("http://{address}{path}");
    // Opened before there is anything: they say so, and go on without a reload.
    let mut wall = browser.open(&url("/wall"), WALL);
    let mut overview = browser.open(&url("/"), DESK);
    assert_eq!(shown_today(&mut wall).get("all"), None, "nothing counted is not 0");
    let mut send = |truth: &mut Truth| {
        let events = mix.with_repeats(3_000, 10);
        senders.send_all(&events, PATIENCE);
        truth.take(&events);
    };
    for _ in 0..2 {
        send(&mut truth);
        let day = today(&truth);
        let all = ["all".to_owned()];
        page_equals(&mut wall, &expect::values(&truth, "wall"), &day, &all);
        page_equals(&mut overview, &expect::values(&truth, "overview"), &day, &all);
    }
    let day = today(&truth);
    // The words on the wall are the figure, not only its attribute.
    let figure = wall.text("[data-figure='all/today']");
    let digits: String = figure.chars().filter(char::is_ascii_digit).collect();
    assert_eq!(digits, expect::values(&truth, "wall")[&("all".to_owned(), day.clone())].to_string(), "{figure}");
    // What a fresh page shows before any script has run is the same.
    let mut service = browser.open(&url(&format!("/services/{SERVICE}")), DESK);
    let values = expect::values(&truth, &format!("service:{SERVICE}"));
    page_equals(&mut service, &values, &day, &["completed".to_owned()]);
    let mut again = browser.open(&url("/"), DESK);
    page_equals(&mut again, &expect::values(&truth, "overview"), &day, &["all".to_owned()]);
    for (page, name) in [(&mut wall, "wall"), (&mut again, "overview"), (&mut service, "service")] {
        page.wait_for(
            "it is live",
            "['ok', 'silent'].includes((document.querySelector('[data-part=fresh]') ?? document.body).dataset.state)",
        );
        page.screenshot(&picture(name));
        is_clean(page, &address);
    }
    for (path, name) in [("/", "overview-phone"), ("/about-the-data", "about-phone"), ("/services", "services-phone")] {
        let mut page = browser.open(&url(path), PHONE);
        let wide = page.eval("document.documentElement.scrollWidth - innerWidth");
        assert!(wide.as_i64() <= Some(0), "{path} is {wide} pixels too wide for a phone");
        page.screenshot(&picture(name));
        is_clean(&mut page, &address);
    }
}

/// State, and what is said of it, of both screens.
fn said(wall: &mut Page, overview: &mut Page) -> (String, String) {
    let on_wall = ["title", "connection", "pipeline", "sources", "usual-1", "usual-2"];
    let on_wall: Vec<_> = on_wall.iter().map(|part| wall.text(&format!("[data-part='{part}']"))).collect();
    (without_times(&on_wall.join(" | ")), without_times(&overview.text("[data-part='fresh']")))
}

/// Digits left out: two sentences that differ in a time only say the same.
fn without_times(text: &str) -> String {
    text.chars().filter(|letter| !letter.is_ascii_digit()).collect()
}

fn wait_for_state(wall: &mut Page, overview: &mut Page, state: &str) {
    wall.wait_for(&format!("the wall is {state}"), &format!("document.body.dataset.state === '{state}'"));
    let fresh = "document.querySelector('[data-part=fresh]').dataset.state";
    overview.wait_for(&format!("the overview is {state}"), &format!("{fresh} === '{state}'"));
}

fn degraded_states_differ(shared: &Shared) {
    let mut stack = Stack::new(shared, "states");
    // The gateway comes back at the same address.
    let port = dev::ports::free(1).expect("a port")[0];
    stack.set("GATEWAY_HTTP__LISTEN", &format!("127.0.0.1:{port}"));
    stack.set("GATEWAY_SHOW__TILES", &format!("[\"{SERVICE}\", \"hmrc-self-assessment\"]"));
    stack.provision();
    let (collector, mut aggregator) = (stack.collector(), stack.aggregator(1));
    let senders = Senders::new(&stack, collector.grpc());
    let mut truth = Truth::default();
    // One service that reported by the second until eight minutes ago, and one that still does.
    let mut quiet = Mix::new(42, "quiet").of(&[SERVICE]).recent(50);
    let mut events = quiet.fresh(1_500);
    events.iter_mut().for_each(|event| event.occurred_at_ms -= 8 * 60_000);
    events.extend(Mix::new(43, "steady").of(&["hmrc-self-assessment"]).recent(50).fresh(500));
    senders.send_all(&events, PATIENCE);
    truth.take(&events);
    check::counted(&stack.sql(), truth.records(), PATIENCE);

    let mut gateway = stack.gateway();
    let browser = Browser::start(stack.dir());
    let url = |path: &str| format!("http://127.0.0.1:{port}{path}");
    let (mut wall, mut overview) = (browser.open(&url("/wall"), WALL), browser.open(&url("/"), DESK));
    let mut sentences = BTreeMap::new();
    let mut look = |state: &str, wall: &mut Page, overview: &mut Page| {
        wait_for_state(wall, overview, state);
        wall.screenshot(&picture(&format!("wall-{state}")));
        overview.screenshot(&picture(&format!("overview-{state}")));
        sentences.insert(state.to_owned(), said(wall, overview));
    };
    look("silent", &mut wall, &mut overview);
    let heard = quiet.fresh(20);
    senders.send_all(&heard, PATIENCE);
    truth.take(&heard);
    look("ok", &mut wall, &mut overview);
    aggregator.pause();
    look("behind", &mut wall, &mut overview);
    aggregator.resume();
    wait_for_state(&mut wall, &mut overview, "ok");
    gateway.kill9();
    look("cut", &mut wall, &mut overview);
    let figure = |page: &mut Page| page.attribute("[data-figure='all/today']", "data-value");
    assert!(figure(&mut wall).is_some(), "the last known figure stays");

    let distinct: BTreeSet<_> = sentences.values().map(|(wall, _)| wall.clone()).collect();
    assert_eq!(distinct.len(), 4, "{sentences:#?}");
    let distinct: BTreeSet<_> = sentences.values().map(|(_, overview)| overview.clone()).collect();
    assert_eq!(distinct.len(), 4, "{sentences:#?}");
    let on_wall = |state: &str| sentences[state].0.to_lowercase();
    assert!(on_wall("silent").contains("source silent") && !on_wall("ok").contains("silent"), "{sentences:#?}");
    assert!(on_wall("behind").contains("figures stopped at"), "{sentences:#?}");
    assert!(on_wall("cut").contains("cut off") && on_wall("cut").contains("last known"), "{sentences:#?}");

    // Both come back by themselves, with what was counted meanwhile.
    let missed = quiet.fresh(300);
    senders.send_all(&missed, PATIENCE);
    truth.take(&missed);
    let gateway = stack.gateway();
    wait_for_state(&mut wall, &mut overview, "ok");
    let (day, all) = (today(&truth), ["all".to_owned()]);
    page_equals(&mut wall, &expect::values(&truth, "wall"), &day, &all);
    page_equals(&mut overview, &expect::values(&truth, "overview"), &day, &all);
    drop(Viewer::connect(gateway.http(), &["overview"]));
}
