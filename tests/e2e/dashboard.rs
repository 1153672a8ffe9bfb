//! The Services Dashboard: one figure wherever it is shown, and parameters that nobody meant.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use domain::time::{Day, Period};
use serde_json::Value;
use tests::browser::{Browser, Page};
use tests::check;
use tests::events::{Mix, WIDE};
use tests::expect;
use tests::sender::Senders;
use tests::shared::Shared;
use tests::stack::Stack;
use tests::truth::Truth;
use tests::until::{PATIENCE, until};
use tests::viewer::Viewer;

use crate::suite::Test;

pub(crate) fn tests() -> Vec<Test> {
    vec![
        Test::new("dashboard::a_figure_is_the_same_on_page_api_socket_and_in_sql", a_figure_is_the_same_everywhere),
        Test::new("dashboard::no_parameter_breaks_a_page", no_parameter_breaks_a_page),
        Test::needing(
            "dashboard::a_reader_filters_sorts_and_compares",
            Browser::lacks,
            a_reader_filters_sorts_and_compares,
        ),
    ]
}

fn get(gateway: SocketAddr, path: &str) -> String {
    let answer = dev::http::get(gateway, path).expect("an answer");
    assert_eq!(answer.status, 200, "{path}: {}", answer.body);
    answer.body
}

fn json(gateway: SocketAddr, path: &str) -> Value {
    serde_json::from_str(&get(gateway, path)).expect("JSON")
}

/// The exact count in the page's attribute; `None` where it says that there is none.
fn on_page(html: &str, name: &str) -> Option<i64> {
    let tag = html.split('<').find(|tag| tag.contains(&format!("data-figure=\"{name}\""))).expect("the figure's place");
    tag.split("data-value=\"").nth(1)?.split('"').next()?.parse().ok()
}

fn a_figure_is_the_same_everywhere(shared: &Shared) {
    let stack = Stack::new(shared, "dashboard");
    stack.provision();
    let (collector, _aggregator, gateway) = (stack.collector(), stack.aggregator(1), stack.gateway());
    let senders = Senders::new(&stack, collector.grpc());
    let sample = [WIDE, "hmrc-self-assessment", "dft-tax-a-vehicle"];
    let (mut truth, mut mix) = (Truth::default(), Mix::new(51, "dashboard"));
    let mut events = mix.with_repeats(4_000, 10);
    events.extend(Mix::new(52, "sample").of(&sample).with_repeats(3_000, 10));
    senders.send_all(&events, PATIENCE);
    truth.take(&events);
    let sql = stack.sql();
    check::exact(&truth, &sql, PATIENCE);
    let http = gateway.http();
    let today = Day::at(runtime::clock::now_ms());
    let list = until("the list is live", PATIENCE, || {
        let list = json(http, "/api/v1/services?limit=1000");
        if list["freshness"]["state"] == "ok" { Ok(list) } else { Err(list["freshness"].to_string()) }
    });
    let list_page = get(http, "/services?limit=1000");
    for id in sample {
        let topic = format!("service:{id}");
        let viewer = Viewer::connect(http, &[&topic]);
        expect::shown(&truth, &viewer, &topic);
        let socket = viewer.fold(&topic).values.get(&("completed".to_owned(), format!("d:{today}"))).copied();
        let number = truth.number(id);
        let of_day = |day: Day| {
            let ask = format!("SELECT sum(completed) FROM {{figures}}.day WHERE service = {number} AND d = '{day}'");
            Some(sql.number(&ask)).filter(|n| *n != 0)
        };
        let api = json(http, &format!("/api/v1/services/{id}"));
        let row =
            list["services"].as_array().expect("rows").iter().find(|row| row["service"]["id"] == id).expect("a row");
        let page = get(http, &format!("/services/{id}"));
        let figures = [
            ("page", on_page(&page, "completed/today")),
            ("api", api["completed"]["today"].as_i64()),
            ("list", on_page(&list_page, &format!("service:{id}/today"))),
            ("list api", row["counted"]["completed"].as_i64()),
            ("socket", socket),
        ];
        for (place, figure) in figures {
            assert_eq!(figure, of_day(today), "{id}: {place}");
        }
        // Every day of the series, and the same in its table on the page.
        let points = api["past"]["points"].as_array().expect("the past can be read");
        for point in points {
            let start = point["start"].as_str().expect("a date");
            let day = Day::at(point["start_s"].as_i64().expect("an instant") * 1_000);
            assert_eq!(start, day.to_string());
            assert_eq!(point["completed"].as_i64(), of_day(day), "{id} on {start}");
        }
        let figures = truth.figures(Period::Day);
        let days: BTreeSet<i64> = figures.counts.keys().filter(|key| key.1 == number).map(|key| key.0).collect();
        assert!(points.len() >= days.len().min(5), "{id}: {} points of {} days", points.len(), days.len());
        series_equals_sql(http, &sql, id, number);
    }
    let whole = list["totals"]["transactions"]["value"].as_f64().expect("a total");
    let ask = format!("SELECT sum(completed) FROM {{figures}}.day WHERE d = '{today}' AND service < 60000");
    assert_eq!(whole as i64, sql.number(&ask), "the total is over all that were found, not over the rows shown");
}

/// Weeks from Monday and months, asked of the store in its own words.
fn series_equals_sql(http: SocketAddr, sql: &tests::sql::Sql, id: &str, number: u16) {
    for (period, begin) in [("week", "toMonday(d)"), ("month", "toStartOfMonth(d)"), ("year", "toStartOfYear(d)")] {
        let series = json(http, &format!("/api/v1/services/{id}/series?span=24q&period={period}"));
        let csv = get(http, &format!("/api/v1/services/{id}/series?span=24q&period={period}&format=csv"));
        let points = series["points"].as_array().expect("points");
        assert_eq!(csv.lines().count(), points.len() + 1, "a row for each point");
        for point in points {
            let start = point["start"].as_str().expect("a date");
            let ask = |what: &str| {
                sql.number(&format!(
                    "SELECT {what} FROM {{figures}}.day WHERE service = {number} AND {begin} = '{start}'"
                ))
            };
            assert_eq!(point["completed"].as_i64().unwrap_or(0), ask("sum(completed)"), "{id} {period} {start}");
            assert_eq!(point["failed"].as_i64().unwrap_or(0), ask("sum(failed)"), "{id} {period} {start}");
            assert_eq!(point["rated"].as_i64().unwrap_or(0), ask("sum(arraySum(mapValues(ratings)))"), "{id} {start}");
        }
        let last = csv.lines().last().expect("a row");
        let start = points.last().expect("a point")["start"].as_str().expect("a date");
        assert!(last.contains(start) && last.starts_with(id), "{last}");
    }
}

fn no_parameter_breaks_a_page(shared: &Shared) {
    let stack = Stack::new(shared, "hostile");
    stack.provision();
    let (_collector, _aggregator, gateway) = (stack.collector(), stack.aggregator(1), stack.gateway());
    let values = [
        "",
        "0",
        "-1",
        "1e309",
        "99999999999999999999",
        "null",
        "%00",
        "%FF%FE",
        "%F0%9F%92%A3",
        "..%2F..%2Fetc%2Fpasswd",
        "%27%3B%20DROP%20TABLE%20day%3B--",
        "%3Cscript%3Ealert(1)%3C%2Fscript%3E",
        "%22%20onload%3D%22x",
        "{cells}",
        "%3F",
        "2026-02-30",
        "1969-12-31",
        "9999-12-31T23:59:59Z",
        "2026-11",
        "a,b,c,d,e,f,g,h",
        "%0D%0ASet-Cookie:%20x",
    ];
    let services = ["q", "department", "agency", "over", "sort", "order", "limit", "after"];
    let spans = ["span", "period", "from", "to", "show"];
    let compare = ["services", "departments", "add", "metric", "scale", "against", "from", "period"];
    let pages: [(&str, &[&str]); 7] = [
        ("/services", &services),
        ("/api/v1/services", &services),
        ("/services/hmrc-self-assessment", &spans),
        ("/api/v1/services/hmrc-self-assessment", &spans),
        ("/api/v1/services/hmrc-self-assessment/series", &spans),
        ("/compare", &compare),
        ("/api/v1/compare", &compare),
    ];
    for (path, fields) in pages {
        for field in fields {
            for value in values {
                let address = format!("{path}?{field}={value}");
                let answer = dev::http::get(gateway.http(), &address).expect("an answer");
                assert!(matches!(answer.status, 200 | 400), "{address}: {}", answer.status);
                // JSON may hold any text; a page may not become it.
                let page = !path.starts_with("/api/");
                let written = answer.body.contains("<script>alert") || answer.body.contains("\" onload");
                assert!(!(page && written), "{address} writes into the page");
                if answer.status == 400 {
                    let named = answer.body.contains(field) || answer.body.contains("query") || *field == "to";
                    assert!(named, "{address} is refused without naming the field: {}", answer.body);
                }
            }
        }
    }
}

/// Follows a link or sends a form, and waits until the next page is there.
fn go(page: &mut Page, act: &str, arrived: &str) {
    page.eval(&format!("{act}; 1"));
    page.wait_for(arrived, &format!("document.readyState === 'complete' && ({arrived})"));
}

/// A chart that is drawn again and again: what the keys say is what is drawn.
fn minutes_by_keys(page: &mut Page) {
    let press = |key: &str| {
        format!(
            "(() => {{ const svg = document.querySelector('svg[data-chart=minutes]'); svg.focus(); svg.dispatchEvent(new \
             KeyboardEvent('keydown', {{ key: '{key}', bubbles: true }})); return \
             [...document.querySelectorAll('.tip > *')].map(part => part.textContent); }})()"
        )
    };
    let said = page.eval(&press("End"));
    assert!(said[0].as_str().is_some_and(|head| head.ends_with("open")), "{said}");
    let (home, right) = (page.eval(&press("Home")), page.eval(&press("ArrowRight")));
    assert!(home[0].as_str().is_some_and(|head| head.len() == 5), "{home}");
    assert_ne!(home[0], right[0], "an arrow leads on");
}

/// The main task of each page, in a real browser: by form and link alone, then a figure by the arrow keys.
fn a_reader_filters_sorts_and_compares(shared: &Shared) {
    let stack = Stack::new(shared, "reader");
    stack.provision();
    let (collector, _aggregator, gateway) = (stack.collector(), stack.aggregator(1), stack.gateway());
    let senders = Senders::new(&stack, collector.grpc());
    let events = Mix::new(71, "reader").of(&[WIDE, "dft-tax-a-vehicle"]).with_repeats(2_000, 10);
    let mut truth = Truth::default();
    senders.send_all(&events, PATIENCE);
    truth.take(&events);
    check::counted(&stack.sql(), truth.records(), PATIENCE);
    let browser = Browser::start(stack.dir());
    let mut page = browser.open(&format!("http://{}/services", gateway.http()), (1_280, 900));
    go(
        &mut page,
        "document.querySelector('.filter [name=q]').value = 'vehicle'; document.querySelector('.filter').requestSubmit()",
        "location.search.includes('q=vehicle')",
    );
    let first = "document.querySelector('.tlist tbody th a').textContent";
    assert_eq!(page.eval(first), "Vehicle tax renewals", "the one with events stands first");
    go(&mut page, "document.querySelector('.tlist thead a').click()", "location.search.includes('sort=name')");
    assert_eq!(page.attribute(".tlist th[aria-sort]", "aria-sort").as_deref(), Some("ascending"));
    let names = page.eval("[...document.querySelectorAll('.tlist tbody th')].map(th => th.textContent.toLowerCase())");
    let names: Vec<_> =
        names.as_array().expect("names").iter().map(|name| name.as_str().expect("text").to_owned()).collect();
    assert!(names.len() > 3 && names.is_sorted(), "{names:?}");
    go(&mut page, "document.querySelector('.chips .chip a').click()", "!location.search.includes('q=')");
    assert!(page.text(".pagehead .lead").starts_with("821 services"), "{}", page.text(".pagehead .lead"));

    let mut service = browser.open(&format!("http://{}/services/{WIDE}", gateway.http()), (1_280, 900));
    go(
        &mut service,
        "[...document.querySelectorAll('.spanbar a')].find(a => a.textContent === '9 weeks').click()",
        "location.search.includes('span=9w')",
    );
    let said = service.eval(
        "(() => { const svg = document.querySelector('svg[data-hover=channels-table]'); svg.focus(); \
         svg.dispatchEvent(new KeyboardEvent('keydown', { key: 'End', bubbles: true })); \
         const row = document.querySelector('#channels-table tr[data-i=\"8\"]'); \
         return [document.querySelector('.tip')?.textContent ?? '', [...row.children].map(c => c.textContent)]; })()",
    );
    let tip = said[0].as_str().expect("text");
    for cell in said[1].as_array().expect("cells") {
        assert!(tip.contains(cell.as_str().expect("text")), "{tip} does not say {cell}");
    }
    assert!(tip.starts_with("week from"), "{tip}");
    minutes_by_keys(&mut service);

    let mut compare = browser.open(&format!("http://{}/compare?services={WIDE}", gateway.http()), (1_280, 900));
    go(
        &mut compare,
        "document.querySelector('.pick [name=add]').value = 'vehicle tax ren'; document.querySelector('.pick').requestSubmit()",
        "location.search.includes('add=')",
    );
    go(&mut compare, "document.querySelector('.late3 a').click()", "location.search.includes('dft-tax-a-vehicle')");
    assert_eq!(compare.eval("document.querySelectorAll('.legend2 > span').length"), 2);
    assert_eq!(compare.complaints(), Vec::<String>::new());
}
