//! The demonstration's departments and their tokens, made at the first run.
//!
//! The collector's file holds sums of tokens only. The tokens themselves are in a file that only
//! its owner can read, for the simulator and for the person who tries the endpoint.

use std::{
    fmt::Write as _,
    fs,
    net::SocketAddr,
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

use domain::catalogue::{Catalogue, Service};
use rand::{Rng as _, distr::Alphanumeric};

use crate::{
    clickhouse_config::write_private,
    error::{Doing as _, Result},
    run::say,
    service::run_to_end,
    sums::sha256_hex,
};

/// The department that publishes figures for all of government.
pub(super) const PUBLISHER: &str = "co";

/// A department's id and its token.
pub(super) type Tokens = Vec<(String, String)>;

/// Reads the tokens, making them first for departments that have none, and writes the collector's
/// file of their sums.
///
/// # Errors
/// When a file cannot be read or written.
pub(super) fn tokens(data: &Path) -> Result<Tokens> {
    let path = data.join("tokens.toml");
    let text = if path.exists() {
        fs::read_to_string(&path).doing(|| format!("reading {}", path.display()))?
    } else {
        String::new()
    };
    let known = parse(&text);
    let catalogue = Catalogue::embedded();
    let tokens: Tokens = catalogue
        .departments()
        .iter()
        .map(|department| {
            let token = known.iter().find(|(id, _)| *id == department.id).map(|(_, token)| token.clone());
            (department.id.clone(), token.unwrap_or_else(token_for_a_department))
        })
        .collect();
    write_private(&path, &tokens_file(&tokens))?;
    let sums = data.join("departments.toml");
    fs::write(&sums, departments_file(&tokens)).doing(|| format!("writing {}", sums.display()))?;
    Ok(tokens)
}

/// States the published figures that the repository holds, once for a folder of data and a version of them: through the
/// collector, like everybody.
///
/// # Errors
/// When the importer ends with anything but success.
pub(super) fn state_published(data: &Path, collector: SocketAddr) -> Result<()> {
    let marker = data.join("stated");
    let sum = sha256_hex(domain::statement::PUBLISHED.as_bytes());
    if fs::read_to_string(&marker).is_ok_and(|known| known == sum) {
        return Ok(());
    }
    say("stating the published figures");
    let (endpoint, tokens) = (format!("http://{collector}"), data.join("tokens.toml").display().to_string());
    let told = [("IMPORTER_COLLECTOR", &*endpoint), ("IMPORTER_TOKENS", &tokens), ("IMPORTER_DEPARTMENT", PUBLISHER)];
    run_to_end("importer", &["published"], &told, &data.join("logs"))?;
    fs::write(&marker, sum).doing(|| format!("writing {}", marker.display()))
}

/// A `grpcurl` line with a valid event of the largest service of one department.
pub(super) fn sample(tokens: &Tokens, endpoint: SocketAddr) -> String {
    let catalogue = Catalogue::embedded();
    let service = |id: &str| {
        let department = catalogue.department_by_id(id)?;
        let volume = |service: &Service| service.latest_volume().and_then(|latest| latest.volume);
        catalogue.services_of(department.number).max_by_key(|service| volume(service)).map(|service| service.id.clone())
    };
    // HM Revenue & Customs has the services most people know.
    let mut order: Vec<&(String, String)> = tokens.iter().collect();
    order.sort_by_key(|(id, _)| id != "hmrc");
    let Some((service, token)) = order.into_iter().find_map(|(id, token)| Some((service(id)?, token))) else {
        return "(no department has a service)".to_owned();
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
    format!(
        "grpcurl -plaintext -H 'authorization: Bearer {token}' -d '{{\"events\":[{{\"event_id\":\"mine-1\",\
         \"service_id\":\"{service}\",\"occurred_at_ms\":\"{now}\",\"transaction\":{{\"stage\":\"STAGE_COMPLETED\",\
         \"channel\":\"CHANNEL_DIGITAL\"}}}}]}}' {endpoint} performance.v1.Collector/Publish"
    )
}

fn token_for_a_department() -> String {
    rand::rng().sample_iter(Alphanumeric).take(32).map(char::from).collect()
}

fn tokens_file(tokens: &Tokens) -> String {
    let mut text =
        String::from("# Tokens of the demonstration's departments, in clear: keep this file private.\n[tokens]\n");
    for (id, token) in tokens {
        writeln!(text, "{id} = \"{token}\"").expect("writing to a String cannot fail");
    }
    text
}

fn departments_file(tokens: &Tokens) -> String {
    let mut text = String::from("# Departments that may send events, each with the SHA-256 sums of its tokens.\n");
    for (id, token) in tokens {
        let sum = sha256_hex(token.as_bytes());
        let for_all = if id == PUBLISHER { "\npublishes_for_all = true" } else { "" };
        writeln!(text, "\n[[department]]\nid = \"{id}\"\ntoken_sha256 = [\"{sum}\"]{for_all}")
            .expect("writing to a String cannot fail");
    }
    text
}

/// Reads back exactly what `tokens_file` writes.
fn parse(text: &str) -> Tokens {
    let line = |line: &str| {
        let (id, token) = line.split_once(" = \"")?;
        Some((id.to_owned(), token.strip_suffix('"')?.to_owned()))
    };
    text.lines().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_made_once_and_the_collector_sees_only_their_sums() {
        let dir = tempfile::tempdir().unwrap();
        let first = tokens(dir.path()).unwrap();
        assert!(first.iter().any(|(id, _)| id == "hmrc"));
        assert_eq!(tokens(dir.path()).unwrap(), first);
        let departments = fs::read_to_string(dir.path().join("departments.toml")).unwrap();
        for (id, token) in &first {
            assert!(departments.contains(&format!("id = \"{id}\"")));
            assert!(departments.contains(&sha256_hex(token.as_bytes())) && !departments.contains(token));
        }
    }

    #[test]
    fn the_sample_event_is_of_a_service_of_the_department_whose_token_it_carries() {
        let tokens = vec![("dft".to_owned(), "other".to_owned()), ("hmrc".to_owned(), "secret".to_owned())];
        let line = sample(&tokens, "127.0.0.1:1".parse().unwrap());
        assert!(
            line.contains("Bearer secret") && line.contains("127.0.0.1:1 performance.v1.Collector/Publish"),
            "{line}"
        );
        let body = line.split('\'').nth(3).unwrap();
        let body: serde_json::Value = serde_json::from_str(body).unwrap();
        let catalogue = Catalogue::embedded();
        let service = catalogue.service_by_id(body["events"][0]["service_id"].as_str().unwrap()).unwrap();
        assert_eq!(catalogue.department(service.department).unwrap().id, "hmrc");
    }
}
