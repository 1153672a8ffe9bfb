//! One real ClickHouse on this machine: the checked library run as a server by `dev
//! clickhouse-server`, or a `clickhouse` binary that is on the PATH.
//!
//! It keeps what it acknowledged through kill -9 and starts again on the same port and data. Its
//! password is made once, for its folder, and is only ever written to a file of its owner's.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

pub use crate::clickhouse_config::Options;
use crate::{
    bins,
    child::{Child, Spec},
    clickhouse_config::{self as config, USER},
    error::{Error, Result},
    http,
};

/// How long a start may take, reading the parts of a year's data included.
const START: Duration = Duration::from_secs(60);

/// What the server runs on.
#[derive(Debug, Clone)]
pub enum Program {
    /// The library, loaded by our own launcher.
    Library(PathBuf),
    /// A `clickhouse` binary.
    Binary(PathBuf),
}

/// A server: one of ours, or one that is there already.
#[derive(Debug)]
pub struct ClickHouse {
    url: String,
    user: String,
    password: String,
    own: Option<Own>,
}

#[derive(Debug)]
struct Own {
    program: Program,
    dir: PathBuf,
    options: Options,
    child: Option<Child>,
}

impl ClickHouse {
    /// A server that somebody else runs.
    #[must_use]
    pub fn external(url: &str, user: &str, password: &str) -> Self {
        Self { url: url.to_owned(), user: user.to_owned(), password: password.to_owned(), own: None }
    }

    /// Starts a server on data in `dir`, made first if there is none, and waits until it answers.
    ///
    /// # Errors
    /// When it ends or is not ready in time; its log is named.
    pub fn start(program: Program, dir: &Path, options: Options) -> Result<Self> {
        let password = config::prepare(dir, options)?;
        let url = format!("http://127.0.0.1:{}", options.http_port);
        let mut own = Own { program, dir: dir.to_owned(), options, child: None };
        own.start()?;
        Ok(Self { url, user: USER.to_owned(), password, own: Some(own) })
    }

    /// The address of its HTTP interface.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The user the services log in as: may make and drop databases, tables, views and everything
    /// in them, and nothing else.
    #[must_use]
    pub fn user(&self) -> &str {
        &self.user
    }

    /// That user's password.
    #[must_use]
    pub fn password(&self) -> &str {
        &self.password
    }

    /// The server's process id; `None` when it is external or not running.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        Some(self.own.as_ref()?.child.as_ref()?.pid())
    }

    /// The port of its native protocol, where it was asked for.
    #[must_use]
    pub fn tcp_port(&self) -> Option<u16> {
        self.own.as_ref()?.options.tcp_port
    }

    /// Kills the server with SIGKILL.
    ///
    /// # Errors
    /// When the server is external.
    pub fn kill(&mut self) -> Result<()> {
        let own = self.own.as_mut().ok_or(Error::External("ClickHouse"))?;
        if let Some(mut child) = own.child.take() {
            child.kill();
        }
        Ok(())
    }

    /// Starts the server again after [`ClickHouse::kill`] or [`ClickHouse::stop`], on the same port
    /// and data.
    ///
    /// # Errors
    /// When the server is external or does not start.
    pub fn restart(&mut self) -> Result<()> {
        let own = self.own.as_mut().ok_or(Error::External("ClickHouse"))?;
        own.child = None;
        own.start()
    }

    /// Like [`ClickHouse::restart`], but without waiting until it is ready.
    ///
    /// # Errors
    /// When the server is external or cannot be started at all.
    pub fn respawn(&mut self) -> Result<()> {
        let own = self.own.as_mut().ok_or(Error::External("ClickHouse"))?;
        own.child = None;
        own.child = Some(Child::start(own.spec()?)?);
        Ok(())
    }

    /// Stops the server in order. An external one is left alone.
    pub fn stop(&mut self) {
        if let Some(mut child) = self.own.as_mut().and_then(|own| own.child.take()) {
            child.stop();
        }
    }

    /// The child, to be watched; `None` when it is external or stopped.
    pub fn child(&mut self) -> Option<&mut Child> {
        self.own.as_mut()?.child.as_mut()
    }

    /// Runs one statement and returns what it prints. For tests and checks; the services have
    /// their own client.
    ///
    /// # Errors
    /// When nobody answers within a minute, or with anything but 200.
    pub fn query(&self, sql: &str) -> Result<String> {
        self.query_within(sql, Duration::from_secs(60))
    }

    /// The same with another limit of time.
    ///
    /// # Errors
    /// When nobody answers within the limit, or with anything but 200.
    pub fn query_within(&self, sql: &str, limit: Duration) -> Result<String> {
        let address = self.address()?;
        let headers = [("X-ClickHouse-User", self.user.as_str()), ("X-ClickHouse-Key", &self.password)];
        let answer = http::request(address, "POST", "/", &headers, sql.as_bytes(), limit)?;
        if answer.status == 200 {
            return Ok(answer.body);
        }
        let body = answer.body.chars().take(500).collect();
        Err(Error::Http { url: self.url.clone(), status: answer.status, body })
    }

    fn address(&self) -> Result<SocketAddr> {
        let host = self.url.trim_start_matches("http://").trim_end_matches('/');
        host.parse().map_err(|_| Error::Http {
            url: self.url.clone(),
            status: 0,
            body: "not an http address with a numeric host and port".into(),
        })
    }
}

impl Own {
    fn start(&mut self) -> Result<()> {
        let mut child = Child::start(self.spec()?)?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.options.http_port));
        child.wait_until(START, || http::get(address, "/ping").is_ok_and(|answer| answer.body == "Ok.\n"))?;
        self.child = Some(child);
        Ok(())
    }

    fn spec(&self) -> Result<Spec> {
        let log = self.dir.join("clickhouse.log");
        let folder = self.dir.file_name().map(|name| name.to_string_lossy().into_owned());
        let name = folder.filter(|name| name.starts_with("clickhouse-")).unwrap_or_else(|| "ClickHouse".to_owned());
        let text = |path: &Path| path.display().to_string();
        let Options { http_port, tcp_port, memory_mb } = self.options;
        let mut spec = match &self.program {
            Program::Library(library) => {
                let mut spec = Spec::new(&name, &bins::dev()?, &log);
                // A client that goes away while it is answered can end the library: nothing there catches that.
                spec.again = true;
                spec.arguments = vec!["clickhouse-server".into(), "--library".into(), text(library)];
                spec.arguments.extend(["--path".into(), text(&self.dir)]);
                spec.arguments.extend(["--http-port".into(), http_port.to_string()]);
                spec.arguments.extend(["--memory-mb".into(), memory_mb.to_string()]);
                if let Some(port) = tcp_port {
                    spec.arguments.extend(["--tcp-port".into(), port.to_string()]);
                }
                spec
            }
            Program::Binary(binary) => {
                let mut spec = Spec::new(&name, binary, &log);
                let file = format!("--config-file={}", text(&config::server_file(&self.dir)));
                spec.arguments = vec!["server".into(), file];
                spec
            }
        };
        spec.grace = Duration::from_secs(20);
        Ok(spec)
    }
}
