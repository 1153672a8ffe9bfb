//! `dev run` with the services as they are built, on free ports and in a temporary folder, beside
//! whatever else runs. Skipped, loudly, where the services have not been built (`make test` builds
//! them first).

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::{Duration, Instant},
};

use dev::{ClickHouse, bins, http, ports};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;

struct Run {
    process: Child,
    lines: Receiver<String>,
    said: Vec<String>,
    ready: Value,
}

impl Run {
    fn start(data: &Path, settings: &[(String, String)]) -> Self {
        let mut process = Command::new(bins::dev().unwrap())
            .arg("run")
            .env("PP_DATA", data)
            .envs(settings.iter().map(|(key, value)| (key, value)))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let out = BufReader::new(process.stdout.take().unwrap());
        let (sender, lines) = channel();
        thread::spawn(move || out.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        let mut run = Self { process, lines, said: Vec::new(), ready: Value::Null };
        let line = run.line_with("ready {", Duration::from_secs(120));
        run.ready = serde_json::from_str(line.strip_prefix("ready ").unwrap()).unwrap();
        run
    }

    fn line_with(&mut self, text: &str, timeout: Duration) -> String {
        let deadline = Instant::now() + timeout;
        while let Ok(line) = self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            self.said.push(line.clone());
            if line.contains(text) {
                return line;
            }
        }
        panic!("no {text:?} within {timeout:?} in:\n{}", self.said.join("\n"));
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.process.id().try_into().unwrap()), signal).unwrap();
    }

    /// Completed transactions that are stored.
    fn completed(&self, data: &Path) -> u64 {
        let password = fs::read_to_string(data.join("clickhouse/app.password")).unwrap();
        let clickhouse = ClickHouse::external(self.ready["clickhouse"].as_str().unwrap(), "app", &password);
        clickhouse.query("SELECT sum(completed) FROM pp_figures.day").unwrap().trim().parse().unwrap()
    }

    fn completed_at_least(&self, data: &Path, least: u64) -> u64 {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let completed = self.completed(data);
            if completed >= least {
                return completed;
            }
            assert!(Instant::now() < deadline, "{completed} completed transactions after a minute");
            thread::sleep(Duration::from_millis(200));
        }
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// All processes that were started, directly or not, with this data folder in their environment.
fn processes_of(data: &Path) -> Vec<String> {
    let mark = format!("PP_DATA={}\0", data.display());
    let contains = |bytes: &[u8]| bytes.windows(mark.len()).any(|window| window == mark.as_bytes());
    let processes = fs::read_dir("/proc").unwrap().flatten();
    processes
        .filter(|process| fs::read(process.path().join("environ")).is_ok_and(|bytes| contains(&bytes)))
        .map(|process| {
            let line = fs::read(process.path().join("cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&line).replace('\0', " ").chars().take(120).collect()
        })
        .collect()
}

fn nothing_is_left(data: &Path) {
    let deadline = Instant::now() + Duration::from_secs(40);
    while !processes_of(data).is_empty() {
        assert!(Instant::now() < deadline, "still running: {:#?}", processes_of(data));
        thread::sleep(Duration::from_millis(100));
    }
}

fn settings() -> Vec<(String, String)> {
    let free = ports::free(8).unwrap();
    let listens =
        ["GATEWAY_HTTP", "COLLECTOR_GRPC", "COLLECTOR_ADMIN", "AGGREGATOR_ADMIN", "GATEWAY_ADMIN", "SIMULATOR_ADMIN"];
    let listens =
        listens.iter().zip(&free[2..]).map(|(name, port)| (format!("{name}__LISTEN"), format!("127.0.0.1:{port}")));
    let servers =
        ["KAFKA_PORT", "CLICKHOUSE_PORT"].into_iter().zip(&free).map(|(name, port)| (name.into(), port.to_string()));
    listens.chain(servers).chain([("RATE".into(), "200".into())]).collect()
}

#[test]
#[cfg_attr(not(target_os = "linux"), ignore = "looks into /proc")]
fn a_run_counts_leaves_nothing_when_killed_and_goes_on_from_its_data() {
    for service in ["collector", "aggregator", "gateway", "simulator"] {
        if bins::find(service).is_err() {
            eprintln!("SKIPPED: {service} is not built (cargo build --release --bins)");
            return;
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let settings = settings();

    let mut first = Run::start(&data, &settings);
    for page in ["overview", "wallboard"] {
        let url = first.ready[page].as_str().unwrap().to_owned();
        let (host, path) = url.trim_start_matches("http://").split_once('/').unwrap();
        let answer = http::get(host.parse().unwrap(), &format!("/{path}")).unwrap();
        assert!(answer.status == 200 && answer.body.contains("<html"), "{url}: {answer:?}");
    }
    let counted = first.completed_at_least(&data, 100);
    assert!(processes_of(&data).len() >= 13);
    first.signal(Signal::SIGKILL);
    first.process.wait().unwrap();
    nothing_is_left(&data);

    let mut second = Run::start(&data, &settings);
    assert!(second.completed(&data) >= counted, "figures went back");
    second.completed_at_least(&data, counted + 100);
    second.signal(Signal::SIGTERM);
    second.line_with("stopped; the data is kept", Duration::from_secs(60));
    assert!(second.process.wait().unwrap().success());
    for service in ["collector", "aggregator", "gateway", "simulator"] {
        assert!(second.said.contains(&format!("{service} stopped (code 0)")), "{:#?}", second.said);
    }
    nothing_is_left(&data);
}
