//! Pages and their twins, and how they are sent.

use serde_json::Value as Json;

use super::server::{SERVICE, Server};

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
