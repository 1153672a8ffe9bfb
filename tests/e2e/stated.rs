//! Statements and notes over the whole road: the importer and gRPC in, ClickHouse and the read API out.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use dev::Service;
use dev::service::run_to_end;
use domain::source::ServiceNumber;
use domain::statement::draft::{StatedFigure, content_hash, key, partition};
use domain::statement::{Amount, MetricNumber, Value, Window};
use domain::time::Day;
use proto::v1::statements_client::StatementsClient;
use proto::v1::{self, ImportPart, import_part, stated_figure};
use proto::{StatedBody, StatedRecord, append_stated};
use serde_json::Value as Json;
use tests::log::{EPOCH, Log};
use tests::metrics;
use tests::shared::Shared;
use tests::stack::Stack;
use tests::until::{PATIENCE, until, until_so};
use tonic::{Code, Request};

use crate::suite::Test;

pub(crate) fn tests() -> Vec<Test> {
    vec![
        Test::new("stated::an_import_is_seen_as_a_whole_once_and_its_revisions_stay", whole_once_and_revised),
        Test::new("stated::the_published_figures_equal_their_golden_totals", golden),
        Test::new("stated::a_note_is_shown_as_text_with_its_author_and_history", notes),
    ]
}

/// A service of HMRC.
const SERVICE: &str = "hmrc-self-assessment";

pub(crate) fn importer(
    stack: &Stack,
    collector: &Service,
    department: &str,
    arguments: &[&str],
) -> Result<String, String> {
    let endpoint = format!("http://{}", collector.grpc());
    let told = [("IMPORTER_COLLECTOR", endpoint.as_str()), ("IMPORTER_TOKEN", stack.token(department))];
    let runs = std::fs::read_dir(stack.dir()).map_or(0, Iterator::count);
    let dir = stack.dir().join(format!("importer-{runs}"));
    std::fs::create_dir_all(&dir).expect("a folder for its log");
    run_to_end("importer", arguments, &told, &dir).map_err(|error| error.to_string())
}

fn file(stack: &Stack, name: &str, lines: &[&str]) -> PathBuf {
    let path = stack.dir().join(name);
    let text = format!("service,metric,first_day,last_day,value\n{}\n", lines.join("\n"));
    std::fs::write(&path, text).expect("a file is written");
    path
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path of a test is text")
}

fn json(gateway: &Service, path: &str) -> Result<Json, String> {
    let answer = dev::http::get(gateway.http(), path).map_err(|error| error.to_string())?;
    serde_json::from_str(&answer.body).map_err(|error| error.to_string())
}

/// What stands for each period of a metric, and how often it was revised. `days` bounds the length of the period.
fn shown(
    gateway: &Service,
    service: &str,
    metric: &str,
    days: Range<i32>,
) -> Result<Vec<(String, Json, usize)>, String> {
    let answer = json(gateway, &format!("/api/v1/services/{service}/stated"))?;
    let values = answer["values"].as_array().ok_or("no values")?;
    let day = |value: &Json| value.as_str().and_then(Day::parse).map_or(0, |day| day.0);
    let of = |value: &&Json| value["metric"] == metric && days.contains(&(day(&value["until"]) - day(&value["from"])));
    let (mut found, mut before) = (Vec::new(), 0);
    for value in values.iter().filter(of) {
        if value["stands"] == true {
            found.push((value["words"].as_str().unwrap_or("").to_owned(), value["value"].clone(), before));
            before = 0;
        } else {
            before += 1;
        }
    }
    Ok(found)
}

/// Twelve months, and three, in days.
const YEAR: Range<i32> = 365..367;
const QUARTER: Range<i32> = 89..93;

fn is_shown(gateway: &Service, want: &[(&str, Json, usize)]) {
    until("the figures", PATIENCE, || {
        let found = shown(gateway, SERVICE, "volume", YEAR)?;
        let found: Vec<_> = found.iter().map(|(period, value, n)| (period.as_str(), value.clone(), *n)).collect();
        if found == want { Ok(()) } else { Err(format!("{found:?}")) }
    });
}

/// A sender that dies after its figures and before its close: what a collector that is killed leaves in the log.
fn leave_half_an_import(stack: &Stack) {
    let figures: Vec<_> = (2011..2015).map(|year| figure(year, 77)).collect();
    let (department, id) = (15, "half an import");
    let name = key(department, id);
    let to = partition(name, runtime::topics::STATEMENTS_PARTITIONS);
    let log = Log::new(&stack.address().brokers, &stack.statements_topic());
    let write = |body| {
        let mut bytes = Vec::new();
        append_stated(&StatedRecord { boot: 1, received_at_ms: 1, department, key: name, body }, &mut bytes);
        log.write_bytes(to, &bytes);
    };
    for (index, figure) in (0..3).zip(&figures) {
        write(StatedBody::Figure(index, *figure));
    }
    // And one whose close has come, of which a figure is missing.
    let (published, hash) = (Day::from_ymd(2018, 1, 1), content_hash(figures.iter()));
    write(StatedBody::Close { import_id: id.into(), title: "half".into(), published, figures: 4, hash });
    log.flush();
}

fn figure(year: i32, n: u64) -> StatedFigure {
    let window = Window::months_until(Day::from_ymd(year, 1, 1), 12).expect("a window");
    let value = Value::Provided(Amount::whole(n).expect("small"));
    StatedFigure { service: ServiceNumber(1), metric: MetricNumber::VOLUME, window, value }
}

fn whole_once_and_revised(shared: &Shared) {
    let stack = Stack::new(shared, "stated");
    stack.provision();
    let (collector, mut aggregator, mut gateway) = (stack.collector(), stack.aggregator(1), stack.gateway());
    let sql = stack.sql();
    let rows =
        || (sql.number("SELECT count() FROM {figures}.imports"), sql.number("SELECT count() FROM {figures}.stated"));

    refused_imports_leave_nothing(&stack, &collector);
    leave_half_an_import(&stack);
    let first = file(
        &stack,
        "first.csv",
        &[
            "hmrc-self-assessment,volume,2015-01-01,2015-12-31,\"1,000\"",
            "hmrc-self-assessment,volume,2016-01-01,2016-12-31,not requested",
            "hmrc-self-assessment,cost-per-transaction,2016-01-01,2016-12-31,8.085",
        ],
    );
    let first = ["file", text(&first), "--published", "2017-02-01"];
    let preview = importer(&stack, &collector, "hmrc", &[&first[..], &["--preview"]].concat()).expect("a preview");
    assert!(preview.contains("all 3 figures keep the rules; nothing was stated"), "{preview}");
    assert_eq!(rows(), (0, 0), "neither half an import nor a preview is seen");

    // The aggregator is killed while the import is on its way; the next one sees it, once.
    aggregator.kill9();
    importer(&stack, &collector, "hmrc", &first).expect("stated");
    let mut aggregator = stack.aggregator(1);
    let one = [("Jan 2015 to Dec 2015", Json::from("1000"), 0), ("Jan 2016 to Dec 2016", Json::Null, 0)];
    is_shown(&gateway, &one);
    assert_eq!(rows(), (1, 3));

    // The same file again changes nothing.
    importer(&stack, &collector, "hmrc", &first).expect("stated again");
    until_so("repetitions", PATIENCE, || metrics::value(&aggregator, "aggregator_statements_total") >= Some(12.0));
    assert_eq!(rows(), (1, 3));
    is_shown(&gateway, &one);

    // An older publication that arrives later is history; a newer one is a revision.
    let older = file(&stack, "older.csv", &["hmrc-self-assessment,volume,2015-01-01,2015-12-31,900"]);
    importer(&stack, &collector, "hmrc", &["file", text(&older), "--published", "2016-02-01"]).expect("stated");
    let newer = file(&stack, "newer.csv", &["hmrc-self-assessment,volume,2016-01-01,2016-12-31,1100"]);
    importer(&stack, &collector, "hmrc", &["file", text(&newer), "--published", "2018-02-01"]).expect("stated");
    let revised = [("Jan 2015 to Dec 2015", Json::from("1000"), 1), ("Jan 2016 to Dec 2016", Json::from("1100"), 1)];
    is_shown(&gateway, &revised);
    assert_eq!(rows(), (3, 5));

    // Everything that a new aggregator and a new gateway know is in the log and in the store.
    aggregator.kill9();
    assert_eq!(gateway.stop(), "code 0");
    sql.execute("TRUNCATE TABLE {cells}.unmerged_stated");
    let (_aggregator, gateway) = (stack.aggregator(1), stack.gateway());
    is_shown(&gateway, &revised);
    assert_eq!(rows(), (3, 5), "lost rows are written again");
    // And what is lost while it runs comes back by itself.
    for table in ["unmerged_import", "unmerged_stated"] {
        sql.execute(&format!("TRUNCATE TABLE {{cells}}.{table}"));
        until_so("lost rows are written again, without a start", PATIENCE, || rows() == (3, 5));
    }
}

fn refused_imports_leave_nothing(stack: &Stack, collector: &Service) {
    let broken = file(
        stack,
        "broken.csv",
        &[
            "hmrc-self-assessment,volume,2015-01-01,2015-12-31,1",
            "nobody,volume,2015-01-01,2015-12-31,1",
            "hmrc-self-assessment,volume,2016-01-01,2016-12-31,n/a",
        ],
    );
    let error =
        importer(stack, collector, "hmrc", &["file", text(&broken), "--published", "2017-02-01"]).expect_err("refused");
    assert!(error.contains("2 lines break a rule; nothing was stated"), "{error}");
    assert!(error.contains("line 3, column “service”") && error.contains("line 4, column “value”"), "{error}");

    let foreign = file(stack, "foreign.csv", &["hmrc-self-assessment,volume,2015-01-01,2015-12-31,1"]);
    let error =
        importer(stack, collector, "dft", &["file", text(&foreign), "--published", "2017-02-01"]).expect_err("refused");
    assert!(error.contains("belongs to another department"), "{error}");

    // A stream without its close, one with a wrong count, one without a token: refused as a whole.
    let part = |part| ImportPart { part: Some(part) };
    let manifest = part(import_part::Part::Manifest(v1::ImportManifest {
        import_id: "cut".into(),
        title: "cut short".into(),
        published_on: "2017-02-01".into(),
        dry_run: false,
    }));
    let figures = part(import_part::Part::Figures(v1::ImportFigures {
        figures: vec![v1::StatedFigure {
            service_id: SERVICE.into(),
            metric: "volume".into(),
            first_day: "2015-01-01".into(),
            last_day: "2015-12-31".into(),
            value: Some(stated_figure::Value::Amount("5".into())),
        }],
    }));
    let close = part(import_part::Part::Close(v1::ImportClose { figures: 2 }));
    let send = |parts: Vec<ImportPart>, token: Option<&str>| {
        let endpoint = format!("http://{}", collector.grpc());
        stack.tasks().block_on(async {
            let mut client = StatementsClient::connect(endpoint).await.expect("connects");
            let mut request = Request::new(tokio_stream::iter(parts));
            if let Some(token) = token {
                request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().expect("a header"));
            }
            client.import(request).await.map(tonic::Response::into_inner)
        })
    };
    let token = Some(stack.token("hmrc"));
    let cut = send(vec![manifest.clone(), figures.clone()], token).expect_err("cut short");
    assert!(cut.message().contains("without its close"), "{cut:?}");
    let wrong = send(vec![manifest.clone(), figures.clone(), close], token).expect_err("a figure is missing");
    assert_eq!((wrong.code(), wrong.message()), (Code::InvalidArgument, "close.figures says 2, and 1 came"));
    assert_eq!(send(vec![figures], token).expect_err("no manifest").code(), Code::InvalidArgument);
    assert_eq!(send(vec![manifest], None).expect_err("no token").code(), Code::Unauthenticated);
    assert_eq!(u32::from(EPOCH), 1, "receipts name the epoch of the rules");
}

fn golden(shared: &Shared) {
    let stack = Stack::new(shared, "golden");
    stack.provision();
    let (collector, _aggregator, gateway) = (stack.collector(), stack.aggregator(1), stack.gateway());
    importer(&stack, &collector, "co", &["published"]).expect("stated");
    let sql = stack.sql();
    until_so("twelve versions", PATIENCE, || sql.number("SELECT count() FROM {figures}.imports") == 12);

    // By metric, window and department, from SQL over the views, against a script that knows none of our code.
    let catalogue = domain::catalogue::Catalogue::embedded();
    let of = |service: u16| {
        let service = catalogue.service(ServiceNumber(service)).expect("stated services are known");
        catalogue.department(service.department).expect("it has one").id.clone()
    };
    let metrics = domain::statement::Metrics::embedded();
    let rows = sql.rows::<(u16, u16, String, String, u8, i64, u64)>(
        "SELECT service, metric, toString(first_day), toString(end_day), toUInt8(state), reinterpretAsInt64(amount), values \
         FROM {figures}.stated_now",
    );
    let mut totals: std::collections::BTreeMap<_, (u64, u64, u64, i128)> = std::collections::BTreeMap::new();
    for (service, metric, first, end, state, millionths, values) in rows {
        let metric = metrics.get(MetricNumber(metric)).expect("a known metric").id.clone();
        let days = Day::parse(&end).expect("a date").0 - Day::parse(&first).expect("a date").0;
        let months = if days > 360 { 12 } else { 3 };
        for department in ["all".to_owned(), of(service)] {
            let total = totals.entry((metric.clone(), months, end.clone(), department)).or_default();
            if state == 1 {
                total.0 += 1;
                total.3 += i128::from(millionths);
            } else {
                total.1 += 1;
            }
            total.2 += u64::from(values > 1);
        }
    }
    let golden = include_str!("../golden/stated.csv");
    let mut compared = 0;
    for line in golden.lines().skip(1) {
        let parts: Vec<_> = line.split(',').collect();
        let [metric, months, end, department, figures, missing, revised, sum] = parts[..] else { panic!("{line}") };
        let place = (metric.to_owned(), months.parse().expect("a number"), end.to_owned(), department.to_owned());
        let (whole, part) = sum.split_once('.').unwrap_or((sum, ""));
        let millionths: i128 = format!("{whole}{part:0<6}").parse().expect("a sum");
        let number = |text: &str| text.parse::<u64>().expect("a number");
        let want = (number(figures), number(missing), number(revised), millionths);
        assert_eq!(totals.get(&place), Some(&want), "{line}");
        compared += 1;
    }
    assert_eq!(compared, totals.len(), "no total without a golden one");
    figures_of_known_services(&gateway);
}

/// Figures read from the published spreadsheets by a person.
fn figures_of_known_services(gateway: &Service) {
    let of = |service: &str, metric: &str, days: Range<i32>, period: &str| {
        until("a published figure", PATIENCE, || {
            let found = shown(gateway, service, metric, days.clone())?;
            found.into_iter().find(|(words, ..)| words == period).ok_or_else(|| "not there yet".to_owned())
        })
    };
    let service = "ago-bona-vacantia-referrals-of-estates-company-assets";
    assert_eq!(of(service, "volume", YEAR, "Apr 2011 to Mar 2012").1, "40000");
    assert_eq!(of(service, "digital-volume", YEAR, "Jul 2012 to Jun 2013").1, "863");
    assert_eq!(of(service, "volume", QUARTER, "Jul 2012 to Sep 2012").1, "4159");
    let imports = json(gateway, "/api/v1/stated/imports").expect("imports");
    assert_eq!(imports["imports"].as_array().map(Vec::len), Some(12));
    assert_eq!(imports["imports"][11]["title"], "Transactions Explorer, version of 19 September 2018");
}

/// An answer to a POST: status and body.
pub(crate) fn post(gateway: SocketAddr, path: &str, headers: &[(&str, &str)], body: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(gateway).expect("connects");
    stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a limit");
    let mut head =
        format!("POST {path} HTTP/1.1\r\nHost: {gateway}\r\nConnection: close\r\nContent-Length: {}\r\n", body.len());
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    stream.write_all(format!("{head}\r\n{body}").as_bytes()).expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("answered");
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    (status, answer)
}

fn notes(shared: &Shared) {
    let mut stack = Stack::new(shared, "notes");
    stack.set("GATEWAY_WRITING__NOTES_PER_MINUTE_MAX", &8);
    stack.provision();
    let (collector, _aggregator) = (stack.collector(), stack.aggregator(1));
    stack.set("GATEWAY_WRITING__COLLECTOR", &format!("http://{}", collector.grpc()));
    let gateway = stack.gateway();
    let (page, api) = (format!("/services/{SERVICE}/notes"), format!("/api/v1/services/{SERVICE}/notes"));
    let form = [("Content-Type", "application/x-www-form-urlencoded")];
    let origin = format!("http://{}", gateway.http());
    let here = [form[0], ("Origin", origin.as_str())];
    let typed =
        |token: &str, text: &str| format!("day=2026-11-02&kind=outage&author=A.+Clerk&text={text}&token={token}");
    let token = stack.token("hmrc").to_owned();

    let elsewhere = [form[0], ("Origin", "https://elsewhere.example")];
    assert_eq!(post(gateway.http(), &page, &elsewhere, &typed(&token, "x")).0, 403);
    assert_eq!(post(gateway.http(), &page, &here, &typed("wrong", "x")).0, 401);
    let (status, answer) = post(gateway.http(), &page, &here, &typed(stack.token("dft"), "x"));
    assert!(status == 422 && answer.contains("belongs to another department"), "{answer}");
    let (status, answer) = post(gateway.http(), &page, &here, &typed(&token, ""));
    assert!(status == 422 && answer.contains("There is a problem") && !answer.contains(&token), "{answer}");

    let (status, answer) =
        post(gateway.http(), &page, &here, &typed(&token, "%3Cscript%3Ealert(1)%3C%2Fscript%3E+%26+down"));
    assert!(status == 303 && answer.contains(&format!("location: {page}?written=1")), "{answer}");
    let bearer = format!("Bearer {token}");
    let program = [("Content-Type", "application/json"), ("Authorization", bearer.as_str())];
    for (text, kind) in [("Version 1", "deadline"), ("Version 2", "release")] {
        let body = format!(
            "{{\"note_id\":\"mine\",\"metric\":\"volume\",\"day\":\"2026-11-20\",\"kind\":\"{kind}\",\"text\":\"{text}\",\"author\":\"B\"}}"
        );
        assert_eq!(post(gateway.http(), &api, &program, &body).0, 201);
    }
    let listed = until("both notes", PATIENCE, || {
        let listed = json(&gateway, &api)?;
        let versions = listed["notes"][0]["before"].as_array().map_or(0, Vec::len);
        if listed["notes"].as_array().map(Vec::len) == Some(2) && versions == 1 {
            Ok(listed)
        } else {
            Err(listed.to_string())
        }
    });
    let (newest, first) = (&listed["notes"][0], &listed["notes"][1]);
    assert_eq!(
        (&newest["text"], &newest["kind"], &newest["metric"]),
        (&"Version 2".into(), &"release".into(), &"volume".into())
    );
    assert_eq!((&newest["before"][0]["text"], &newest["author"]), (&"Version 1".into(), &"B".into()));
    assert_eq!((&first["text"], &first["department"]), (&"<script>alert(1)</script> & down".into(), &"HMRC".into()));
    let html = dev::http::get(gateway.http(), &page).expect("a page");
    let html = html.body;
    assert!(
        html.contains("&lt;script&gt;alert(1)&lt;/script&gt; &amp; down") && !html.contains("<script>alert"),
        "{html}"
    );

    // Seven were tried in this minute, the one from elsewhere not among them.
    let refused = (0..3).map(|_| post(gateway.http(), &page, &here, &typed("guess", "x")).0).max();
    assert_eq!(refused, Some(429));
}
