//! Which crate may know which. Seams between services are on the wire.

use toml::Table;

use crate::{files, none};

/// Our crates, and which of ours each may depend on. `dev`, `tests` and `benches` may name any.
const MAY_USE: [(&str, &[&str]); 9] = [
    ("domain", &[]),
    ("proto", &["domain"]),
    ("runtime", &["domain"]),
    ("views", &["domain"]),
    ("collector", &["domain", "proto", "runtime"]),
    ("aggregator", &["domain", "proto", "runtime"]),
    ("gateway", &["domain", "proto", "runtime", "views"]),
    ("simulator", &["domain", "proto", "runtime"]),
    ("importer", &["domain", "proto", "runtime"]),
];
const MAY_USE_ANY: [&str; 3] = ["dev", "tests", "benches"];
/// Whoever does IO, waits or reads a clock needs one of these.
const IMPURE: [&str; 11] =
    ["tokio", "futures", "hyper", "axum", "reqwest", "rdkafka", "clickhouse", "tonic", "tracing", "socket2", "nix"];

/// Path of the manifest, name of the package, its tables of dependencies by kind.
type Crate = (String, String, Vec<(String, Table)>);

/// Every crate.
fn crates() -> Vec<Crate> {
    let manifests = files(&["Cargo.toml"]).into_iter().filter(|(path, _)| path != "Cargo.toml");
    manifests
        .map(|(path, text)| {
            let manifest: Table = text.parse().expect("a manifest is TOML");
            let name = manifest["package"]["name"].as_str().expect("a name").to_owned();
            let tables = ["dependencies", "dev-dependencies", "build-dependencies"].into_iter();
            let table = |kind: &str| Some((kind.to_owned(), manifest.get(kind)?.as_table()?.clone()));
            (path, name, tables.filter_map(table).collect())
        })
        .collect()
}

#[test]
fn a_service_never_depends_on_another() {
    let ours: Vec<_> = MAY_USE.iter().map(|(name, _)| *name).chain(MAY_USE_ANY).collect();
    let mut found = Vec::new();
    for (path, name, tables) in crates() {
        assert!(path.trim_end_matches("/Cargo.toml").ends_with(&name), "{path} is the manifest of {name}");
        if MAY_USE_ANY.contains(&name.as_str()) {
            continue;
        }
        let Some((_, may_use)) = MAY_USE.iter().find(|(known, _)| *known == name) else {
            found.push(format!("{name} is a new crate: say in this test what it may use"));
            continue;
        };
        for (kind, table) in tables {
            let strange = table.keys().filter(|key| ours.contains(&key.as_str()) && !may_use.contains(&key.as_str()));
            found.extend(strange.map(|key| format!("{name} has {key} among its {kind}")));
        }
    }
    none("edges between crates that must not be", &found);
}

#[test]
fn domain_and_views_are_pure() {
    let mut found = Vec::new();
    for (_, name, tables) in crates().into_iter().filter(|(_, name, _)| ["domain", "views"].contains(&name.as_str())) {
        for (kind, table) in tables.iter().filter(|(kind, _)| kind == "dependencies") {
            let impure = table.keys().filter(|key| IMPURE.contains(&key.as_str()));
            found.extend(impure.map(|key| format!("{name} has {key} among its {kind}")));
        }
    }
    for (path, text) in files(&[".rs"]) {
        let is_pure = path.starts_with("services/domain/src") || path.starts_with("services/views/src");
        if is_pure && !crate::is_test(&path) {
            let impure =
                ["std::fs", "std::net", "std::env", "std::process", "SystemTime::now", "Instant::now", "async fn"];
            let text = crate::without_tests(&text);
            found.extend(impure.iter().filter(|part| text.contains(**part)).map(|part| format!("{path}: {part}")));
        }
    }
    none("IO, clocks or waiting in pure crates", &found);
}

#[test]
fn versions_stand_in_the_root_and_nowhere_else() {
    let mut found = Vec::new();
    for (path, _, tables) in crates() {
        for (kind, table) in tables {
            let of_workspace =
                |value: &toml::Value| value.get("workspace").and_then(toml::Value::as_bool) == Some(true);
            let own = table.iter().filter(|(_, value)| !of_workspace(value));
            found.extend(own.map(|(key, _)| format!("{path}: {key} among its {kind}")));
        }
    }
    none("dependencies that do not come from the workspace", &found);
}

#[test]
fn no_crate_has_features() {
    let found: Vec<_> = files(&["Cargo.toml"])
        .into_iter()
        .filter(|(_, text)| text.parse::<Table>().expect("a manifest is TOML").contains_key("features"))
        .map(|(path, _)| path)
        .collect();
    none("cargo features", &found);
}
