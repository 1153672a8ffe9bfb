//! Figures that departments have stated.

use serde_json::Value as Json;

use super::server::{SERVICE, Server};

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
