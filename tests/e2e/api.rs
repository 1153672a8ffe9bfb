//! The read API against its own description: what is answered, what is refused, and what nobody asks for who means well.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use dev::Service;
use serde_json::{Value as Json, json};
use tests::events::Mix;
use tests::get;
use tests::sender::Senders;
use tests::shared::Shared;
use tests::stack::Stack;
use tests::until::{PATIENCE, until};

use crate::suite::Test;

pub(crate) fn tests() -> Vec<Test> {
    vec![
        Test::needing("api::schemathesis_finds_nothing", lacks_schemathesis, schemathesis_finds_nothing),
        Test::new("api::answers_and_refusals_are_as_described", as_described),
        Test::new("api::nothing_that_is_asked_does_harm", nothing_does_harm),
        Test::new("api::who_guesses_tokens_waits", who_guesses_waits),
    ]
}

const SERVICE: &str = "hmrc-self-assessment";

/// A platform with some counted events and published figures.
fn platform(shared: &Shared, name: &str) -> (Stack, Vec<Service>) {
    let mut stack = Stack::new(shared, name);
    let limits = ["LIMITS__READS_PER_MINUTE", "LIMITS__WRITES_PER_MINUTE", "LIMITS__REFUSED_TOKENS_PER_MINUTE"];
    let of_notes = ["WRITING__NOTES_PER_MINUTE_MAX", "WRITING__NOTES_PER_MINUTE_AND_TOKEN_MAX"];
    for limit in limits.into_iter().chain(of_notes) {
        stack.set(&format!("GATEWAY_{limit}"), &1_000_000);
    }
    stack.provision();
    let collector = stack.collector();
    stack.set("GATEWAY_WRITING__COLLECTOR", &format!("http://{}", collector.grpc()));
    let (aggregator, gateway) = (stack.aggregator(1), stack.gateway());
    Senders::new(&stack, collector.grpc()).send_all(&Mix::new(77, name).fresh(2_000), PATIENCE);
    let told = [("IMPORTER_COLLECTOR", format!("http://{}", collector.grpc()))];
    let told = [(told[0].0, told[0].1.as_str()), ("IMPORTER_TOKEN", stack.token("co"))];
    dev::service::run_to_end("importer", &["published"], &told, stack.dir()).expect("published figures are stated");
    until("figures, stated and counted", PATIENCE, || {
        let explorer = get::json(gateway.http(), "/api/v1/explorer")?;
        let audit = get::json(gateway.http(), "/api/v1/audit")?;
        let books = get::json(gateway.http(), "/api/v1/books")?;
        let is_there = explorer["sums"]["volume"].is_u64() && audit["total"]["counted"] == 2_000 && books.is_object();
        is_there.then_some(()).ok_or_else(|| format!("{} {}", explorer["sums"], audit["total"]))
    });
    (stack, vec![gateway, aggregator, collector])
}

/// An answer: status, head in small letters, body.
type Answer = (u16, String, String);

fn ask(gateway: SocketAddr, line: &str, headers: &str, body: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(gateway).expect("connects");
    stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a limit");
    let head = format!(
        "{line} HTTP/1.1\r\nHost: {gateway}\r\nConnection: close\r\nContent-Length: {}\r\n{headers}\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).expect("sent");
    stream.write_all(body).expect("sent");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap_or_else(|error| panic!("{line}: {error}"));
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{line} is answered {answer:?}"));
    (
        head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status"),
        head.to_lowercase(),
        body.to_owned(),
    )
}

/// What a service's log has of mistakes.
fn mistakes(service: &Service) -> Vec<String> {
    let log = std::fs::read_to_string(service.log()).expect("a log");
    log.lines().filter(|line| line.contains("panicked") || line.contains("ERROR")).map(str::to_owned).collect()
}

fn description(gateway: SocketAddr) -> Json {
    get::json(gateway, "/api/v1/openapi.json").expect("a description")
}

/// Its reads: path, parameters of the query, and the whole.
fn reads(description: &Json) -> Vec<(String, Vec<Json>, Json)> {
    let paths = description["paths"].as_object().expect("paths");
    let read = |(path, methods): (&String, &Json)| {
        let id = match path {
            path if path.starts_with("/departments") => "dft",
            path if path.starts_with("/agencies") => "dvla",
            _ => SERVICE,
        };
        let parameters = methods["get"]["parameters"].as_array().expect("parameters");
        let query = parameters.iter().filter(|one| one["in"] == "query").cloned().collect();
        (path.replace("{id}", id), query, methods["get"].clone())
    };
    paths.iter().map(read).collect()
}

fn word(value: &Json) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The address of a read with one parameter, and those that it must have.
fn address(path: &str, parameters: &[Json], name: &str, value: &str) -> String {
    let needed = parameters.iter().filter(|one| one["required"] == true && one["name"] != name);
    let needed: String = needed.map(|one| format!("{}={}&", word(&one["name"]), word(&one["example"]))).collect();
    if name.is_empty() { format!("{path}?{needed}") } else { format!("{path}?{needed}{name}={value}") }
}

/// Values that keep and that break the rule of a parameter, percent-encoded.
fn values(parameter: &Json) -> (Vec<String>, Vec<String>) {
    let schema = &parameter["schema"];
    if let Some(words) = schema["enum"].as_array() {
        return (words.iter().map(word).collect(), vec!["none-of-them".into(), "%F0%9F%92%A9".into()]);
    }
    if let (Some(least), Some(most)) = (schema["minimum"].as_i64(), schema["maximum"].as_i64()) {
        let bad = [(least - 1).to_string(), (most + 1).to_string(), "1.5".into(), "ten".into()];
        return (vec![least.to_string(), most.to_string(), schema["default"].to_string()], bad.into());
    }
    if let Some(most) = schema["maxLength"].as_u64() {
        let text = |n: u64| "%C3%A9".repeat(usize::try_from(n).expect("small"));
        return (vec![text(most), "a%20b".into()], vec![text(most + 1)]);
    }
    let good = parameter["example"].as_str().map(str::to_owned).into_iter().collect();
    let is_slug = schema["pattern"].is_string();
    (good, if is_slug { vec!["A%20b".into(), "x".repeat(251)] } else { Vec::new() })
}

/// Checks an answer against what is described for its status and media type.
fn conforms(description: &Json, read: &Json, place: &str, (status, head, body): &Answer) {
    let mut response = &read["responses"][status.to_string()];
    assert!(response.is_object(), "{place} answers {status}, which is not described: {body}");
    if let Some(at) = response["$ref"].as_str() {
        response = description.pointer(&at[1..]).expect("a described response");
    }
    let kind = head.lines().find_map(|line| line.strip_prefix("content-type: ")).expect("a media type");
    let kind = kind.split(';').next().expect("the first part").trim();
    let content = &response["content"][kind];
    assert!(content.is_object(), "{place} answers {status} as {kind}, which is not described");
    if kind.ends_with("json") {
        let whole = json!({ "components": description["components"], "allOf": [content["schema"]] });
        let validator = jsonschema::validator_for(&whole).expect("a schema");
        let body: Json = serde_json::from_str(body).unwrap_or_else(|error| panic!("{place}: {error}: {body}"));
        let errors: Vec<_> =
            validator.iter_errors(&body).map(|e| format!("{}: {e}", e.instance_path())).take(3).collect();
        assert!(errors.is_empty(), "{place}: {errors:#?}");
    }
    assert!(*status != 200 || head.contains("\netag: "), "{place} has no entity tag");
}

fn as_described(shared: &Shared) {
    let (_stack, services) = platform(shared, "described");
    let gateway = services[0].http();
    let description = description(gateway);
    let (mut good, mut bad) = (0, 0);
    for (path, parameters, read) in reads(&description) {
        let get = |address: &str| ask(gateway, &format!("GET /api/v1{address}"), "", &[]);
        let plain = address(&path, &parameters, "", "");
        let answer = get(&plain);
        assert!(answer.0 == 200 || path == "/audit/receipt", "{plain}: {}", answer.2);
        conforms(&description, &read, &plain, &answer);
        let head = ask(gateway, &format!("HEAD /api/v1{plain}"), "", &[]);
        assert_eq!((head.0, head.2.as_str()), (answer.0, ""), "HEAD {plain}");
        for parameter in &parameters {
            let name = word(&parameter["name"]);
            let (keeping, breaking) = values(parameter);
            for value in keeping {
                let address = address(&path, &parameters, &name, &value);
                let answer = get(&address);
                // A comparison is by days or longer; departments are not found by a name that none has.
                let is_crossed = path == "/compare" && ["period", "span"].contains(&name.as_str());
                assert!(answer.0 == 200 || is_crossed && answer.0 == 400, "{address}: {}", answer.2);
                conforms(&description, &read, &address, &answer);
                good += 1;
            }
            for value in breaking {
                let address = address(&path, &parameters, &name, &value);
                let answer = get(&address);
                assert_eq!(answer.0, 400, "{address} breaks a rule");
                conforms(&description, &read, &address, &answer);
                let problem: Json = serde_json::from_str(&answer.2).expect("JSON");
                assert_eq!(problem["errors"][0]["field"], name.as_str(), "{address}: {problem}");
                bad += 1;
            }
        }
    }
    let (_, head, _) = ask(gateway, "GET /api/v1/openapi.json", "", &[]);
    let tag = head.lines().find_map(|line| line.strip_prefix("etag: ")).expect("a tag").replace("w/", "W/");
    let (status, _, body) = ask(gateway, "GET /api/v1/openapi.json", &format!("If-None-Match: {tag}\r\n"), &[]);
    assert_eq!((status, body.as_str()), (304, ""));
    assert!(good > 150 && bad > 150, "{good} and {bad} cases");
    eprintln!("api: {good} addresses answered and {bad} refused as described");
    assert_eq!(mistakes(&services[0]), Vec::<String>::new());
}

/// What comes from nobody who means well, percent-encoded or broken.
const HOSTILE: [&str; 20] = [
    "%00",
    "%ff%fe",
    "%",
    "%zz",
    "%3Cscript%3Ealert(1)%3C/script%3E",
    "%22%20onload=%22x",
    "%27%20OR%201=1%20--",
    "%27%3B%20DROP%20TABLE%20cells%3B%20--",
    "%5C%27%29%20UNION%20ALL%20SELECT%201%20--",
    "-1",
    "1e999",
    "18446744073709551616",
    "-9223372036854775809",
    "9999-12-31",
    "0000-01",
    "1970-01-01T00:00:00%2B14:00",
    "%F0%9F%92%A9%E2%80%AE%CC%81",
    "..%2f..%2fetc%2fpasswd",
    "a,b,,%2C,a",
    "{x:String}",
];

fn is_sound(place: &str, (status, head, body): &Answer) {
    assert!([200, 303, 400, 401, 404, 414, 415, 422].contains(status), "{place} is answered {status}: {body}");
    let is_page = head.contains("content-type: text/html");
    assert!(!is_page || !body.contains("<script>alert") && !body.contains("\" onload=\""), "{place} repeats markup");
    for inside in ["DB::Exception", "Code: ", "FORMAT ", "panicked", ".rs:"] {
        assert!(!body.contains(inside), "{place} tells of the inside: {inside}");
    }
    assert!(head.contains("default-src 'self'") && !head.contains("unsafe"), "{place}: {head}");
}

fn nothing_does_harm(shared: &Shared) {
    let (stack, services) = platform(shared, "hostile");
    let gateway = services[0].http();
    let mut asked = 0;
    let mut get = |address: &str| {
        is_sound(address, &ask(gateway, &format!("GET {address}"), "", &[]));
        asked += 1;
    };
    for (path, parameters, _) in reads(&description(gateway)) {
        for side in ["/api/v1", ""] {
            for value in HOSTILE {
                for parameter in &parameters {
                    get(&format!("{side}{}", address(&path, &parameters, &word(&parameter["name"]), value)));
                }
            }
            for parameter in &parameters {
                let name = word(&parameter["name"]);
                get(&format!("{side}{path}?{name}=1&{name}=1"));
                get(&format!("{side}{path}?{name}={}", "9".repeat(7_000)));
            }
        }
    }
    for value in HOSTILE {
        for place in ["services", "departments", "agencies", "assets", "explorer"] {
            get(&format!("/{place}/{value}"));
            get(&format!("/api/v1/{place}/{value}"));
        }
        get(&format!("/services/{value}/notes"));
        get(&format!("/api/v1/services/{value}/series"));
    }
    // What is typed into the form, field by field.
    let here = format!("Origin: http://{gateway}\r\nContent-Type: application/x-www-form-urlencoded\r\n");
    let program = format!("Authorization: Bearer {}\r\nContent-Type: application/json\r\n", stack.token("hmrc"));
    let line = format!("POST /services/{SERVICE}/notes");
    let good =
        [("day", "2026-11-02"), ("kind", "other"), ("text", "x"), ("author", "a"), ("token", stack.token("hmrc"))];
    for value in HOSTILE {
        for (field, _) in good {
            let pair = |(name, usual): (&str, &str)| format!("{name}={}", if name == field { value } else { usual });
            let body = good.map(pair).join("&");
            is_sound(&body, &ask(gateway, &line, &here, body.as_bytes()));
        }
        let body = format!("{{\"day\":\"{value}\",\"kind\":\"{value}\",\"text\":\"{value}\",\"author\":\"{value}\"}}");
        is_sound(&body, &ask(gateway, &line.replace("/services", "/api/v1/services"), &program, body.as_bytes()));
    }
    // What was stored of that is shown as text.
    let written = format!("/services/{SERVICE}/notes");
    let shown = until("the notes are shown", PATIENCE, || {
        let shown = ask(gateway, &format!("GET {written}"), "", &[]);
        if shown.2.contains("&lt;script&gt;alert(1)") { Ok(shown) } else { Err("not yet".to_owned()) }
    });
    is_sound(&written, &shown);
    is_sound("the service", &ask(gateway, &format!("GET /services/{SERVICE}"), "", &[]));
    for (headers, status) in [("Origin: https://elsewhere.example\r\n", 403), ("Sec-Fetch-Site: cross-site\r\n", 403)] {
        for side in ["", "/api/v1"] {
            let line = format!("POST {side}/services/{SERVICE}/notes");
            assert_eq!(ask(gateway, &line, headers, b"text=x").0, status, "{line} {headers}");
        }
    }
    eprintln!("api: {asked} hostile addresses");
    assert!(asked > 4_000, "{asked}");
    let wrong: Vec<_> = services.iter().flat_map(mistakes).collect();
    assert_eq!(wrong, Vec::<String>::new());
    for service in &services {
        let log = std::fs::read_to_string(service.log()).expect("a log");
        assert!(!log.contains(stack.token("hmrc")), "a token stands in the log of {}", service.log().display());
    }
}

fn who_guesses_waits(shared: &Shared) {
    let mut stack = Stack::new(shared, "guesses");
    stack.set("GATEWAY_LIMITS__REFUSED_TOKENS_PER_MINUTE", &3);
    stack.provision();
    let (collector, _aggregator) = (stack.collector(), stack.aggregator(1));
    stack.set("GATEWAY_WRITING__COLLECTOR", &format!("http://{}", collector.grpc()));
    let gateway = stack.gateway();
    let send = |token: &str| {
        let headers = format!("Authorization: Bearer {token}\r\nContent-Type: application/json\r\n");
        let body = "{\"day\":\"2026-11-20\",\"kind\":\"other\",\"text\":\"a\",\"author\":\"b\"}";
        ask(gateway.http(), &format!("POST /api/v1/services/{SERVICE}/notes"), &headers, body.as_bytes())
    };
    let (status, _, body) = send(stack.token("hmrc"));
    assert_eq!(status, 201, "{body}");
    let guesses: Vec<_> = (0..4).map(|n| send(&format!("guess-{n}")).0).collect();
    assert_eq!(guesses, [401, 401, 401, 429]);
    let (status, head, body) = send(stack.token("hmrc"));
    assert!(status == 429 && head.contains("retry-after: ") && body.contains("retry_after_s"), "{head} {body}");
    let (status, _, _) = ask(gateway.http(), &format!("GET /services/{SERVICE}"), "", &[]);
    assert_eq!(status, 200, "reads go on");
}

fn packages() -> Option<PathBuf> {
    dev::fetch::python_packages(&dev::Cache::open().ok()?, &dev::fetch::SCHEMATHESIS)
}

fn lacks_schemathesis() -> Option<String> {
    if dev::tools::find("python3").is_none() {
        return Some("no python3 on this machine".into());
    }
    packages().is_none().then(|| "schemathesis is not there: run `dev fetch --tests`".into())
}

fn schemathesis_finds_nothing(shared: &Shared) {
    let (stack, services) = platform(shared, "schemathesis");
    let gateway = services[0].http();
    let settings = concat!(env!("CARGO_MANIFEST_DIR"), "/schemathesis/schemathesis.toml");
    // A schema cannot say how parameters go together, so that what it allows may still be refused.
    let output = Command::new("python3")
        .args(["-m", "schemathesis.cli", "--config-file", settings, "run"])
        .arg(format!("http://{gateway}/api/v1/openapi.json"))
        .args([
            "--checks",
            "all",
            "--exclude-checks",
            "positive_data_acceptance",
            "--phases",
            "examples,coverage,fuzzing",
        ])
        .args(["--max-examples", "12", "--seed", "7", "--generation-database", "none", "--no-color", "--workers", "2"])
        .args(["--header", &format!("Authorization: Bearer {}", stack.token("hmrc")), "--warnings", "off"])
        .env("PYTHONPATH", packages().expect("checked before"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .current_dir(stack.dir())
        .output()
        .expect("python3 starts");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    for line in said.lines().filter(|line| line.contains("generated") || line.contains("tested")) {
        eprintln!("schemathesis: {}", line.trim());
    }
    assert_eq!(mistakes(&services[0]), Vec::<String>::new());
}
