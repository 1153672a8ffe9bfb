//! The one-machine form against the real servers: started, killed, started again, and never left
//! running. Each test starts what it needs on free ports in a temporary folder.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod backup;
mod run;

use std::{
    env,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use dev::{
    ClickHouse, Kafka, Options, Servers,
    child::{Child, Spec},
    http,
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use rdkafka::{
    ClientConfig, Message as _, TopicPartitionList,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer as _},
    producer::{FutureProducer, FutureRecord},
};

fn runs(pid: u32) -> bool {
    kill(Pid::from_raw(pid.try_into().unwrap()), None).is_ok()
}

fn gone_within(pids: &[u32], limit: Duration) -> bool {
    let deadline = Instant::now() + limit;
    while pids.iter().any(|pid| runs(*pid)) {
        if Instant::now() > deadline {
            return false;
        }
        thread::sleep(Duration::from_millis(20));
    }
    true
}

fn client(kafka: &Kafka) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", kafka.brokers()).set("reconnect.backoff.max.ms", "200");
    config
}

async fn create_topic(kafka: &Kafka, name: &str) {
    let admin: AdminClient<DefaultClientContext> = client(kafka).create().unwrap();
    let topic = NewTopic::new(name, 1, TopicReplication::Fixed(1));
    let made = admin.create_topics(&[topic], &AdminOptions::new()).await.unwrap();
    made.into_iter().for_each(|topic| drop(topic.unwrap()));
}

async fn produce(kafka: &Kafka, topic: &str, numbers: std::ops::Range<u32>) {
    let producer: FutureProducer = client(kafka).set("enable.idempotence", "true").create().unwrap();
    for number in numbers {
        let payload = number.to_string();
        let record = FutureRecord::<(), _>::to(topic).payload(&payload);
        producer.send(record, Duration::from_secs(30)).await.unwrap();
    }
}

fn consume(kafka: &Kafka, topic: &str, count: usize) -> Vec<u32> {
    let consumer: BaseConsumer = client(kafka).set("group.id", "test").create().unwrap();
    let mut from = TopicPartitionList::new();
    from.add_partition_offset(topic, 0, rdkafka::Offset::Beginning).unwrap();
    consumer.assign(&from).unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    let mut numbers = Vec::new();
    while numbers.len() < count && Instant::now() < deadline {
        if let Some(Ok(message)) = consumer.poll(Duration::from_millis(100)) {
            numbers.push(message.payload_view::<str>().unwrap().unwrap().parse().unwrap());
        }
    }
    numbers
}

#[tokio::test(flavor = "multi_thread")]
async fn kafka_keeps_what_it_acknowledged_through_kill_9() {
    let dir = tempfile::tempdir().unwrap();
    let started = Instant::now();
    let mut servers = Servers::start(dir.path(), &Options::kafka_only()).unwrap();
    let kafka = servers.kafka();
    println!("Kafka started in {:?}", started.elapsed());
    create_topic(kafka, "numbers").await;
    produce(kafka, "numbers", 0..50).await;

    let pid = kafka.pid().unwrap();
    kafka.kill().unwrap();
    assert!(!runs(pid) && kafka.pid().is_none());
    let restarted = Instant::now();
    kafka.restart().unwrap();
    println!("Kafka restarted after kill -9 in {:?}", restarted.elapsed());

    produce(kafka, "numbers", 50..60).await;
    assert_eq!(consume(kafka, "numbers", 60), (0..60).collect::<Vec<_>>());

    let stopping = Instant::now();
    kafka.stop();
    println!("Kafka stopped in {:?}", stopping.elapsed());
    kafka.restart().unwrap();
    assert_eq!(consume(kafka, "numbers", 60).len(), 60);
}

#[test]
fn clickhouse_keeps_what_it_acknowledged_through_kill_9() {
    let dir = tempfile::tempdir().unwrap();
    let started = Instant::now();
    let mut servers = Servers::start(dir.path(), &Options::clickhouse_only()).unwrap();
    let clickhouse = servers.clickhouse();
    println!("ClickHouse started in {:?}", started.elapsed());
    clickhouse.query("CREATE DATABASE cells").unwrap();
    clickhouse.query("CREATE TABLE cells.n (n UInt64) ENGINE = MergeTree ORDER BY n").unwrap();
    clickhouse.query("INSERT INTO cells.n SELECT number FROM numbers(100000)").unwrap();

    let pid = clickhouse.pid().unwrap();
    clickhouse.kill().unwrap();
    assert!(!runs(pid) && clickhouse.query("SELECT 1").is_err());
    let restarted = Instant::now();
    clickhouse.restart().unwrap();
    println!("ClickHouse restarted after kill -9 in {:?}", restarted.elapsed());
    assert_eq!(clickhouse.query("SELECT count(), sum(n) FROM cells.n").unwrap(), "100000\t4999950000\n");

    let stopping = Instant::now();
    clickhouse.stop();
    println!("ClickHouse stopped in {:?}", stopping.elapsed());
    clickhouse.restart().unwrap();
    assert_eq!(clickhouse.query("SELECT count() FROM cells.n").unwrap(), "100000\n");
}

#[test]
fn the_application_may_do_what_provisioning_needs_and_not_leave_its_databases() {
    let dir = tempfile::tempdir().unwrap();
    let mut servers = Servers::start(dir.path(), &Options::clickhouse_only()).unwrap();
    let clickhouse = servers.clickhouse();
    let engine = "AggregatingMergeTree PARTITION BY toDate(t) ORDER BY (t, service) TTL t + INTERVAL 9 DAY";
    for allowed in [
        "CREATE DATABASE c",
        "CREATE DATABASE f",
        &format!(
            "CREATE TABLE c.m (t DateTime('UTC'), service UInt16, n SimpleAggregateFunction(max, UInt64)) ENGINE = {engine}"
        ),
        "CREATE VIEW f.m DEFINER = app SQL SECURITY DEFINER AS SELECT * FROM c.m FINAL",
        "CREATE TABLE c.k (n UInt64) ENGINE = Kafka('127.0.0.1:1', 't', 'g', 'JSONEachRow')",
        "CREATE TABLE c.s (n UInt64) ENGINE = SummingMergeTree ORDER BY n",
        "CREATE MATERIALIZED VIEW c.v TO c.s AS SELECT n FROM c.k",
        "ALTER TABLE c.m ADD COLUMN extra UInt8",
        "ALTER TABLE c.m MODIFY TTL t + INTERVAL 10 DAY",
        "INSERT INTO c.m (t, service, n) VALUES ('2026-11-24 10:00:00', 1, 2), ('2026-11-24 10:00:00', 1, 3)",
        "OPTIMIZE TABLE c.m FINAL",
        "SELECT count() FROM system.parts",
        "SYSTEM STOP MERGES c.m",
        "SYSTEM START MERGES c.m",
        "ALTER TABLE c.m DROP PARTITION '2026-11-24'",
        "TRUNCATE TABLE c.m",
        "DROP VIEW c.v",
        "DROP TABLE c.k SYNC",
        "DROP DATABASE f",
        "DROP DATABASE c",
    ] {
        let answer = clickhouse.query(allowed);
        assert!(answer.is_ok(), "{allowed}: {answer:?}");
    }
    for refused in [
        "SELECT * FROM file('/etc/passwd', 'LineAsString')",
        "INSERT INTO FUNCTION file('/tmp/pp-must-not-exist', 'CSV') VALUES (1)",
        "SELECT * FROM url('http://127.0.0.1:1/', 'LineAsString')",
        "CREATE TABLE default.f (n UInt8) ENGINE = File(CSV)",
        "CREATE USER somebody",
        "SYSTEM SHUTDOWN",
    ] {
        let answer = clickhouse.query(refused);
        assert!(answer.is_err(), "{refused}: {answer:?}");
    }
}

#[test]
fn two_servers_reach_each_other_over_the_native_protocol() {
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let options = Options { clickhouse_tcp: true, ..Options::clickhouse_only() };
    let [mut here, mut there] = dirs.each_ref().map(|dir| Servers::start(dir.path(), &options).unwrap());
    let there = there.clickhouse();
    there.query("CREATE DATABASE d").unwrap();
    there.query("CREATE TABLE d.n (n UInt8) ENGINE = MergeTree ORDER BY n").unwrap();
    there.query("INSERT INTO d.n VALUES (1), (2)").unwrap();
    let (port, password) = (there.tcp_port().unwrap(), there.password());
    let sql = format!("SELECT sum(n) FROM remote('127.0.0.1:{port}', d.n, 'app', '{password}')");
    assert_eq!(here.clickhouse().query(&sql).unwrap(), "3\n");
}

#[test]
fn nobody_is_let_in_without_the_password() {
    let dir = tempfile::tempdir().unwrap();
    let mut servers = Servers::start(dir.path(), &Options::clickhouse_only()).unwrap();
    let clickhouse = servers.clickhouse();
    let wrong = ClickHouse::external(clickhouse.url(), clickhouse.user(), "not it");
    let start_up = ClickHouse::external(clickhouse.url(), "default", "");
    for stranger in [wrong, start_up] {
        let answer = stranger.query("SELECT file('/etc/hostname')");
        assert!(answer.is_err(), "{} got {answer:?}", stranger.user());
    }
    let address = clickhouse.url().trim_start_matches("http://").parse().unwrap();
    let mut ways = vec![http::get(address, "/?query=SELECT+1").unwrap()];
    for headers in [
        &[("Authorization", "Basic ZGVmYXVsdDo=")][..],
        &[("X-ClickHouse-User", "app"), ("X-ClickHouse-User", "default")],
        &[("X-ClickHouse-User", "app"), ("Authorization", "Basic ZGVmYXVsdDo=")],
    ] {
        let limit = Duration::from_secs(5);
        ways.push(http::request(address, "POST", "/?user=default", headers, b"SELECT 1", limit).unwrap());
    }
    for answer in ways {
        assert!(answer.status >= 400, "{answer:?}");
    }
}

/// Not a test of its own: the parent that the next test kills.
#[test]
#[ignore = "started by another test"]
fn helper_starts_both_servers_and_waits() {
    let Some(dir) = env::var_os("PP_TEST_HELPER_DIR") else { return };
    let mut servers = Servers::start(Path::new(&dir), &Options::default()).unwrap();
    println!("\npids {} {}", servers.kafka().pid().unwrap(), servers.clickhouse().pid().unwrap());
    thread::sleep(Duration::from_secs(120));
}

#[test]
fn nothing_is_left_running_when_the_parent_is_killed_with_9() {
    let dir = tempfile::tempdir().unwrap();
    let mut parent = Command::new(env::current_exe().unwrap())
        .args(["--ignored", "--exact", "--nocapture", "helper_starts_both_servers_and_waits"])
        .env("PP_TEST_HELPER_DIR", dir.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(parent.stdout.take().unwrap()).lines().map_while(Result::ok);
    let pids = lines.find_map(|line| line.strip_prefix("pids ").map(str::to_owned)).unwrap();
    let pids: Vec<u32> = pids.split(' ').map(|pid| pid.parse().unwrap()).collect();
    assert!(pids.iter().all(|pid| runs(*pid)));
    parent.kill().unwrap();
    parent.wait().unwrap();
    assert!(gone_within(&pids, Duration::from_secs(30)), "still running: {pids:?}");
}

fn shell(dir: &Path, script: &str) -> Spec {
    let mut spec = Spec::new("shell", Path::new("/bin/sh"), &dir.join("shell.log"));
    spec.arguments = vec!["-c".into(), script.into()];
    spec
}

#[test]
fn a_child_ends_as_its_program_ends_and_its_output_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let mut child = Child::start(shell(dir.path(), "echo out; echo err >&2; exit 7")).unwrap();
    assert_eq!(child.line(Duration::from_secs(5)).as_deref(), Some("out"));
    assert_eq!(child.wait(Duration::from_secs(5)).as_deref(), Some("code 7"));
    let mut lines: Vec<String> = child.tail(10).lines().map(str::to_owned).collect();
    lines.sort();
    assert_eq!(lines, ["err", "out"]);
    let mut child = Child::start(shell(dir.path(), "seq 1 100000")).unwrap();
    assert_eq!(child.wait(Duration::from_secs(20)).as_deref(), Some("code 0"));
    assert_eq!(child.tail(1), "100000", "all it printed is kept when it has ended");
}

#[test]
fn a_child_that_aborts_is_started_again_if_it_was_told_so_and_had_lived() {
    let dir = tempfile::tempdir().unwrap();
    let script = "echo began; test -e again && exit 7; touch again; sleep 5.5; kill -ABRT $$";
    let mut spec = shell(dir.path(), &format!("cd {}; {script}", dir.path().display()));
    spec.again = true;
    let mut child = Child::start(spec).unwrap();
    let first = child.pid();
    assert_eq!(child.wait(Duration::from_secs(20)).as_deref(), Some("code 7"));
    assert_ne!(child.pid(), first);
    let mut child = Child::start(shell(dir.path(), "kill -ABRT $$")).unwrap();
    assert_eq!(child.wait(Duration::from_secs(5)).as_deref(), Some("signal 6"));
}

#[test]
fn a_child_that_was_started_again_still_hears_its_parent() {
    let dir = tempfile::tempdir().unwrap();
    let script = "echo began; if test -e again; then while :; do sleep 0.05; done; fi; touch again; sleep 5.5; \
                  kill -ABRT $$";
    let mut spec = shell(dir.path(), &format!("cd {}; {script}", dir.path().display()));
    spec.again = true;
    let mut child = Child::start(spec).unwrap();
    for _ in 0..2 {
        assert_eq!(child.line(Duration::from_secs(15)).as_deref(), Some("began"));
    }
    let asked = Instant::now();
    assert_eq!(child.kill(), "signal 9");
    assert!(asked.elapsed() < Duration::from_secs(5), "the first order is not lost");
}

#[test]
fn a_child_that_does_not_stop_is_killed_after_its_grace() {
    let dir = tempfile::tempdir().unwrap();
    let mut spec = shell(dir.path(), "trap '' TERM; echo ready; while :; do sleep 0.05; done");
    spec.grace = Duration::from_millis(300);
    let mut child = Child::start(spec).unwrap();
    assert_eq!(child.line(Duration::from_secs(5)).as_deref(), Some("ready"));
    let asked = Instant::now();
    assert_eq!(child.stop(), "signal 9");
    assert!(asked.elapsed() >= Duration::from_millis(300));
    assert!(!runs(child.pid()));
}

#[test]
fn signals_reach_the_program_itself() {
    let dir = tempfile::tempdir().unwrap();
    // It starts no program: a shell that is paused in the middle of that counts as busy, not as paused.
    let script = "trap 'echo asked; exit 0' TERM; echo ready; while :; do :; done";
    let mut child = Child::start(shell(dir.path(), script)).unwrap();
    assert_eq!(child.line(Duration::from_secs(5)).as_deref(), Some("ready"));
    child.pause();
    let state = || std::fs::read_to_string(format!("/proc/{}/stat", child.pid())).unwrap();
    let deadline = Instant::now() + Duration::from_secs(5);
    while cfg!(target_os = "linux") && !state().contains(" T ") {
        assert!(Instant::now() < deadline, "not paused: {}", state());
        thread::sleep(Duration::from_millis(10));
    }
    // A paused program is woken to be stopped.
    assert_eq!(child.stop(), "code 0");
    assert!(child.tail(5).contains("asked"));
}

#[test]
fn a_program_that_cannot_start_is_an_error_with_the_reason() {
    let dir = tempfile::tempdir().unwrap();
    let spec = Spec::new("nothing", Path::new("/nonexistent/program"), &dir.path().join("log"));
    let message = Child::start(spec).unwrap_err().to_string();
    assert!(message.contains("nothing ended") && message.contains("/nonexistent/program"), "{message}");
}

#[test]
fn dropping_a_child_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let child = Child::start(shell(dir.path(), "sleep 1000 & sleep 1000")).unwrap();
    let pid = child.pid();
    assert!(runs(pid));
    drop(child);
    assert!(!runs(pid));
    // Not even what the program had started itself.
    let group = Pid::from_raw(pid.try_into().unwrap());
    let deadline = Instant::now() + Duration::from_secs(5);
    while nix::sys::signal::killpg(group, None::<Signal>).is_ok() {
        assert!(Instant::now() < deadline, "the group still runs");
        thread::sleep(Duration::from_millis(10));
    }
}
