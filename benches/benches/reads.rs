//! Yardstick: reading. Every page and every answer of the read API over a year of the real catalogue's 820 services (a
//! year of day rows, nine weeks of hours, eight days of minutes), read by 50 at once who never pause; and beside the pages
//! that ask the store, what they ask, asked by as many readers straight of ClickHouse.
//!
//! `BENCH_READERS` and `BENCH_SECONDS` change the crowd and its time.

use std::time::Duration;

use benches::cpu::Since;
use benches::figures::{grouped, head, line, micros, ratio, setting};
use benches::mix::lanes;
use benches::readers::{Question, Readers, Waits};
use benches::rig::Rig;
use benches::senders::tasks;
use benches::year;
use dev::{Service, service};
use domain::catalogue::{Catalogue, Service as OfCatalogue};
use domain::pages::Pages;
use domain::time::{DAY_MS, Day, HOUR_MS};
use gateway::govuk::read::Grain;
use runtime::clock::now_ms;
use tokio::runtime::Runtime;
use views::span::Span;

/// Every address, with places for samples.
const ROUTES: [&str; 63] = [
    "/",
    "/wall",
    "/services",
    "/services?over=12-months",
    "/services?q=tax&over=28-days",
    "/services/{service}",
    "/services/{service}?span=3h",
    "/services/{service}?span=24h",
    "/services/{service}?span=9w",
    "/services/{service}?span=12m",
    "/services/{service}/notes",
    "/compare?services={service},{other}&span=12m",
    "/explorer",
    "/explorer/all-services",
    "/explorer/all-services?by=service",
    "/explorer/high-volume",
    "/explorer/search?q=licence",
    "/explorer/treemap",
    "/departments/{department}",
    "/agencies/{agency}",
    "/govuk",
    "/govuk/pages?path={path}",
    "/audit",
    "/audit?hours=168&department={department}",
    "/audit/receipt?service={service}&event_id=mine-1",
    "/about-the-data",
    "/api/v1/overview",
    "/api/v1/wall",
    "/api/v1/services",
    "/api/v1/services?over=12-months&format=csv",
    "/api/v1/services/{service}",
    "/api/v1/services/{service}/series?span=30d",
    "/api/v1/services/{service}/failures?span=30d",
    "/api/v1/services/{service}/stated",
    "/api/v1/services/{service}/notes",
    "/api/v1/compare?services={service},{other}",
    "/api/v1/departments/{department}",
    "/api/v1/agencies/{agency}",
    "/api/v1/explorer",
    "/api/v1/explorer/all-services",
    "/api/v1/explorer/all-services?by=service",
    "/api/v1/explorer/high-volume",
    "/api/v1/explorer/search?q=licence",
    "/api/v1/explorer/treemap",
    "/api/v1/explorer/values",
    "/api/v1/explorer/values?format=csv",
    "/api/v1/explorer/revisions",
    "/api/v1/stated/imports",
    "/api/v1/books",
    "/api/v1/status",
    "/api/v1/audit",
    "/api/v1/audit.csv?table=hours",
    "/api/v1/audit/receipt?service={service}&event_id=mine-1",
    "/api/v1/govuk",
    "/api/v1/govuk.csv?table=top_today",
    "/api/v1/govuk/pages?path={path}",
    "/api/v1/govuk/pages.csv?path={path}",
    "/api/v1/openapi.json",
    "/health",
    "/explorer/all-services?by=service&skip=300",
    "/services?department={department}&sort=name",
    "/explorer/treemap?department=dft",
    "/departments/beis",
];
/// Pages that ask the store.
const ASKING: [&str; 7] = [
    "/services/{service}",
    "/services/{service}?span=3h",
    "/services/{service}?span=24h",
    "/services/{service}?span=12m",
    "/services?over=12-months",
    "/govuk/pages?path={path}",
    "/audit",
];
/// Services, departments and so on that are read about: readers read the same pages.
const SAMPLES: usize = 24;
/// What every page loads besides itself.
const SHARED: [&str; 13] = [
    "look.css",
    "dashboard.css",
    "explorer.css",
    "audit.css",
    "look.woff2",
    "icon.svg",
    "page.js",
    "format.js",
    "hover.js",
    "live.js",
    "paint.js",
    "chart.js",
    "words.js",
];
const WARM_UP: Duration = Duration::from_secs(6);
const AIM_MS: f64 = 100.0;
/// A busy machine takes long to get ready.
const PATIENCE: Duration = Duration::from_secs(600);

fn main() {
    let (readers, seconds) = (setting("BENCH_READERS", 50) as usize, setting("BENCH_SECONDS", 20));
    every_operation_is_read();
    head("reads", &format!("{} addresses, {readers} readers without a pause for {seconds} s", ROUTES.len()));
    let mut rig = Rig::start();
    let (_platform, gateway) = platform(&mut rig);
    let (tasks, time) = (tasks(), Duration::from_secs(seconds));
    let crowd = Readers { server: gateway.http(), headers: Vec::new(), count: readers };
    let samples = Samples::new();
    let mix = |time| {
        let samples = samples.clone();
        tasks.block_on(crowd.ask(time, ROUTES.len(), move |n| samples.question(n)))
    };
    let _ = mix(WARM_UP);
    let busy = Since::now(&[gateway.pid(), rig.pids().1]);
    let waits = mix(time);
    let busy = busy.each();
    let mut order: Vec<_> = (0..ROUTES.len()).collect();
    order.sort_by(|a, b| waits[*b].at(0.99).total_cmp(&waits[*a].at(0.99)));
    order.iter().for_each(|route| tell(ROUTES[*route], &waits[*route]));
    let answers: usize = waits.iter().map(|of| of.ms.len()).sum();
    line("answers a second", &grouped(answers as f64 / time.as_secs_f64()));
    line("CPU an answer: gateway, ClickHouse", &micros(&busy, answers));
    let worst = waits.iter().map(|of| of.at(0.99)).fold(0.0, f64::max);
    ratio("the slowest address, p99, of 100 ms", worst / AIM_MS, "below 1");
    first_view(&tasks, &crowd, &waits);
    let direct = Readers { server: rig.clickhouse(), headers: rig.login(), count: readers };
    alone(&tasks, &mut rig, &crowd, &direct, &samples);
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

fn first_view(tasks: &Runtime, crowd: &Readers, waits: &[Waits]) {
    let pages = ROUTES.iter().zip(waits).filter(|(route, _)| !route.starts_with("/api/"));
    let (route, page) = pages.map(|(route, of)| (route, of.bytes_max)).max_by_key(|of| of.1).expect("some are pages");
    let shared: usize = SHARED.iter().map(|name| tasks.block_on(crowd.bytes(&views::assets::href(name)))).sum();
    let kilobytes = |bytes: usize| bytes as f64 / 1_024.0;
    let words = format!("{:.1} KB, style, font and scripts {:.1} KB", kilobytes(page), kilobytes(shared));
    line(&format!("largest first view, compressed: {route}"), &words);
    ratio("  of 100 KB", kilobytes(page + shared) / 100.0, "below 1");
}

/// Each page that asks the store alone, against its questions.
fn alone(tasks: &Runtime, rig: &mut Rig, crowd: &Readers, direct: &Readers, samples: &Samples) {
    let time = Duration::from_secs(setting("BENCH_ALONE_SECONDS", 3));
    for route in ASKING {
        let (of_page, of_sql) = (samples.clone(), samples.clone());
        let page = move |n| Question { path: of_page.path(route, n), ..Question::default() };
        let named = rig.names();
        let sql = move |n| Question { path: "/".into(), posts: of_sql.sql(route, n, &named), ..Question::default() };
        let page = &tasks.block_on(crowd.ask(time, 1, page))[0];
        let sql = &tasks.block_on(direct.ask(time, 1, sql))[0];
        tell(&format!("{route} alone"), page);
        tell("  yardstick: its questions, straight to ClickHouse", sql);
        ratio("  p99 of the page, of its questions", page.at(0.99) / sql.at(0.99), "1.5 at most");
    }
}

/// The platform over a filled store, without traffic.
fn platform(rig: &mut Rig) -> ([Service; 2], Service) {
    let catalogue = Catalogue::embedded();
    let number = |id: &str| catalogue.service_by_id(id).map(|service| service.number);
    let (_, rules) = runtime::rules::load(None, number).expect("the rules of the repository");
    let config = simulator::Config::load(None).expect("the simulator's defaults");
    let plan = simulator::plan(&config, &catalogue, &lanes(&catalogue)).expect("services have volumes");
    year::fill(rig, &plan, &rules);
    year::fill_books(rig, rules.partitions);
    let cells = |table: &str| format!("SELECT count() FROM {{cells}}.unmerged_{table}");
    let rows = ["day", "hour", "minute"].map(|table| grouped(rig.number(&cells(table)) as f64));
    line("rows of days, hours, minutes", &rows.join(", "));
    // The rows are of no log that it could compare them with.
    let further = [("AGGREGATOR_COUNTING__CHECK_MS", "3600000"), ("AGGREGATOR_COUNTING__SEAL_MS", "200")];
    let (aggregator, collector) = (rig.service("aggregator", &further), rig.service("collector", &[]));
    state_published(rig, &collector);
    let closed = "SELECT count() FROM {figures}.sealed_days";
    rig.until("days are sealed", closed, year::CLOSED_DAYS, PATIENCE);
    let stated = "SELECT count() > 1 FROM {figures}.imports";
    rig.until("what is published is stated", stated, 1, PATIENCE);
    rig.wait_for_merges();
    // All readers are one client here, and a refusal would be fast.
    let gateway = rig.service("gateway", &[("GATEWAY_LIMITS__READS_PER_MINUTE", "100000000")]);
    ([aggregator, collector], gateway)
}

/// States the published figures as `make run` does.
fn state_published(rig: &Rig, collector: &Service) {
    let collector = format!("http://{}", collector.grpc());
    let told = [("IMPORTER_COLLECTOR", &*collector), ("IMPORTER_TOKEN", "token-of-co")];
    service::run_to_end("importer", &["published"], &told, rig.dir()).unwrap_or_else(|error| panic!("{error}"));
}

/// What is read about.
#[derive(Clone)]
struct Samples {
    services: Vec<OfCatalogue>,
    departments: Vec<String>,
    agencies: Vec<String>,
    /// Number and path.
    pages: Vec<(u32, String)>,
}

/// Some of a list, from all over it.
fn some<T: Clone>(all: &[T]) -> Vec<T> {
    all.iter().step_by(all.len().div_ceil(SAMPLES).max(1)).cloned().collect()
}

impl Samples {
    fn new() -> Self {
        let catalogue = Catalogue::embedded();
        let mut services = catalogue.services().to_vec();
        services.sort_by_key(|service| {
            std::cmp::Reverse(service.latest_volume().and_then(|volume| volume.volume).unwrap_or(0))
        });
        let departments: Vec<_> = catalogue.departments().iter().map(|department| department.id.clone()).collect();
        let agencies: Vec<_> = catalogue.agencies().iter().map(|agency| agency.id.clone()).collect();
        let pages: Vec<_> = Pages::embedded().all().iter().map(|page| (page.number, page.path.clone())).collect();
        Self {
            services: some(&services),
            departments: some(&departments),
            agencies: some(&agencies),
            pages: some(&pages),
        }
    }

    /// The n-th question of all: every route in turn, each time about something else.
    fn question(&self, n: usize) -> Question {
        // Neighbours in the list are alike: they do not come one after the other.
        let kind = n * 37 % ROUTES.len();
        Question { kind, path: self.path(ROUTES[kind], n / ROUTES.len()), posts: Vec::new() }
    }

    fn path(&self, route: &str, n: usize) -> String {
        let service = |n: usize| self.services[n % self.services.len()].id.as_str();
        route
            .replace("{service}", service(n))
            .replace("{other}", service(n + 1))
            .replace("{department}", &self.departments[n % self.departments.len()])
            .replace("{agency}", &self.agencies[n % self.agencies.len()])
            .replace("{path}", &self.pages[n % self.pages.len()].1)
    }

    /// What the page asks the store.
    fn sql(&self, route: &str, n: usize, [cells, figures]: &[String; 2]) -> Vec<String> {
        let (now_ms, service) = (now_ms(), self.services[n % self.services.len()].number);
        let today = Day::at(now_ms);
        let questions = match route {
            "/audit" => {
                let range = gateway::audit::read::Range { from_s: (now_ms - DAY_MS) / HOUR_MS * 3_600, services: None };
                gateway::audit::read::sql(&range).to_vec()
            }
            "/services?over=12-months" => vec![format!(
                "SELECT service, sum(completed), sum(completed_digital), sum(started), sum(completed_started), sum(rated), \
                 sum(rating_sum) FROM {{figures}}.day_total WHERE d >= toDate({}) AND d < toDate({}) GROUP BY service",
                today.0 - 365,
                today.0
            )],
            "/govuk/pages?path={path}" => {
                let (site, page) =
                    (gateway::govuk::site_of(&Catalogue::embedded()), self.pages[n % self.pages.len()].0);
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
}
