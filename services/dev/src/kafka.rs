//! One real Kafka broker on this machine: KRaft, broker and controller in one process, loopback
//! only, plain text; alone, or one of three that replicate everything.
//!
//! It keeps what it acknowledged through kill -9 and starts again on the same ports and data.
//! It never creates a topic: that is `aggregator provision`'s, or a test's.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

pub use crate::kafka_config::{BROKERS, Options, Place};
use crate::{
    child::{Child, Spec},
    error::{Doing as _, Error, Result},
    kafka_config::{LOGGING, meta_properties, server_properties},
    kafka_install::{BRIEF, Installation},
    ports,
};

/// How long a start may take: after kill -9 the broker waits until its former registration has
/// lapsed, and a busy machine doubles everything.
const START: Duration = Duration::from_secs(60);

/// A broker: one of ours, or one that is there already.
#[derive(Debug)]
pub struct Kafka {
    brokers: String,
    own: Option<Own>,
}

#[derive(Debug)]
struct Own {
    installation: Installation,
    dir: PathBuf,
    options: Options,
    further: String,
    child: Option<Child>,
}

impl Kafka {
    /// A broker that somebody else runs, as `host:port,host:port`.
    #[must_use]
    pub fn external(brokers: &str) -> Self {
        Self { brokers: brokers.to_owned(), own: None }
    }

    /// Starts a broker on data in `dir`, made first if there is none, and waits until it accepts
    /// clients.
    ///
    /// # Errors
    /// When it ends or is not ready in time; its log is named.
    pub fn start(installation: Installation, dir: &Path, options: Options) -> Result<Self> {
        Self::start_with(installation, dir, options, "")
    }

    /// The same with further lines for its settings, of which the last of a name counts; `{port}` and
    /// `{controller_port}` stand for its own.
    ///
    /// # Errors
    /// Those of [`Kafka::start`].
    pub fn start_with(installation: Installation, dir: &Path, options: Options, further: &str) -> Result<Self> {
        let brokers = format!("127.0.0.1:{}", options.port);
        let further = further.replace("{port}", &options.port.to_string());
        let further = further.replace("{controller_port}", &options.controller_port.to_string());
        let mut own = Own { installation, dir: dir.to_owned(), options, further, child: None };
        own.prepare()?;
        own.start()?;
        Ok(Self { brokers, own: Some(own) })
    }

    /// What clients put into `bootstrap.servers`.
    #[must_use]
    pub fn brokers(&self) -> &str {
        &self.brokers
    }

    /// The broker's process id; `None` when it is external or not running.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        Some(self.own.as_ref()?.child.as_ref()?.pid())
    }

    /// Kills the broker with SIGKILL.
    ///
    /// # Errors
    /// When the broker is external.
    pub fn kill(&mut self) -> Result<()> {
        let own = self.own.as_mut().ok_or(Error::External("Kafka"))?;
        if let Some(mut child) = own.child.take() {
            child.kill();
        }
        Ok(())
    }

    /// Starts the broker again after [`Kafka::kill`] or [`Kafka::stop`], on the same port and data.
    ///
    /// # Errors
    /// When the broker is external or does not start.
    pub fn restart(&mut self) -> Result<()> {
        let own = self.own.as_mut().ok_or(Error::External("Kafka"))?;
        own.child = None;
        own.start()
    }

    /// Like [`Kafka::restart`], but without waiting until it is ready.
    ///
    /// # Errors
    /// When the broker is external or cannot be started at all.
    pub fn respawn(&mut self) -> Result<()> {
        let own = self.own.as_mut().ok_or(Error::External("Kafka"))?;
        own.child = None;
        own.child = Some(Child::start(own.spec())?);
        Ok(())
    }

    /// Stops the broker in order. An external one is left alone.
    pub fn stop(&mut self) {
        if let Some(mut child) = self.own.as_mut().and_then(|own| own.child.take()) {
            child.stop();
        }
    }

    /// The child, to be watched; `None` when it is external or stopped.
    pub fn child(&mut self) -> Option<&mut Child> {
        self.own.as_mut()?.child.as_mut()
    }
}

impl Own {
    fn prepare(&self) -> Result<()> {
        let data = self.dir.join("data");
        fs::create_dir_all(&self.dir).doing(|| format!("making {}", self.dir.display()))?;
        if !data.join("meta.properties").exists() {
            self.installation.format(&data, &meta_properties(self.options))?;
        }
        let write =
            |name: &str, text: &str| fs::write(self.dir.join(name), text).doing(|| format!("writing {name} for Kafka"));
        write("server.properties", &format!("{}{}", server_properties(&data, self.options), self.further))?;
        write("log4j2.properties", LOGGING)
    }

    fn spec(&self) -> Spec {
        let name = self.options.place.map_or_else(|| "Kafka".to_owned(), |place| format!("Kafka {}", place.number));
        let mut spec = Spec::new(&name, self.installation.java(), &self.dir.join("kafka.log"));
        spec.arguments = self.installation.arguments(&self.dir, self.options.heap_mb);
        spec.arguments.extend(self.options.is_brief.then(|| BRIEF.to_owned()));
        spec.arguments.push("kafka.Kafka".into());
        spec.arguments.push(self.dir.join("server.properties").display().to_string());
        spec.grace = Duration::from_secs(20);
        spec
    }

    fn start(&mut self) -> Result<()> {
        let mut child = Child::start(self.spec())?;
        // The broker opens its listener only once the controller has let it in.
        let port = self.options.port;
        child.wait_until(START, || ports::answers(port))?;
        self.child = Some(child);
        Ok(())
    }
}
