//! What the description says is what is answered.

use serde_json::{Value as Json, json};

use super::server::Server;

/// The address of an operation with the examples of its parameters, and those of all others.
fn example(path: &str, get: &Json) -> String {
    let parameters = get["parameters"].as_array().unwrap();
    let text = |value: &Json| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let path = parameters.iter().filter(|one| one["in"] == "path").fold(path.to_owned(), |path, one| {
        path.replace(&format!("{{{}}}", one["name"].as_str().unwrap()), &text(&one["example"]))
    });
    // A span is either a usual one or from an instant on.
    let is_asked = |one: &&Json| one["in"] == "query" && !one["example"].is_null() && one["name"] != "from";
    let asked = parameters.iter().filter(is_asked);
    let asked: Vec<_> =
        asked.map(|one| format!("{}={}", one["name"].as_str().unwrap(), text(&one["example"]))).collect();
    format!("/api/v1{path}?{}", asked.join("&"))
}

/// Checks a value against a schema of the description.
fn check(description: &Json, schema: &Json, value: &Json, place: &str) {
    let mut whole = json!({ "$schema": "https://json-schema.org/draft/2020-12/schema" });
    whole["components"] = description["components"].clone();
    whole["allOf"] = json!([schema]);
    let validator = jsonschema::validator_for(&whole).unwrap();
    let errors: Vec<_> = validator.iter_errors(value).map(|e| format!("{}: {e}", e.instance_path())).take(5).collect();
    assert!(errors.is_empty(), "{place}: {errors:#?}");
}

#[tokio::test]
async fn each_answer_is_what_the_description_says() {
    let server = Server::start().await;
    server.completed(1_234);
    let (status, description) = server.json("/api/v1/openapi.json").await;
    assert_eq!((status, description["openapi"].as_str()), (200, Some("3.1.0")));
    let paths = description["paths"].as_object().unwrap();
    let mut answered = 0;
    for (path, methods) in paths {
        let get = &methods["get"];
        let address = example(path, get);
        let (status, head, body) = server.get(&address).await;
        assert!(
            get["responses"].get(status.to_string()).is_some(),
            "{address} answers {status}, which is not described"
        );
        let kind = head.lines().find_map(|line| line.strip_prefix("content-type: ")).unwrap();
        let kind = kind.split(';').next().unwrap();
        let mut response = &get["responses"][status.to_string()];
        if let Some(place) = response["$ref"].as_str() {
            response = description.pointer(&place[1..]).unwrap();
        }
        let described = &response["content"][kind];
        assert!(described.is_object(), "{address} answers {status} as {kind}, which is not described");
        if kind.ends_with("json") {
            check(&description, &described["schema"], &serde_json::from_str(&body).unwrap(), &address);
        }
        if status == 200 {
            answered += 1;
            assert!(head.contains("\netag: "), "{address}: {head}");
        }
        let has_csv = get["parameters"].as_array().unwrap().iter().any(|one| one["name"] == "format");
        if has_csv && status == 200 {
            let (status, head, _) = server.get(&address.replace("format=json", "format=csv")).await;
            assert!(status == 200 && head.contains("content-type: text/csv"), "{address}: {head}");
        }
    }
    assert!(answered > 15, "{answered} of {}; without a store the others are away", paths.len());
}

#[tokio::test]
async fn a_wrong_answer_would_be_noticed() {
    let server = Server::start().await;
    let (_, description) = server.json("/api/v1/openapi.json").await;
    let (_, mut wall) = server.json("/api/v1/wall").await;
    wall["total"]["today"] = "many".into();
    let schema =
        description["paths"]["/wall"]["get"]["responses"]["200"]["content"]["application/json"]["schema"].clone();
    let found = std::panic::catch_unwind(|| check(&description, &schema, &wall, "wall"));
    assert!(found.is_err());
}
