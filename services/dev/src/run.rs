//! `dev run`: Kafka, ClickHouse and all services on one machine, until told to stop.
//!
//! The order is fixed: servers, topics and tables, services, simulator; and back. What it starts
//! ends with it, however it ends, and the data stays for the next run. It says what it does on
//! standard output, the last line of the start being `ready {json}`.

mod demo;
mod drill;
mod keep;
mod plan;
mod stop;
mod supervise;

use std::{
    fs::{self, File},
    path::Path,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

pub use drill::Drill;
pub use keep::{keep, put_back};
pub use plan::{Plan, data_folder};
use stop::Stop;
use supervise::{Member, Supervisor};

use crate::{
    clickhouse::ClickHouse,
    error::{Doing as _, Error, Result},
    servers::Servers,
    service::{Service, run_to_end},
};

/// How long the services may take until they are ready: the gateway reads a day first.
const READY: Duration = Duration::from_secs(120);

/// What a service waits for is said after so long, if it is something new.
const SAY: Duration = Duration::from_secs(5);

/// Prints a line; a reader that has gone away is no reason to stop before the parent watch says so.
pub(crate) fn say(line: &str) {
    use std::io::Write as _;
    let mut out = std::io::stdout();
    drop(writeln!(out, "{line}").and_then(|()| out.flush()));
}

/// Starts everything, says where it is, keeps it running, and stops it in order when told to.
///
/// # Errors
/// When something cannot be started: what it is, and what to do.
pub fn run(plan: &Plan) -> Result<()> {
    let started = Instant::now();
    let stop = Stop::listen()?;
    let _lock = lock(&plan.data)?;
    plan.check_ports()?;
    let tokens = demo::tokens(&plan.data)?;
    plan.servers_in_words().iter().for_each(|line| say(line));
    let mut servers = Servers::start(&plan.data, &plan.servers())?;
    let logs = plan.data.join("logs");
    let environment = plan.environment(&mut servers);
    say("creating topics and tables that are missing");
    let provisioning = [environment.clone(), plan.instance(&mut servers, "aggregator", 1, None)].concat();
    run_to_end("aggregator", &["provision"], &pairs(&provisioning), &logs)?;
    let mut services = Vec::new();
    for name in ["collector", "aggregator", "gateway"] {
        let mut address = None;
        for number in 1..=plan.instances() {
            let told = [environment.clone(), plan.instance(&mut servers, name, number, address)].concat();
            let instance = if plan.instances() > 1 { format!("{name}-{number}") } else { name.to_owned() };
            say(&format!("starting {instance}"));
            let service = Service::spawn_as(name, &instance, &pairs(&told), &logs)?;
            address =
                address.or_else(|| ["grpc", "http"].iter().find_map(|port| service.addresses().get(*port).copied()));
            services.push(service);
        }
    }
    for service in &mut services {
        wait(service)?;
    }
    if let Err(error) = demo::state_published(&plan.data, services[0].grpc()) {
        // The platform is of use without them, and the next start tries again.
        say(&format!("the published figures could not be stated: {error}"));
    }
    if plan.simulator {
        say("starting simulator");
        plan.mark_simulated()?;
        services.push(Service::spawn("simulator", &pairs(&environment), &logs)?);
        if !plan.data.join("history.json").exists() {
            say("sending eight weeks of history in the background, once: progress in logs/simulator.log");
        }
    }
    let addresses = addresses(plan, &services, &mut servers);
    print(&addresses, &demo::sample(&tokens, services[0].grpc()));
    say(&format!("started in {:.1} s; Ctrl-C stops everything and keeps the data", started.elapsed().as_secs_f64()));
    say(&format!("ready {addresses}"));
    stop.started();

    let members = services.into_iter().map(Member::new).collect();
    let mut supervisor = Supervisor::new(servers, members, stop);
    let why = supervisor.watch();
    say(&format!("{why}: stopping"));
    supervisor.stop();
    say("stopped; the data is kept");
    Ok(())
}

/// Waits until a service is ready, and says what it is waiting for; time begins anew with each progress.
fn wait(service: &mut Service) -> Result<()> {
    let (mut said, mut since) = (String::new(), Instant::now());
    loop {
        let Err(why) = service.wait_ready(SAY) else { return Ok(()) };
        let words = why.to_string();
        if service.exit().is_some() || (words == said && since.elapsed() >= READY) {
            return Err(why);
        }
        if words != said {
            say(&format!("waiting for {}: {words}", service.name()));
            (said, since) = (words, Instant::now());
        }
    }
}

/// Forgets the data of all runs.
///
/// # Errors
/// When a run is using it, or it cannot be removed.
pub fn clean_data(data: &Path) -> Result<()> {
    if !data.exists() {
        say(&format!("there is no data in {}", data.display()));
        return Ok(());
    }
    let _lock = lock(data)?;
    // Only what a run puts there: the folder may have been given by hand.
    let cluster = ["kafka-1", "kafka-2", "kafka-3", "clickhouse-1", "clickhouse-2"];
    for name in ["kafka", "clickhouse"].into_iter().chain(cluster).chain([
        "logs",
        "departments.toml",
        "tokens.toml",
        "simulated",
        "history.json",
        "stated",
    ]) {
        let path = data.join(name);
        let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        if let Err(source) = removed
            && source.kind() != std::io::ErrorKind::NotFound
        {
            return Err(Error::Io { what: format!("removing {}", path.display()), source });
        }
    }
    say(&format!("the data in {} is gone", data.display()));
    Ok(())
}

fn lock(data: &Path) -> Result<File> {
    fs::create_dir_all(data).doing(|| format!("making {}", data.display()))?;
    let path = data.join(".lock");
    let file = File::create(&path).doing(|| format!("opening {}", path.display()))?;
    file.try_lock().map_err(|_| Error::InUse(data.to_owned()))?;
    Ok(file)
}

fn pairs(environment: &[(String, String)]) -> Vec<(&str, &str)> {
    environment.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect()
}

fn addresses(plan: &Plan, services: &[Service], servers: &mut Servers) -> Value {
    let first = |port: &str| services.iter().find_map(|service| service.addresses().get(port)).expect("one listens");
    let web = first("http");
    let metrics: serde_json::Map<String, Value> = services
        .iter()
        .map(|service| (service.name().to_owned(), format!("http://{}/metrics", service.admin()).into()))
        .collect();
    json!({
        "overview": format!("http://{web}/"),
        "wallboard": format!("http://{web}/wall"),
        "live": format!("ws://{web}/live"),
        "grpc": first("grpc").to_string(),
        "metrics": metrics,
        "kafka": servers.bootstrap(),
        "clickhouse": servers.shards().iter().map(ClickHouse::url).collect::<Vec<_>>().join(","),
        "data": plan.data.display().to_string(),
    })
}

fn print(addresses: &Value, sample: &str) {
    let text = |name: &str| addresses[name].as_str().unwrap_or("").to_owned();
    say("");
    say(&format!("  live overview   {}", text("overview")));
    say(&format!("  wallboard       {}", text("wallboard")));
    say(&format!("  live socket     {}", text("live")));
    say(&format!("  gRPC endpoint   {}", text("grpc")));
    for (name, address) in addresses["metrics"].as_object().into_iter().flatten() {
        say(&format!("  metrics         {} ({name})", address.as_str().unwrap_or("")));
    }
    say(&format!("  data and logs   {}", text("data")));
    say("");
    say("send an event of your own (the same event_id is counted once, however often you send it):");
    say("");
    say(&format!("  {sample}"));
    say("");
}
