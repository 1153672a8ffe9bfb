//! One pair of real servers for all tests of a run; each test has topics, databases and a group of its own there.
//!
//! Tests that kill or stop a server start a pair of their own with [`Shared::own`]. Nothing outlives the run: the
//! servers are children under `dev`'s guard, and the folder goes when every test has passed.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock};

use dev::{Options, Servers};

/// Where the servers are.
#[derive(Debug, Clone)]
pub struct Address {
    /// Kafka.
    pub brokers: String,
    /// ClickHouse.
    pub url: String,
    /// Its user.
    pub user: String,
    /// That user's password.
    pub password: String,
}

impl Address {
    /// Of servers that run.
    pub fn of(servers: &mut Servers) -> Self {
        let brokers = servers.bootstrap();
        let store = servers.clickhouse();
        let (url, user, password) = (store.url().to_owned(), store.user().to_owned(), store.password().to_owned());
        Self { brokers, url, user, password }
    }
}

/// What all tests of a run share.
#[derive(Debug)]
pub struct Shared {
    dir: PathBuf,
    servers: Mutex<Option<Servers>>,
    address: OnceLock<Address>,
}

impl Shared {
    /// Nothing is started before it is needed.
    ///
    /// # Panics
    /// When the folder cannot be made.
    #[must_use]
    pub fn new(dir: &Path) -> Self {
        std::fs::create_dir_all(dir).expect("the folder of the run can be made");
        Self { dir: dir.to_owned(), servers: Mutex::new(None), address: OnceLock::new() }
    }

    /// The folder of the run.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The shared servers, started by the first who asks.
    ///
    /// # Panics
    /// When they cannot be started.
    pub fn address(&self) -> Address {
        let start = || {
            let mut servers = start(&self.dir.join("servers"));
            let address = Address::of(&mut servers);
            *self.servers.lock().expect("nobody panics while holding it") = Some(servers);
            address
        };
        self.address.get_or_init(start).clone()
    }

    /// A pair of one test's own, which it may kill.
    ///
    /// # Panics
    /// When they cannot be started.
    #[must_use]
    pub fn own(&self, test: &str) -> Servers {
        start(&self.dir.join(format!("servers-{test}")))
    }

    /// Three brokers and two shards of one test's own.
    ///
    /// # Panics
    /// When they cannot be started.
    #[must_use]
    pub fn cluster(&self, test: &str) -> Servers {
        let started = Servers::start(&self.dir.join(format!("servers-{test}")), &Options::cluster().brief());
        started.unwrap_or_else(|error| panic!("a real cluster: {error}"))
    }

    /// Ends the servers and removes their data; the logs of the tests stay if they are wanted.
    pub fn close(&self, keep_logs: bool) {
        let servers = self.servers.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        drop(servers);
        if keep_logs {
            for entry in std::fs::read_dir(&self.dir).into_iter().flatten().flatten() {
                if entry.file_name().to_string_lossy().starts_with("servers") {
                    drop(std::fs::remove_dir_all(entry.path()));
                }
            }
        } else {
            drop(std::fs::remove_dir_all(&self.dir));
        }
    }
}

fn start(dir: &Path) -> Servers {
    Servers::start(dir, &Options::default().brief()).unwrap_or_else(|error| panic!("real servers: {error}"))
}
