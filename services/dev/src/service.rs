//! One of our services as a child process: its ports learnt from the line it prints when it
//! listens, its log kept, its process really stopped, killed or paused.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use crate::{
    bins,
    child::{Child, Spec},
    error::{Error, Result},
    http,
};

/// How long a service may take until it listens: it may be waiting for Kafka or ClickHouse.
const LISTENING: Duration = Duration::from_secs(60);

/// A running service. Dropping it kills it.
#[derive(Debug)]
pub struct Service {
    child: Child,
    addresses: BTreeMap<String, SocketAddr>,
}

impl Service {
    /// Starts a service with an addition to its environment, its log in `dir`, and waits until it
    /// says that it listens.
    ///
    /// # Errors
    /// When it is not built, ends, or says nothing in time; its log is named.
    pub fn spawn(name: &str, environment: &[(&str, &str)], dir: &Path) -> Result<Self> {
        Self::spawn_as(name, name, environment, dir)
    }

    /// The same under another name than the program's, for one of several.
    ///
    /// # Errors
    /// As [`Service::spawn`].
    pub fn spawn_as(program: &str, name: &str, environment: &[(&str, &str)], dir: &Path) -> Result<Self> {
        let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        let mut spec = spec(program, dir)?;
        spec.name = name.to_owned();
        spec.log = dir.join(format!("{name}.log"));
        spec.environment = environment.iter().map(owned).collect();
        Self::start(spec)
    }

    /// Starts a service with all its particulars and waits until it says that it listens.
    ///
    /// # Errors
    /// When it ends or says nothing in time; its log is named.
    pub fn start(spec: Spec) -> Result<Self> {
        let mut child = Child::start(spec)?;
        let deadline = Instant::now() + LISTENING;
        loop {
            let line = child.line(Duration::from_millis(100));
            if let Some(addresses) = line.as_deref().and_then(listening) {
                return Ok(Self { child, addresses });
            }
            if line.is_none() && child.exit().is_some() {
                return Err(child.ended_error());
            }
            if Instant::now() >= deadline {
                return Err(child.late_error(LISTENING));
            }
        }
    }

    /// An address it listens on: `grpc`, `http` or `admin`.
    ///
    /// # Panics
    /// When the service has no such port.
    #[must_use]
    pub fn address(&self, port: &str) -> SocketAddr {
        let name = self.child.name();
        *self.addresses.get(port).unwrap_or_else(|| panic!("{name} does not listen on {port}"))
    }

    /// All its addresses by name.
    #[must_use]
    pub fn addresses(&self) -> &BTreeMap<String, SocketAddr> {
        &self.addresses
    }

    /// The address of its gRPC port.
    #[must_use]
    pub fn grpc(&self) -> SocketAddr {
        self.address("grpc")
    }

    /// The address of its HTTP port.
    #[must_use]
    pub fn http(&self) -> SocketAddr {
        self.address("http")
    }

    /// The address of its admin port.
    #[must_use]
    pub fn admin(&self) -> SocketAddr {
        self.address("admin")
    }

    /// The process id of the service itself.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.pid()
    }

    /// The file with all it printed.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.child.log().to_owned()
    }

    /// Whether it says that it is ready, and why not.
    ///
    /// # Errors
    /// The reason it gives, or that it does not answer.
    pub fn ready(&self) -> Result<()> {
        let answer = http::get(self.admin(), "/health/ready")?;
        if answer.status == 200 {
            return Ok(());
        }
        let url = format!("http://{}/health/ready", self.admin());
        Err(Error::Http { url, status: answer.status, body: answer.body })
    }

    /// Waits until it is ready.
    ///
    /// # Errors
    /// When it ends, or the last reason it gave when the time is over.
    pub fn wait_ready(&mut self, timeout: Duration) -> Result<()> {
        let deadline = Instant::now() + timeout;
        loop {
            let why = match self.ready() {
                Ok(()) => return Ok(()),
                Err(why) => why,
            };
            if self.child.exit().is_some() {
                return Err(self.child.ended_error());
            }
            if Instant::now() >= deadline {
                return Err(why);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Its metrics, in Prometheus' text form.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn metrics(&self) -> Result<String> {
        http::get(self.admin(), "/metrics").map(|answer| answer.body)
    }

    /// How it ended, if it did.
    pub fn exit(&mut self) -> Option<String> {
        self.child.exit()
    }

    /// Asks it to stop (SIGTERM) and waits; killed when it takes longer than its grace of
    /// fifteen seconds. Returns how it ended: `code 0` when in order.
    pub fn stop(&mut self) -> String {
        self.child.stop()
    }

    /// Kills it with SIGKILL and waits until it is gone.
    pub fn kill9(&mut self) {
        self.child.kill();
    }

    /// Stops it in its tracks (SIGSTOP).
    pub fn pause(&mut self) {
        self.child.pause();
    }

    /// Lets it go on (SIGCONT).
    pub fn resume(&mut self) {
        self.child.resume();
    }

    /// The name it goes by.
    #[must_use]
    pub fn name(&self) -> &str {
        self.child.name()
    }

    /// The child alone, for who watches it from now on.
    #[must_use]
    pub fn into_child(self) -> Child {
        self.child
    }
}

/// How a service of ours is started: its log is `<dir>/<name>.log`.
///
/// # Errors
/// When it is not built.
pub fn spec(name: &str, dir: &Path) -> Result<Spec> {
    Ok(Spec::new(name, &bins::find(name)?, &dir.join(format!("{name}.log"))))
}

/// Runs one of our programs to its end, such as `aggregator provision`. Returns what it printed.
///
/// # Errors
/// When it ends with anything but success, or not within two minutes.
pub fn run_to_end(name: &str, arguments: &[&str], environment: &[(&str, &str)], dir: &Path) -> Result<String> {
    let log = dir.join(format!("{name}-{}.log", arguments.join("-").replace('/', "_")));
    let mut spec = Spec::new(&format!("{name} {}", arguments.join(" ")), &bins::find(name)?, &log);
    spec.arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
    spec.environment = environment.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let limit = Duration::from_secs(120);
    let mut child = Child::start(spec)?;
    match child.wait(limit).as_deref() {
        Some("code 0") => Ok(child.tail(usize::MAX)),
        Some(_) => Err(child.ended_error()),
        None => Err(child.late_error(limit)),
    }
}

fn listening(line: &str) -> Option<BTreeMap<String, SocketAddr>> {
    let value: serde_json::Value = serde_json::from_str(line).ok()?;
    let object = value.as_object()?;
    (object.get("event")?.as_str()? == "listening").then_some(())?;
    let address = |(key, value): (&String, &serde_json::Value)| Some((key.clone(), value.as_str()?.parse().ok()?));
    Some(object.iter().filter_map(address).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_read_from_the_listening_line_and_from_no_other() {
        let line = r#"{"service":"collector","event":"listening","grpc":"127.0.0.1:1","admin":"127.0.0.1:2"}"#;
        let addresses = listening(line).unwrap();
        assert_eq!(addresses.len(), 2);
        assert_eq!(addresses["grpc"].port(), 1);
        assert!(listening(r#"{"event":"stopping","grpc":"127.0.0.1:1"}"#).is_none());
        assert!(listening("listening on 127.0.0.1:1").is_none());
    }
}
