//! Yardstick: reading. Every page and every answer of the read API over a year of the real catalogue's 820 services (a
//! year of day rows, nine weeks of hours, eight days of minutes), read by 50 at once, who pause as people do and who never
//! pause; and beside the pages that ask the store, what they ask, asked by as many readers straight of ClickHouse.
//!
//! `BENCH_READERS`, `BENCH_SECONDS` and `BENCH_PAUSE_MS` change the crowd; `BENCH_ONLY=treemap,/audit` reads addresses with
//! one of these words only; `BENCH_EACH=1000` first tells for each address what an answer costs, read alone for so many
//! milliseconds; `BENCH_RAW_ROWS` fills raw with another number of records, among which single events are looked for;
//! `BENCH_DIR` names a folder that stays, with its year, for the next run on the same day.

use std::time::Duration;

use benches::addresses::{self, ROUTES, Samples};
use benches::cpu::Since;
use benches::figures::{Progress, grouped, head, line, micros, ratio, setting};
use benches::mix::lanes;
use benches::readers::{Question, Readers, Waits};
use benches::rig::Rig;
use benches::senders::tasks;
use benches::year;
use dev::{Service, service};
use domain::catalogue::Catalogue;
use domain::rules::Rules;
use domain::time::Day;
use gateway::govuk::read::Grain;
use runtime::clock::now_ms;
use tokio::runtime::Runtime;
use views::span::Span;

/// Pages that ask the store.
const ASKING: [&str; 8] = [
    "/services/{service}",
    "/services/{service}?span=3h",
    "/services/{service}?span=24h",
    "/services/{service}?span=9w",
    "/services/{service}?span=12m",
    "/services?over=12-months",
    "/govuk/pages?path={path}",
    "/audit?hours={hours}",
];
const WARM_UP: Duration = Duration::from_secs(6);
/// Page and yardstick take turns: whatever else the machine does, it does to both.
const TURNS: usize = 4;
const AIM_MS: f64 = 100.0;
/// A busy machine takes long to get ready.
const PATIENCE: Duration = Duration::from_secs(600);

fn main() {
    let (readers, seconds) = (setting("BENCH_READERS", 50) as usize, setting("BENCH_SECONDS", 20));
    every_operation_is_read();
    let only = std::env::var("BENCH_ONLY").unwrap_or_default();
    let is_wanted = |route: &&str| only.split(',').any(|part| route.contains(part));
    let routes: Vec<_> = ROUTES.into_iter().filter(is_wanted).collect();
    head("reads", &format!("{} addresses, {readers} readers for {seconds} s", routes.len()));
    let mut rig = Rig::start_in(std::env::var_os("BENCH_DIR").map(Into::into));
    let (_platform, gateway) = platform(&mut rig);
    let tasks = tasks();
    let crowd = Readers { server: gateway.http(), headers: Vec::new(), count: readers, pause: Duration::ZERO };
    let there = there(&mut rig, &gateway);
    let (pids, time) = ([gateway.pid(), rig.pids().1], Duration::from_secs(seconds));
    let of = Of { tasks: &tasks, routes: &routes, there, pids, time };
    if setting("BENCH_EACH", 0) > 0 {
        of.each(&crowd);
    }
    let pause = Duration::from_millis(setting("BENCH_PAUSE_MS", 1_000));
    of.crowd(&Readers { pause, ..crowd.clone() });
    of.crowd(&crowd);
    first_view(&of, &crowd);
    let direct = Readers { server: rig.clickhouse(), headers: rig.login(), ..crowd.clone() };
    for count in [1, readers] {
        let (crowd, direct) = (Readers { count, ..crowd.clone() }, Readers { count, ..direct.clone() });
        asking(&tasks, &rig.names(), &crowd, &direct);
    }
}

/// What is read, and whose CPU time is told: gateway's and ClickHouse's.
struct Of<'a> {
    tasks: &'a Runtime,
    routes: &'a [&'static str],
    /// Events that are in the store.
    there: Vec<String>,
    pids: [u32; 2],
    time: Duration,
}

impl Of<'_> {
    /// All routes mixed, by all readers.
    fn crowd(&self, readers: &Readers) {
        let samples = Samples::some(&self.there);
        let mix = |time| {
            let (samples, routes) = (samples.clone(), self.routes.to_vec());
            self.tasks.block_on(readers.ask(time, routes.len(), move |n| samples.question(&routes, n)))
        };
        let _ = mix(WARM_UP);
        let busy = Since::now(&self.pids);
        let waits = mix(self.time);
        let busy = busy.each();
        println!("{} readers, who pause for {} ms", readers.count, readers.pause.as_millis());
        let mut order: Vec<_> = (0..self.routes.len()).collect();
        order.sort_by(|a, b| waits[*b].at(0.99).total_cmp(&waits[*a].at(0.99)));
        order.iter().for_each(|route| tell(self.routes[*route], &waits[*route]));
        let answers: usize = waits.iter().map(|of| of.ms.len()).sum();
        line("answers a second", &grouped(answers as f64 / self.time.as_secs_f64()));
        line("CPU an answer: gateway, ClickHouse", &micros(&busy, answers));
        let all = Waits { ms: waits.iter().flat_map(|of| of.ms.iter().copied()).collect(), bytes_max: 0 };
        tell("all addresses together", &all);
        let worst = waits.iter().map(|of| of.at(0.99)).fold(0.0, f64::max);
        ratio("the slowest address, p99, of 100 ms", worst / AIM_MS, "below 1");
    }

    /// Each route by one reader, who asks for something else each time: what an answer costs that nobody asked for before.
    fn each(&self, readers: &Readers) {
        let time = Duration::from_millis(setting("BENCH_EACH", 0));
        let one = Readers { count: 1, ..readers.clone() };
        for route in self.routes.iter().copied() {
            let (samples, busy) = (Samples::all(&self.there), Since::now(&self.pids));
            let question = move |n| Question { path: samples.path(route, n), ..Question::default() };
            let waits = &self.tasks.block_on(one.ask(time, 1, question))[0];
            tell(route, waits);
            line("  CPU an answer: gateway, ClickHouse", &micros(&busy.each(), waits.ms.len()));
        }
    }
}

/// Every address of the read API is among [`ROUTES`].
fn every_operation_is_read() {
    let shape = |path: &str| -> Vec<String> {
        let path = path.split('?').next().unwrap_or_default();
        path.split('/').map(|part| if part.starts_with('{') { "{}".to_owned() } else { part.to_owned() }).collect()
    };
    let read: Vec<_> = ROUTES.iter().map(|route| shape(route)).collect();
    for operation in gateway::routes::operations() {
        let path = format!("/api/v1{}", operation.path);
        assert!(read.contains(&shape(&path)), "{path} is not read");
    }
}

fn tell(what: &str, of: &Waits) {
    let kilobytes = of.bytes_max as f64 / 1_024.0;
    line(what, &format!("p50 {:>6.1} ms   p99 {:>6.1} ms   {kilobytes:>6.1} KB", of.at(0.5), of.at(0.99)));
}

/// What a reader loads who was never here: the page and all that it names.
fn first_view(of: &Of<'_>, crowd: &Readers) {
    let (samples, mut largest) = (Samples::some(&of.there), (0, 0, String::new()));
    for route in of.routes.iter().filter(|route| !route.starts_with("/api/") && **route != "/health") {
        for n in 0..8 {
            let path = samples.path(route, n);
            let (page, further) = of.tasks.block_on(crowd.first_view(&path));
            largest = largest.max((page + further, page, path));
        }
    }
    let (all, page, path) = largest;
    let kilobytes = |bytes: usize| bytes as f64 / 1_024.0;
    let words = format!("{:.1} KB, and {:.1} KB of style, font, scripts", kilobytes(page), kilobytes(all - page));
    line(&format!("largest first view, compressed: {path}"), &words);
    ratio("  of 100 KB", kilobytes(all) / 100.0, "below 1");
}

/// Each page that asks the store by itself, against its questions, both about ever other services, in turn.
fn asking(tasks: &Runtime, named: &[String; 2], crowd: &Readers, direct: &Readers) {
    let time = Duration::from_millis(setting("BENCH_ASKING_MS", 1_000));
    println!(
        "{} readers of one page about ever other services, and its questions, straight to ClickHouse",
        crowd.count
    );
    for route in ASKING {
        let (mut page, mut asked) = (Waits::default(), Waits::default());
        for turn in 0..TURNS {
            let (of_page, of_sql, named) = (Samples::all(&[]), Samples::all(&[]), named.clone());
            // What was read in the turn before is not read again.
            let from = turn * 7_919;
            let question = move |n| Question { path: of_page.path(route, from + n), ..Question::default() };
            page.add(tasks.block_on(crowd.ask(time, 1, question)).remove(0));
            let posts = move |n| sql(&of_sql, route, from + n, &named);
            let question = move |n| Question { path: "/".into(), posts: posts(n), ..Question::default() };
            asked.add(tasks.block_on(direct.ask(time, 1, question)).remove(0));
        }
        tell(route, &page);
        tell("  yardstick: its questions", &asked);
        ratio("  p99 of the page, of its questions", page.at(0.99) / asked.at(0.99), "1.5 at most");
    }
}

/// The rules of the repository.
fn rules(catalogue: &Catalogue) -> Rules {
    let number = |id: &str| catalogue.service_by_id(id).map(|service| service.number);
    runtime::rules::load(None, number).expect("the rules of the repository").1
}

/// The platform over a filled store, without traffic.
fn platform(rig: &mut Rig) -> ([Service; 2], Service) {
    let catalogue = Catalogue::embedded();
    let rules = rules(&catalogue);
    let config = simulator::Config::load(None).expect("the simulator's defaults");
    let plan = simulator::plan(&config, &catalogue, &lanes(&catalogue)).expect("services have volumes");
    if rig.number("SELECT count() FROM {cells}.unmerged_boots") == 0 {
        year::fill(rig, &plan, &rules);
        year::fill_books(rig, rules.partitions);
    }
    let cells = |table: &str| format!("SELECT count() FROM {{cells}}.unmerged_{table}");
    let rows = ["day", "hour", "minute"].map(|table| grouped(rig.number(&cells(table)) as f64));
    line("rows of days, hours, minutes", &rows.join(", "));
    // The rows are of no log that it could compare them with.
    let unchecked = ("AGGREGATOR_COUNTING__CHECK_MS", "3600000");
    let mut sealing = rig.service("aggregator", &[unchecked, ("AGGREGATOR_COUNTING__SEAL_MS", "200")]);
    let collector = rig.service("collector", &[]);
    state_published(rig, &collector);
    let progress = Progress::of("platform");
    let closed = "SELECT count() FROM {figures}.sealed_days";
    rig.until("days are sealed", closed, year::CLOSED_DAYS, PATIENCE);
    progress.done("days sealed");
    let stated = "SELECT count() > 1 FROM {figures}.imports";
    rig.until("what is published is stated", stated, 1, PATIENCE);
    progress.done("stated");
    sealing.stop();
    let aggregator = rig.service("aggregator", &[unchecked]);
    rig.wait_for_merges();
    progress.done("merged");
    // All readers are one client here, and a refusal would be fast.
    let gateway = rig.service("gateway", &[("GATEWAY_LIMITS__READS_PER_MINUTE", "100000000")]);
    ([aggregator, collector], gateway)
}

/// Events that are in the store, of which the gateway finds the first.
fn there(rig: &mut Rig, gateway: &Service) -> Vec<String> {
    let catalogue = Catalogue::embedded();
    let rules = rules(&catalogue);
    let there = year::there(rig, &rules, &catalogue);
    let answer = dev::http::get(gateway.http(), &format!("/api/v1/audit/receipt/hash?{}", there[0]));
    let body = answer.expect("the gateway answers").body;
    assert!(body.contains("\"outcome\":\"accepted\""), "{body}");
    there
}

/// States the published figures as `make run` does.
fn state_published(rig: &Rig, collector: &Service) {
    let collector = format!("http://{}", collector.grpc());
    let told = [("IMPORTER_COLLECTOR", &*collector), ("IMPORTER_TOKEN", "token-of-co")];
    service::run_to_end("importer", &["published"], &told, rig.dir()).unwrap_or_else(|error| panic!("{error}"));
}

/// What the page asks the store.
fn sql(samples: &Samples, route: &str, n: usize, [cells, figures]: &[String; 2]) -> Vec<String> {
    let (now_ms, service) = (now_ms(), samples.service(n).number);
    let today = Day::at(now_ms);
    let questions = match route {
        "/audit?hours={hours}" => {
            let from_s = gateway::audit::compose::first_hour_s(addresses::hours(n) as u32, now_ms);
            let range = gateway::audit::read::Range { from_s, services: None };
            gateway::audit::read::sql(&range).to_vec()
        }
        "/services?over=12-months" => vec![format!(
            "SELECT service, sum(completed), sum(completed_digital), sum(started), sum(completed_started), sum(rated), \
             sum(rating_sum) FROM {{figures}}.day_total WHERE d >= toDate({}) AND d < toDate({}) GROUP BY service",
            today.0 - 365,
            today.0
        )],
        "/govuk/pages?path={path}" => {
            let (site, page) = (gateway::govuk::site_of(&Catalogue::embedded()), samples.page(n).0);
            let days = i64::from(today.0 - 56)..i64::from(today.0 + 1);
            let hours = today.start_ms() / 1_000..today.next().start_ms() / 1_000;
            let of = |grain, range| gateway::govuk::read::sql(site, page, grain, &range);
            vec![of(Grain::Day, days), of(Grain::Hour, hours)]
        }
        _ => {
            let span = route.split_once("?span=").map_or("30d", |(_, span)| span);
            let asked = [("span".to_owned(), span.to_owned())];
            let span = views::ask::parse(&asked, |asked| Span::read(asked, now_ms)).expect("a usual span");
            gateway::past::sql(service, &span).to_vec()
        }
    };
    let whole = |sql: String| sql.replace("{cells}", cells).replace("{figures}", figures) + " FORMAT RowBinary";
    questions.into_iter().map(whole).collect()
}
