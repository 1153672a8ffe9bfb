//! `/api/v1/openapi.json`: the description of the read API (OpenAPI 3.1), made from the list of its addresses.
//!
//! Invariant: nothing is described that is not in `routes`, and everything in it is. Schemas of answers come from the types
//! that are answered, rules of parameters from the functions that read them.

use axum::Extension;
use axum::http::HeaderMap;
use axum::response::Response;
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};
use views::ask::{Parameter, Rule, SLUG_MAX};

use crate::answer::CACHE;
use crate::notes::{Sent, Stored};
use crate::operation::Operation;
use crate::problem::{PROBLEM, Problem};
use crate::rendered::Rendered;

/// A description: an object of its own kind.
#[derive(JsonSchema)]
pub struct Description {
    #[expect(dead_code, reason = "only described")]
    openapi: String,
}

/// `/api/v1/openapi.json`
pub async fn read(Extension(description): Extension<Rendered>, headers: HeaderMap) -> Response {
    description.answer(&headers, CACHE)
}

const ABOUT: &str = "Live and stated performance of government services: what the pages show, with the same parameters. \
    A figure that is not known is `null`, never 0. Instants are unix milliseconds (`_ms`) or seconds (`_s`), days are \
    London dates. A parameter is given at most once; an empty one counts as absent, an unknown one is left alone. Every \
    address that is read answers HEAD too, and 304 to an `If-None-Match` that names what has not changed. The same figures \
    as they change: the WebSocket `/live`.";

/// What a parameter is for, and a value that is good.
const MEANINGS: [(&str, &str, &str); 31] = [
    ("add", "Text by which one more service is looked for.", "passport"),
    ("after", "Rows after that one: `next` of the answer before.", ""),
    ("against", "What the small charts stand against.", "week"),
    ("agency", "Only services of this agency.", ""),
    ("by", "Which list.", "service"),
    ("days", "Days to look back.", "31"),
    ("department", "Only this department.", "dft"),
    ("departments", "Ids of departments, with commas between; at most six lines in all.", "dft"),
    ("event_id", "The id under which the event was sent.", "a-1"),
    ("format", "JSON, or the table as CSV (RFC 4180).", "json"),
    ("from", "When the first period begins.", "2026-01"),
    ("hours", "Hours to look back.", "24"),
    (
        "id",
        "The hash of an event's id: XXH3-128, seeded with the service's number.",
        "0b9f52fc734d3e6eac027b4cd29740a1",
    ),
    ("limit", "Rows at most.", "10"),
    ("skip", "Rows of a page before its first; answers for programs have all rows.", "0"),
    ("metric", "What is compared.", "transactions"),
    ("order", "Which way rows are ordered; those without a figure stand last both ways.", "ascending"),
    ("outcome", "Only records with this outcome.", "undecodable"),
    ("over", "Which time the counted figures are of.", "7-days"),
    ("owners", "Under whom figures are shown: today's owner, or that of the time.", "then"),
    ("path", "The path of a page of GOV.UK.", "/1619-bursary-fund"),
    ("period", "The length of a period; at most 1,500 of them.", "month"),
    ("q", "Words in names.", "tax"),
    ("rest", "How often the tile of others was chosen.", "0"),
    ("scale", "Against the first period, or as it is.", "absolute"),
    ("service", "Only this service.", "hmrc-self-assessment"),
    ("services", "Ids of services, with commas between; at most six lines in all.", "hmrc-self-assessment"),
    ("show", "How stacked parts are drawn on the page.", "number"),
    ("sort", "The column by which rows are ordered.", "name"),
    ("span", "The usual spans, up to now: 3 hours, 24 hours, 30 days, 9 weeks, 12 months, 24 quarters.", "12m"),
    ("table", "Which table.", "hours"),
];
/// Those whose meaning depends on the address.
const TO: &str = "When the last period ends; in the Explorer, the last month of the twelve.";
const WITHOUT: &str = "How many of the largest departments a treemap leaves out.";

/// The whole description.
#[must_use]
pub fn description(operations: &[Operation]) -> Value {
    let settings = SchemaSettings::draft2020_12().for_serialize();
    let mut answers = settings.with(|s| s.definitions_path = "/components/schemas".into()).into_generator();
    let problem = answers.subschema_for::<Problem>();
    let paths: Map<_, _> =
        operations.iter().map(|operation| (operation.path.to_owned(), path(operation, &mut answers))).collect();
    let stored = answers.subschema_for::<Stored>().to_value();
    let mut paths = Value::Object(paths);
    for operation in operations.iter().filter(|operation| operation.is_written) {
        paths[operation.path]["post"] = post(&stored);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Performance Platform: the read API",
            "version": "1",
            "description": ABOUT,
            "license": { "name": "MIT; stated figures under the Open Government Licence v3.0", "url": "https://www.nationalarchives.gov.uk/doc/open-government-licence/version/3/" },
        },
        "servers": [{ "url": "/api/v1" }],
        "paths": paths,
        "components": {
            "schemas": answers.take_definitions(true),
            "responses": problems(&problem.to_value()),
            "securitySchemes": {
                "department": { "type": "http", "scheme": "bearer", "description": "The token of a department: the one that its systems send events with." },
            },
        },
    })
}

fn path(operation: &Operation, generator: &mut SchemaGenerator) -> Value {
    let parameters = operation.parameters.iter().map(|parameter| query(parameter, operation));
    let id = operation.path.contains("{id}").then(|| path_id(operation.path));
    let parameters: Vec<_> = id.into_iter().chain(parameters).collect();
    let mut content = Map::new();
    let has_format = operation.parameters.iter().any(|parameter| parameter.name == "format");
    let is_csv = operation.path.ends_with(".csv");
    if !is_csv {
        content.insert("application/json".into(), json!({ "schema": (operation.schema)(generator).to_value() }));
    }
    if is_csv || has_format {
        content.insert("text/csv".into(), json!({ "schema": { "type": "string" } }));
    }
    let etag = json!({ "ETag": { "schema": { "type": "string" }, "description": "For `If-None-Match`." } });
    let mut responses = json!({
        "200": { "description": operation.summary, "headers": etag, "content": content },
        "304": { "description": "Nothing has changed since the answer that `If-None-Match` names.", "headers": etag },
    });
    let mut refused = vec!["406", "414"];
    refused.extend((!operation.parameters.is_empty()).then_some("400"));
    refused.extend(operation.path.contains("{id}").then_some(["400", "404"]).into_iter().flatten());
    refused.extend(operation.is_bounded.then_some("429"));
    refused.extend(operation.is_from_store.then_some("503"));
    refer(&mut responses, &refused);
    json!({ "get": {
        "operationId": name("get", operation.path),
        "summary": operation.summary,
        "parameters": parameters,
        "responses": responses,
    } })
}

fn post(stored: &Value) -> Value {
    let body = SchemaSettings::draft2020_12().for_deserialize().with(|s| s.inline_subschemas = true);
    let mut body = body.into_generator().into_root_schema_for::<Sent>().to_value();
    body.as_object_mut().expect("a struct is an object").remove("$schema");
    let mut responses = json!({
        "201": { "description": "The note is stored; it is shown within seconds.", "content": { "application/json": { "schema": stored } } },
    });
    refer(&mut responses, &["400", "401", "403", "404", "413", "414", "415", "422", "429", "503"]);
    json!({
        "operationId": "writeNote",
        "summary": "Writes a note about a service, or a new version of one.",
        "description": "A department writes about its own services. Nothing is overwritten: what a note said before stays.",
        "security": [{ "department": [] }],
        "parameters": [path_id("/services/{id}")],
        "requestBody": { "required": true, "content": { "application/json": { "schema": body } } },
        "responses": responses,
    })
}

fn refer(responses: &mut Value, statuses: &[&str]) {
    for status in statuses {
        responses[*status] = json!({ "$ref": format!("#/components/responses/{status}") });
    }
}

/// `/services/{id}/series` → `getServicesIdSeries`
fn name(verb: &str, path: &str) -> String {
    let words = path.split(|letter: char| !letter.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.fold(verb.to_owned(), |name, word| {
        let (first, rest) = word.split_at(1);
        name + &first.to_ascii_uppercase() + rest
    })
}

fn path_id(path: &str) -> Value {
    let (what, example) = match path {
        _ if path.starts_with("/departments") => ("department", "dft"),
        _ if path.starts_with("/agencies") => ("agency", "dvla"),
        _ => ("service", "hmrc-self-assessment"),
    };
    json!({
        "name": "id", "in": "path", "required": true, "example": example,
        "description": format!("The permanent id of a {what}."),
        "schema": { "type": "string" },
    })
}

fn query(parameter: &Parameter, operation: &Operation) -> Value {
    // Empty counts as absent, as forms without script send it.
    let schema = match &parameter.rule {
        Rule::Text(most) => json!({ "type": "string", "maxLength": most }),
        Rule::Choice(words) => {
            let words: Vec<_> = words.iter().map(String::as_str).chain([""]).collect();
            json!({ "type": "string", "enum": words })
        }
        Rule::Slug => json!({ "type": "string", "pattern": format!("^[a-z0-9-]{{0,{SLUG_MAX}}}$") }),
        // A number within bounds, or a text without a character.
        Rule::Number(bounds, usual) => json!({
            "type": ["integer", "string"], "maxLength": 0,
            "minimum": bounds.start(), "maximum": bounds.end(), "default": usual,
        }),
        Rule::Said(rule) => json!({ "type": "string", "description": rule }),
    };
    let (meaning, example) = meaning(parameter.name);
    let mut described = json!({
        "name": parameter.name, "in": "query", "description": meaning, "schema": schema,
        "required": operation.required.contains(&parameter.name),
    });
    let is_choice = |words: &Vec<String>| words.iter().any(|word| word == example);
    match &parameter.rule {
        _ if example.is_empty() => {}
        Rule::Choice(words) if !is_choice(words) => {}
        Rule::Number(..) => described["example"] = example.parse::<u32>().map_or(Value::Null, Value::from),
        _ => described["example"] = example.into(),
    }
    described
}

fn meaning(name: &str) -> (&'static str, &'static str) {
    match name {
        "to" => (TO, ""),
        "without" => (WITHOUT, "1"),
        _ => MEANINGS.iter().find(|known| known.0 == name).map_or(("", ""), |known| (known.1, known.2)),
    }
}

fn problems(problem: &Value) -> Value {
    let all = [
        ("400", "A parameter or the body breaks a rule; `errors` names which."),
        ("401", "There is no token, or it is not known."),
        ("403", "Sent from a page of another site."),
        ("404", "There is no such id."),
        ("406", "`Accept` excludes the media type of the answer."),
        ("413", "The body is too long."),
        ("414", "The address is too long."),
        ("415", "The body is not JSON."),
        (
            "422",
            "The body is not what a note must be, or the token is of a department that may not write about this service.",
        ),
        ("429", "Too many; `Retry-After` says when to come back."),
        ("503", "Something that is needed does not answer at present; `Retry-After` says when to try again."),
    ];
    let one = |(status, words): (&str, &str)| {
        let mut told = json!({ "description": words, "content": { PROBLEM: { "schema": problem } } });
        if matches!(status, "429" | "503") {
            told["headers"] = json!({ "Retry-After": { "schema": { "type": "integer" }, "description": "Seconds." } });
        }
        (status.to_owned(), told)
    };
    Value::Object(all.into_iter().map(one).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routes::operations;

    #[test]
    fn every_parameter_has_a_meaning_and_every_address_a_name_of_its_own() {
        let operations = operations();
        for parameter in operations.iter().flat_map(|operation| &operation.parameters) {
            assert!(!meaning(parameter.name).0.is_empty(), "{} is for what?", parameter.name);
        }
        let mut names: Vec<_> = operations.iter().map(|operation| name("get", operation.path)).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), operations.len());
    }

    #[test]
    fn no_two_types_share_a_name() {
        let described = description(&operations());
        let schemas = described["components"]["schemas"].as_object().expect("schemas");
        let twice: Vec<_> = schemas.keys().filter(|name| name.ends_with(|last: char| last.is_ascii_digit())).collect();
        assert_eq!(twice, Vec::<&String>::new(), "give one of them another name");
    }
}
