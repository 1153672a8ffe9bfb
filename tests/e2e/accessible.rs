//! Every page in a real browser under axe-core: WCAG 2.2 AA, light and dark, at a desk and on a phone; nothing is
//! clipped at 320 pixels; the first view is small.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use serde_json::Value;
use tests::browser::{Browser, Page};
use tests::check;
use tests::events::{Mix, WIDE};
use tests::sender::Senders;
use tests::shared::Shared;
use tests::stack::Stack;
use tests::truth::Truth;
use tests::until::PATIENCE;

use crate::suite::Test;

pub(crate) fn tests() -> Vec<Test> {
    vec![Test::needing("accessible::axe_finds_nothing_serious_on_any_page", lacks, axe_finds_nothing_serious)]
}

const SIZES: [(u32, u32); 2] = [(1_280, 900), (390, 844)];
const NARROW: (u32, u32) = (320, 700);
/// Bytes of a page with all that it needs, compressed.
const FIRST_VIEW_MAX: usize = 100_000;

fn script() -> Option<std::path::PathBuf> {
    dev::fetch::axe_script(&dev::Cache::open().ok()?)
}

fn lacks() -> Option<String> {
    Browser::lacks().or_else(|| script().is_none().then(|| "axe-core is not there: run `dev fetch --tests`".into()))
}

/// What axe has against a page: rule, impact and place.
fn complaints(page: &mut Page, axe: &str) -> Vec<String> {
    page.eval(&format!("{axe}; window.found = undefined; 1"));
    page.eval(
        "axe.run(document, {runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa']}).then(\
         r => window.found = r.violations.flatMap(v => v.nodes.map(n => `${v.impact} ${v.id} ${n.target} ${n.html.slice(0, 200)}`)), \
         e => window.found = [`serious axe failed: ${e}`]); 1",
    );
    page.wait_for("axe has looked", "window.found !== undefined");
    let found = page.eval("window.found");
    let texts = found.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned);
    texts.filter(|text| text.starts_with("serious") || text.starts_with("critical")).collect()
}

fn axe_finds_nothing_serious(shared: &Shared) {
    let stack = Stack::new(shared, "accessible");
    stack.provision();
    let (collector, _aggregator, gateway) = (stack.collector(), stack.aggregator(1), stack.gateway());
    let senders = Senders::new(&stack, collector.grpc());
    let events = Mix::new(61, "accessible").with_repeats(3_000, 10);
    let mut truth = Truth::default();
    senders.send_all(&events, PATIENCE);
    truth.take(&events);
    check::counted(&stack.sql(), truth.records(), PATIENCE);
    let axe = std::fs::read_to_string(script().expect("checked before")).expect("the script can be read");
    let browser = Browser::start(stack.dir());
    let url = |path: &str| format!("http://{}{path}", gateway.http());
    // Whatever the navigation leads to, and a page of each further kind.
    let mut front = browser.open(&url("/"), SIZES[0]);
    let entries = front.eval("[...document.querySelectorAll('nav a')].map(a => a.getAttribute('href'))");
    let mut paths: Vec<String> =
        entries.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect();
    assert!(paths.iter().any(|path| path == "/services"), "{paths:?}");
    paths.extend([
        format!("/services/{WIDE}?span=9w"),
        "/services?department=dft&over=28-days&sort=name".to_owned(),
        format!("/compare?services={WIDE},hmrc-self-assessment&scale=absolute&against=year"),
        "/departments/dft".to_owned(),
        "/services?sort=nonsense".to_owned(),
        "/nowhere".to_owned(),
    ]);
    let mut found = Vec::new();
    for path in &paths {
        for size in SIZES {
            let mut page = browser.open(&url(path), size);
            for theme in ["light", "dark"] {
                page.eval(&format!("document.documentElement.dataset.theme = '{theme}'"));
                found.extend(
                    complaints(&mut page, &axe).into_iter().map(|one| format!("{path} {size:?} {theme}: {one}")),
                );
            }
        }
        let mut narrow = browser.open(&url(path), NARROW);
        let over = narrow.eval("document.documentElement.scrollWidth - innerWidth").as_i64().unwrap_or(1);
        if over > 0 && path != "/wall" {
            found.push(format!("{path}: {over} pixels too wide at 320"));
        }
        let bytes = first_view(gateway.http(), path);
        if bytes > FIRST_VIEW_MAX {
            found.push(format!("{path}: first view of {bytes} bytes"));
        }
    }
    assert!(found.is_empty(), "{} complaints:\n{}", found.len(), found.join("\n"));
}

/// Compressed bytes of a page and of everything that it links for its first view.
fn first_view(gateway: SocketAddr, path: &str) -> usize {
    let page = dev::http::get(gateway, path).expect("an answer").body;
    let assets = page.split("href=\"/assets/").skip(1).chain(page.split("src=\"/assets/").skip(1));
    let mut assets: Vec<_> =
        assets.filter_map(|rest| rest.split('"').next()).filter(|name| !name.ends_with(".txt")).collect();
    assets.sort_unstable();
    assets.dedup();
    compressed(gateway, path) + assets.iter().map(|name| compressed(gateway, &format!("/assets/{name}"))).sum::<usize>()
}

fn compressed(gateway: SocketAddr, path: &str) -> usize {
    let mut stream = TcpStream::connect(gateway).expect("the gateway accepts connections");
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: {gateway}\r\nAccept-Encoding: gzip\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("the request is sent");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("the answer ends");
    answer.len()
}
