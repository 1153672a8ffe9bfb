mod server;

use std::time::Duration;

use futures::{SinkExt as _, StreamExt as _};
use serde_json::Value as Json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_tungstenite::tungstenite::{Error as SocketError, Message};

use server::{SERVICE, Server, Viewer};

use super::*;

#[tokio::test]
async fn pages_and_their_twins_answer_before_anything_is_counted() {
    let server = Server::start().await;
    for page in ["/", "/services", "/services?q=vehicle%20tax", "/wall", "/about-the-data", "/departments/dft"] {
        let (status, head, body) = server.get(page).await;
        assert_eq!(status, 200, "{page}");
        assert!(head.contains("content-security-policy: default-src 'self'"), "{page}: {head}");
        assert!(head.contains("x-content-type-options: nosniff") && head.contains("referrer-policy:"), "{page}");
        assert!(body.contains("<!DOCTYPE html>"), "{page}");
    }
    assert_eq!(server.get(&format!("/services/{SERVICE}")).await.0, 200);
    for twin in ["overview", "wall", "services", "services/hmrc-self-assessment", "departments/dft", "status"] {
        let (status, json) = server.json(&format!("/api/v1/{twin}")).await;
        assert_eq!((status, json["freshness"]["state"].as_str()), (200, Some("starting")), "{twin}");
    }
    let (_, overview) = server.json("/api/v1/overview").await;
    assert_eq!(overview["total"]["today"], Json::Null, "not 0");
    assert_eq!(overview["services_today"], 0);
}

#[tokio::test]
async fn health_says_whether_and_why_not() {
    let server = Server::start().await;
    let (status, head, body) = server.get("/health").await;
    assert_eq!((status, body.as_str()), (503, "starting\n"));
    assert!(head.contains("cache-control: no-store"), "{head}");
    server.health.ready();
    assert_eq!(server.get("/health").await.0, 200);
    server.health.not_ready("stopping");
    let (status, _, body) = server.get("/health").await;
    assert_eq!((status, body.as_str()), (503, "stopping\n"));
}

#[tokio::test]
async fn a_page_and_its_twin_show_the_same_figure() {
    let server = Server::start().await;
    server.completed(1_234);
    let (_, service) = server.json(&format!("/api/v1/services/{SERVICE}")).await;
    assert_eq!(service["completed"]["today"], 1_234);
    assert_eq!(service["stages"]["started"], 2_468);
    assert_eq!(service["channels"], serde_json::json!([{"channel": "digital", "completed": 1_234}]));
    assert_eq!(service["completed"]["minutes"].as_array().unwrap().len(), 61);
    let (_, _, page) = server.get(&format!("/services/{SERVICE}")).await;
    assert!(page.contains("data-value=\"1234\""), "the page shows it");
    let (_, overview) = server.json("/api/v1/overview").await;
    assert_eq!(overview["total"]["today"], 1_234);
    assert_eq!(overview["departments"][0]["live"]["today"], 1_234);
    assert_eq!(overview["rates"]["completion"]["part"], 1_234);
    let (_, wall) = server.json("/api/v1/wall").await;
    assert_eq!(wall["tiles"].as_array().unwrap().len(), 6);
    let (_, list) = server.json("/api/v1/services?q=self%20assessment").await;
    assert_eq!(list["services"][0]["counted"]["completed"], 1_234);
    assert_eq!(list["totals"]["transactions"]["value"], 1_234.0);
}

/// Addresses of the Explorer whose page and twin hold the same figures, and where the figures stand in the answer.
const STATED: [(&str, &[&str]); 9] = [
    ("/explorer", &["/sums/volume", "/departments/0/sums/volume", "/largest/0/stated/volume", "/map/volume"]),
    ("/explorer?owners=then&to=2014-03", &["/sums/volume", "/departments/3/sums/volume"]),
    ("/explorer/all-services?sort=total-cost", &["/departments/0/sums/volume", "/departments/5/sums/volume"]),
    ("/explorer/all-services?by=service&sort=take-up&order=ascending", &["/services/0/stated/volume"]),
    ("/explorer/high-volume", &["/services/0/stated/volume", "/services/50/stated/volume"]),
    ("/explorer/search?q=pasport", &["/services/0/stated/volume"]),
    ("/explorer/treemap?department=hmrc", &["/map/tiles/0/volume", "/map/tiles/2/volume"]),
    ("/departments/dft", &["/stated/sums/volume", "/stated/services/3/stated/volume"]),
    ("/agencies/dvla", &["/stated/sums/volume", "/stated/services/0/stated/volume"]),
];

#[tokio::test]
async fn stated_figures_are_the_same_on_a_page_and_in_its_twin() {
    let server = Server::start().await;
    for (address, figures) in STATED {
        let (status, _, page) = server.get(address).await;
        assert_eq!(status, 200, "{address}");
        assert!(page.contains("<!DOCTYPE html>") && !page.contains(" style="), "{address}");
        let (status, json) = server.json(&format!("/api/v1{address}")).await;
        assert_eq!(status, 200, "{address}");
        for figure in figures {
            let n = json.pointer(figure).and_then(Json::as_u64).unwrap_or_else(|| panic!("{address}: {figure}"));
            assert!(page.contains(&views::format::exact(n)), "{address}: {figure} is {n}");
        }
        let sign = if address.contains('?') { '&' } else { '?' };
        let (status, head, csv) = server.get(&format!("/api/v1{address}{sign}format=csv")).await;
        assert!(status == 200 && head.contains("text/csv"), "{address}: {head}");
        assert!(csv.lines().count() > 1 && csv.lines().skip(1).all(|line| line.ends_with("OGL-UK-3.0")), "{address}");
    }
    let (_, service) = server.json(&format!("/api/v1/services/{SERVICE}")).await;
    let value = service.pointer("/stated/metrics/0/latest/now/value").and_then(Json::as_str).unwrap();
    let (_, _, page) = server.get(&format!("/services/{SERVICE}")).await;
    assert!(page.contains(&format!("<data value=\"{value}\"")), "{value}");
    let (_, values) = server.json(&format!("/api/v1/services/{SERVICE}/stated")).await;
    assert!(values["values"].as_array().unwrap().iter().any(|row| row["value"] == value && row["stands"] == true));
    let (_, revisions) = server.json("/api/v1/explorer/revisions").await;
    assert!(revisions["values"].as_array().unwrap().iter().any(|row| row["stands"] == false));
}

#[tokio::test]
async fn the_dashboard_and_the_explorer_add_up_to_the_same() {
    let server = Server::start().await;
    let (_, explorer) = server.json("/api/v1/explorer").await;
    let (_, list) = server.json("/api/v1/services").await;
    for (sum, of, ours) in [("volume", "with_volume", "stated"), ("total_cost", "with_cost", "cost")] {
        let (theirs, value) =
            (explorer["sums"][sum].as_f64().unwrap(), list["totals"][ours]["value"].as_f64().unwrap());
        assert!(theirs > 1e9 && (theirs - value).abs() < 1.0, "{sum}: {theirs} and {value}");
        assert_eq!(explorer["sums"][of], list["totals"][ours]["services"], "{sum}");
    }
}

#[tokio::test]
async fn what_the_explorer_cannot_show_is_refused_by_field() {
    let server = Server::start().await;
    for (query, field) in [
        ("explorer?to=2030-01", "to"),
        ("explorer?to=x", "to"),
        ("explorer/all-services?sort=%3Cb%3E", "sort"),
        ("explorer/all-services?by=agency", "by"),
        ("explorer/high-volume?order=1", "order"),
        ("explorer/search?q=a&q=b", "q"),
        ("explorer/treemap?department=nowhere", "department"),
        ("explorer/treemap?rest=1000000000000000000000", "rest"),
        ("departments/dft?owners=me", "owners"),
        ("agencies/dvla?without=-1", "without"),
    ] {
        let (status, _, page) = server.get(&format!("/{query}")).await;
        assert!(status == 400 && page.contains(&format!("<code>{field}</code>")), "{query}: {status}");
        let (status, problem) = server.json(&format!("/api/v1/{query}")).await;
        assert_eq!((status, problem["errors"][0]["field"].as_str()), (400, Some(field)), "{query}");
    }
    let (status, _, page) = server.get("/explorer/search?q=%3Cscript%3Ealert(1)%3C/script%3E").await;
    assert!(status == 200 && !page.contains("<script>alert") && page.contains("&lt;script&gt;"));
    for gone in ["/agencies/nowhere", "/departments/nowhere"] {
        assert_eq!(server.get(gone).await.0, 404);
        assert_eq!(server.json(&format!("/api/v1{gone}")).await.0, 404);
    }
    let (_, _, closed) = server.get("/departments/bis").await;
    assert!(closed.contains("Closed on 14 July 2016") && closed.contains("/departments/beis"));
    let (_, _, then) = server.get("/departments/bis?owners=then&to=2014-03").await;
    assert!(then.contains("Companies House filing service: annual accounts"));
}

#[tokio::test]
async fn what_is_not_there_is_a_page_or_a_problem() {
    let server = Server::start().await;
    for page in ["/nowhere", "/services/none-such", "/departments/none-such"] {
        let (status, _, body) = server.get(page).await;
        assert!(status == 404 && body.contains("Page not found"), "{page}");
    }
    for address in
        ["/api/v1/nowhere", "/api/v1/services/none-such", "/api/v1/departments/x", "/api/v1/services/x/series"]
    {
        let (status, head, body) = server.get(address).await;
        assert!(head.contains("application/problem+json"), "{address}: {head}");
        let problem: Json = serde_json::from_str(&body).unwrap();
        assert_eq!((status, problem["status"].as_u64()), (404, Some(404)), "{address}");
    }
    assert_eq!(server.get("/assets/look.css").await.0, 404, "no name without its hash");
}

#[tokio::test]
async fn a_list_that_cannot_be_is_refused_by_field_as_a_page_and_as_a_problem() {
    let server = Server::start().await;
    for (query, field) in [
        ("sort=size", "sort"),
        ("order=up", "order"),
        ("over=ever", "over"),
        ("limit=0", "limit"),
        ("limit=99999999999999999999", "limit"),
        ("after=none-such", "after"),
        ("department=none-such", "department"),
        ("agency=%27%3B+DROP+TABLE", "agency"),
        ("q=1&q=2", "q"),
    ] {
        let (status, _, page) = server.get(&format!("/services?{query}")).await;
        assert!(status == 400 && page.contains(&format!("<code>{field}</code>")), "{query}: {status}");
        let (status, problem) = server.json(&format!("/api/v1/services?{query}")).await;
        assert_eq!((status, problem["errors"][0]["field"].as_str()), (400, Some(field)), "{query}");
    }
    for (query, found) in [("q=%3Cscript%3E", false), ("department=dft&sort=name&order=descending&over=7-days", true)] {
        let (status, _, page) = server.get(&format!("/services?{query}")).await;
        assert_eq!((status, page.contains("scope=\"row\"")), (200, found), "{query}");
        assert!(!page.contains("<script>"), "{query}");
    }
    let (_, first) = server.json("/api/v1/services?limit=2&sort=name").await;
    let next = first["next"].as_str().unwrap();
    let (_, second) = server.json(&format!("/api/v1/services?limit=2&sort=name&after={next}")).await;
    assert!(second["services"][0]["service"]["name"].as_str() > first["services"][1]["service"]["name"].as_str());
    let (_, head, csv) = server.get("/api/v1/services?format=csv&limit=3").await;
    assert!(head.contains("text/csv"), "{head}");
    assert_eq!(csv.lines().count(), 4);
}

#[tokio::test]
async fn a_series_names_each_field_that_breaks_a_rule_and_says_when_the_store_is_away() {
    let server = Server::start().await;
    let (status, problem) = server.json(&format!("/api/v1/services/{SERVICE}/series?period=fortnight&from=now")).await;
    assert_eq!(status, 400);
    let fields: Vec<_> = problem["errors"].as_array().unwrap().iter().map(|error| error["field"].as_str()).collect();
    assert_eq!(fields, [Some("period"), Some("from")]);
    let (status, problem) = server.json(&format!("/api/v1/services/{SERVICE}/series?period=day")).await;
    assert_eq!((status, problem["title"].as_str()), (503, Some("Service Unavailable")));
    assert_eq!(server.json("/api/v1/books").await.0, 503);
    let twice = format!("/api/v1/services/{SERVICE}/series?period=day&period=hour");
    assert_eq!(server.json(&twice).await.0, 400);
}

#[tokio::test]
async fn an_unchanged_answer_costs_no_body() {
    let server = Server::start().await;
    let (_, head, page) = server.get("/").await;
    let address = page
        .split("href=\"/assets/look")
        .nth(1)
        .map(|rest| format!("/assets/look{}", &rest[..rest.find('"').unwrap()]));
    let (_, asset_head, _) = server.get(&address.unwrap()).await;
    assert!(asset_head.contains("immutable"), "{asset_head}");
    let tag = head.lines().find_map(|line| line.strip_prefix("etag: ")).unwrap().to_owned();
    let strong = tag.trim_start_matches("w/");
    let (status, _, body) = server.get_with("/", &format!("If-None-Match: W/\"x\", {strong}\r\n")).await;
    assert_eq!((status, body.as_str()), (304, ""));
    assert_eq!(server.get_with("/", "If-None-Match: \"x\"\r\n").await.0, 200);
}

#[tokio::test]
async fn long_answers_are_compressed_for_those_who_accept_it() {
    let server = Server::start().await;
    let (_, head, zipped) = server.get_with("/services", "Accept-Encoding: br, gzip;q=0.8\r\n").await;
    assert!(head.contains("content-encoding: gzip") && head.contains("vary: accept-encoding"), "{head}");
    let (_, head, plain) = server.get_with("/services", "Accept-Encoding: gzip;q=0, identity\r\n").await;
    assert!(!head.contains("content-encoding"), "{head}");
    assert!(zipped.len() * 2 < plain.len(), "{} against {}", zipped.len(), plain.len());
}

#[tokio::test]
async fn a_head_that_never_ends_is_dropped() {
    let server = Server::start_with(|config| config.http.header_ms_max = 100).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: ").await.unwrap();
    let mut rest = Vec::new();
    let ended = tokio::time::timeout(Duration::from_secs(3), stream.read_to_end(&mut rest)).await;
    assert!(ended.is_ok(), "the connection is closed");
}

#[tokio::test]
async fn a_viewer_gets_a_snapshot_and_then_what_changes() {
    let server = Server::start().await;
    server.completed(5);
    let mut viewer = server.connect().await;
    viewer.say(r#"{"op":"sub","topic":"service:hmrc-self-assessment","rate":10}"#).await;
    let snapshot = viewer.next("snap").await;
    let keys: Vec<_> = snapshot["keys"].as_array().unwrap().iter().map(|key| key.as_str().unwrap()).collect();
    assert_eq!(keys, ["started", "completed", "completed:digital", "completed_started"]);
    let value = |frame: &Json, list: &str, key: usize| -> Vec<u64> {
        let values = frame[list].as_array().unwrap().iter();
        values.filter(|v| v[0] == key).map(|v| v[2].as_u64().unwrap()).collect()
    };
    assert_eq!(value(&snapshot, "values", 1), [5, 5, 5], "minute, hour and day");
    server.completed(6);
    let tick = viewer.next("tick").await;
    assert_eq!(tick["prev"], snapshot["seq"]);
    assert!(value(&tick, "changes", 1).iter().all(|n| *n == 6));
    viewer.say(&format!(r#"{{"op":"unsub","topic":"service:{SERVICE}"}}"#)).await;
    viewer.say(r#"{"op":"sub","topic":"nothing"}"#).await;
    assert_eq!(viewer.next("err").await["code"], "unknown_topic");
    server.completed(7);
    assert_eq!(viewer.next("hb").await["today"], tick["today"], "heartbeats go on, ticks do not");
}

#[tokio::test]
async fn a_viewer_goes_on_from_where_it_was() {
    let server = Server::start().await;
    server.completed(5);
    let mut first = server.connect().await;
    first.say(r#"{"op":"sub","topic":"overview","rate":10}"#).await;
    let snapshot = first.next("snap").await;
    let (seq, epoch) = (snapshot["seq"].as_u64().unwrap(), snapshot["epoch"].as_str().unwrap());
    server.completed(9);
    let mut second = server.connect().await;
    second.say(&format!(r#"{{"op":"sub","topic":"overview","since":{seq},"epoch":"{epoch}"}}"#)).await;
    let tick = second.next("tick").await;
    assert_eq!(tick["prev"], seq);
    let mut third = server.connect().await;
    third.say(&format!(r#"{{"op":"sub","topic":"overview","since":{seq},"epoch":"another"}}"#)).await;
    assert!(third.next("snap").await["seq"].as_u64() > Some(seq));
}

#[tokio::test]
async fn bad_messages_are_answered_and_the_connection_is_kept() {
    let server = Server::start().await;
    let mut viewer = server.connect().await;
    for (message, code) in [
        ("nonsense", "bad_message"),
        (r#"{"op":"sub"}"#, "bad_message"),
        (r#"{"op":"sub","topic":"department:none"}"#, "unknown_topic"),
        (r#"{"op":"sub","topic":"wall","rate":3}"#, "bad_rate"),
        (r#"{"op":"rate","topic":"wall","rate":1}"#, "not_subscribed"),
    ] {
        viewer.say(message).await;
        assert_eq!(viewer.next("err").await["code"], code, "{message}");
    }
    viewer.socket.send(Message::binary(vec![1, 2])).await.unwrap();
    assert_eq!(viewer.next("err").await["code"], "bad_message");
    viewer.say(r#"{"op":"dance"}"#).await;
    viewer.say(r#"{"op":"sub","topic":"wall"}"#).await;
    assert_eq!(viewer.next("snap").await["topic"], "wall");
}

#[tokio::test]
async fn each_limit_of_a_connection_holds() {
    let server = Server::start_with(|config| config.live.subscriptions_max = 2).await;
    let mut viewer = server.connect().await;
    for topic in ["overview", "wall", "overview"] {
        viewer.say(&format!(r#"{{"op":"sub","topic":"{topic}"}}"#)).await;
        viewer.next("snap").await;
    }
    viewer.say(r#"{"op":"sub","topic":"department:dft"}"#).await;
    assert_eq!(viewer.next("err").await["code"], "too_many_subscriptions");

    let mut talker = server.connect().await;
    for _ in 0..60 {
        talker.say(r#"{"op":"dance"}"#).await;
    }
    assert_eq!(talker.next("err").await["code"], "too_many_messages");
    assert_eq!(talker.close_code().await, 4429);

    let mut shouter = server.connect().await;
    shouter.say(&"x".repeat(17 * 1024)).await;
    assert_eq!(shouter.close_code().await, 1009);

    let mut pinger = server.connect().await;
    pinger.socket.send(Message::Ping("here".into())).await.unwrap();
    let mut answered = false;
    for _ in 0..10 {
        let message = tokio::time::timeout(Duration::from_secs(3), pinger.socket.next()).await;
        answered |= matches!(message, Ok(Some(Ok(Message::Pong(_)))));
        if answered {
            break;
        }
    }
    assert!(answered, "a ping is answered");
}

#[tokio::test]
async fn strangers_and_the_one_too_many_are_turned_away_before_the_upgrade() {
    let server = Server::start_with(|config| {
        config.live.origins.push("https://performance.example".into());
        config.live.connections_max = 2;
    })
    .await;
    let refused = |answer: Result<Viewer, SocketError>| match answer {
        Err(SocketError::Http(answer)) => answer.status().as_u16(),
        _ => panic!("let in"),
    };
    assert_eq!(refused(server.try_connect(Some("https://evil.example")).await), 403);
    assert_eq!(refused(server.try_connect(Some("http://performance.example")).await), 403);
    let own = format!("http://{}", server.address);
    let first = server.try_connect(Some(&own)).await.expect("its own pages");
    let _second = server.try_connect(Some("https://performance.example")).await.expect("one of the list");
    assert_eq!(refused(server.try_connect(None).await), 503);
    drop(first);
    let deadline = Instant::now() + Duration::from_secs(5);
    while server.door.open() > 1 && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    server.try_connect(None).await.expect("a place is free again");
    assert_eq!(server.get("/live").await.0, 426);
}

#[tokio::test]
async fn at_the_end_viewers_are_told_to_come_back() {
    let server = Server::start().await;
    let mut viewer = server.connect().await;
    viewer.say(r#"{"op":"sub","topic":"overview"}"#).await;
    viewer.next("snap").await;
    server.trigger.stop();
    let bye = viewer.next("bye").await;
    assert_eq!(bye["code"], "restart");
    assert!((500..=2_500).contains(&bye["retry_ms"].as_u64().unwrap()));
    assert_eq!(viewer.close_code().await, 1012);
    server.last.stop();
}

#[tokio::test]
async fn heartbeats_say_who_is_behind_since_when() {
    let server = Server::start().await;
    let mut viewer = server.connect().await;
    let first = viewer.next("hb").await;
    assert_eq!((first["state"].as_str(), first["pipeline"]["state"].as_str()), (Some("starting"), Some("unknown")));
    server.completed(1);
    server.world.live().pipeline.on_contact(true);
    let ok = viewer.next("hb").await;
    assert_eq!((ok["state"].as_str(), ok["pipeline"]["state"].as_str()), (Some("ok"), Some("ok")));
    assert_eq!(ok["pipeline"]["since"], Json::Null);
    server.world.live().incomplete = Some("words".into());
    // Nothing more comes: after three seconds the figures are old, and the frame says since when.
    let behind = loop {
        let hb = viewer.next("hb").await;
        if hb["state"] != "ok" {
            break hb;
        }
    };
    assert_eq!((behind["state"].as_str(), behind["incomplete"].as_str()), (Some("behind"), Some("words")));
    assert_eq!(behind["pipeline"]["since"], ok["wm"]);
}
