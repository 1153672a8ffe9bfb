//! What is not answered, and how that is said.

use std::time::Duration;

use serde_json::Value as Json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::server::{SERVICE, Server};
use crate::http::ADDRESS_MAX;
use crate::notes;

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
async fn a_head_that_never_ends_is_dropped() {
    let server = Server::start_with(|config| config.http.header_ms_max = 100).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: ").await.unwrap();
    let mut rest = Vec::new();
    let ended = tokio::time::timeout(Duration::from_secs(3), stream.read_to_end(&mut rest)).await;
    assert!(ended.is_ok(), "the connection is closed");
}

/// An error as a program is told it: the status of the answer and of the body, and both media types.
async fn told(server: &Server, request: &str) -> (u16, String, String) {
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), head.to_lowercase(), body.to_owned())
}

#[tokio::test]
async fn every_error_is_a_page_for_people_and_a_problem_for_programs() {
    let server = Server::start().await;
    let request = |line: &str, more: &str| format!("{line} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{more}\r\n");
    let long = "x".repeat(ADDRESS_MAX);
    let notes = format!("/services/{SERVICE}/notes");
    let form = "Content-Type: application/x-www-form-urlencoded\r\n";
    let length = |bytes: usize| format!("{form}Authorization: Bearer x\r\nContent-Length: {bytes}\r\n");
    for (verb, path, more, status) in [
        ("GET", "/nowhere", String::new(), 404),
        ("GET", "/services/%ff", String::new(), 400),
        ("DELETE", "/services", String::new(), 405),
        ("POST", "/wall", "Content-Length: 0\r\n".into(), 405),
        ("GET", &format!("/services?q={long}"), String::new(), 414),
        ("GET", "/services?sort=up", String::new(), 400),
        ("POST", &notes, length(notes::BODY_MAX + 1), 413),
        ("POST", &notes, "Content-Type: text/plain\r\nAuthorization: Bearer x\r\nContent-Length: 0\r\n".into(), 415),
        ("POST", &notes, format!("Origin: https://elsewhere.example\r\n{}", length(0)), 403),
    ] {
        let body = "y".repeat(if status == 413 { notes::BODY_MAX + 1 } else { 0 });
        let page = told(&server, &(request(&format!("{verb} {path}"), &more) + &body)).await;
        assert_eq!(page.0, status, "{verb} {path}: {}", page.1);
        assert!(page.1.contains("content-type: text/html") && page.2.contains("<h1>"), "{verb} {path}: {}", page.1);
        assert!(page.1.contains("content-security-policy"), "{verb} {path}: {}", page.1);
        let problem = told(&server, &(request(&format!("{verb} /api/v1{path}"), &more) + &body)).await;
        // What is not JSON is 415 however long it is not.
        let status = if status == 413 { 415 } else { status };
        assert_eq!(problem.0, status, "{verb} /api/v1{path}: {}", problem.1);
        assert!(problem.1.contains("content-type: application/problem+json"), "{verb} {path}: {}", problem.1);
        let body: Json = serde_json::from_str(&problem.2).unwrap();
        assert_eq!(body["status"], status, "{verb} {path}");
        assert!(body["detail"].as_str().is_some_and(|detail| detail.len() > 10), "{body}");
    }
    let body = " ".repeat(notes::BODY_MAX + 1);
    let json =
        format!("Content-Type: application/json\r\nAuthorization: Bearer x\r\nContent-Length: {}\r\n", body.len());
    let (status, head, _) = told(&server, &(request(&format!("POST /api/v1{notes}"), &json) + &body)).await;
    assert!(status == 413 && head.contains("application/problem+json"), "{head}");
    let (status, head, _) = told(&server, &request("GET /api/v1/wall", "Accept: text/html, image/*\r\n")).await;
    assert!(status == 406 && head.contains("application/problem+json"), "{head}");
    for fine in ["*/*", "application/json", "application/*;q=0.1", "text/html, */*;q=0.8"] {
        let (status, ..) = told(&server, &request("GET /api/v1/wall", &format!("Accept: {fine}\r\n"))).await;
        assert_eq!(status, 200, "{fine}");
    }
    let (status, head, body) = told(&server, &request("HEAD /services", "")).await;
    assert!(status == 200 && head.contains("etag") && body.is_empty(), "{head}");
    let (_, head, _) = told(&server, &request("POST /api/v1/wall", "Content-Length: 0\r\n")).await;
    assert!(head.contains("allow: get,head"), "{head}");
    for unknown in ["/api", "/api/", "/api/v2/overview", "/api/v1", "/api/v1/"] {
        let (status, head, _) = told(&server, &request(&format!("GET {unknown}"), "")).await;
        assert!(status == 404 && head.contains("application/problem+json"), "{unknown}: {head}");
    }
}

#[tokio::test]
async fn a_client_that_asks_too_much_is_told_when_to_come_back() {
    let server = Server::start_with(|config| {
        config.limits.reads_per_minute = 3;
        config.limits.refused_tokens_per_minute = 2;
        config.limits.proxies.push("127.0.0.1".parse().unwrap());
    })
    .await;
    let from = |client: &str| format!("X-Forwarded-For: {client}\r\n");
    let mut seen = Vec::new();
    for _ in 0..4 {
        seen.push(server.get_with("/api/v1/books", &from("192.0.2.1")).await.0);
    }
    assert_eq!(seen, [503, 503, 503, 429], "the store is away, and after three the client is");
    let (status, head, body) = server.get_with("/api/v1/books", &from("192.0.2.1")).await;
    assert!(status == 429 && head.contains("problem+json"), "{head}");
    let problem: Json = serde_json::from_str(&body).unwrap();
    let seconds = problem["retry_after_s"].as_u64().unwrap();
    assert!((1..=20).contains(&seconds) && head.contains(&format!("retry-after: {seconds}")), "{head}");
    let (status, head, page) = server.get_with("/audit", &from("192.0.2.1")).await;
    assert!(status == 429 && head.contains("retry-after") && page.contains("<h1>Too many requests</h1>"), "{head}");
    assert_eq!(server.get_with("/api/v1/books", &from("192.0.2.2")).await.0, 503, "another client");
    assert_eq!(
        server.get_with("/api/v1/overview", &from("192.0.2.1")).await.0,
        200,
        "what costs little is not bounded"
    );
}
