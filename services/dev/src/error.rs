//! What can go wrong on one machine, in words that say what to do about it.

use std::{io, path::PathBuf};

/// A failure of the machine, a tool or a child process.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A program this needs is not installed.
    #[error("{tool} is missing: {hint}")]
    Missing {
        /// The program's name.
        tool: &'static str,
        /// The command that installs it.
        hint: String,
    },
    /// A program ran and said no.
    #[error("{command} failed ({status}):\n{output}")]
    Command {
        /// The command line, shortened.
        command: String,
        /// How it ended.
        status: String,
        /// The last lines it printed.
        output: String,
    },
    /// A fetched file is not the one the committed list names.
    #[error("{file}: {problem}; nothing was installed")]
    Checksum {
        /// The file's name.
        file: String,
        /// What differs.
        problem: String,
    },
    /// This platform has no checked package.
    #[error("no checked ClickHouse library for {0}: put a `clickhouse` binary on the PATH or set CLICKHOUSE_URL")]
    Platform(String),
    /// A file or pipe could not be read or written.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// Why it did not work.
        source: io::Error,
    },
    /// A child ended before it was asked to.
    #[error("{name} ended ({exit}); the end of {log}:\n{tail}", log = log.display())]
    Ended {
        /// Which child.
        name: String,
        /// How it ended.
        exit: String,
        /// Where its whole log is.
        log: PathBuf,
        /// The last lines of its log.
        tail: String,
    },
    /// A child did not answer in time.
    #[error("{name} was not ready after {seconds} s; the end of {log}:\n{tail}", log = log.display())]
    NotReady {
        /// Which child.
        name: String,
        /// How long it was given.
        seconds: u64,
        /// Where its whole log is.
        log: PathBuf,
        /// The last lines of its log.
        tail: String,
    },
    /// A port is in use.
    #[error("port {port} is taken, so {name} cannot start: stop what listens there, or choose another with {setting}")]
    PortTaken {
        /// The port.
        port: u16,
        /// Who wants it.
        name: String,
        /// The setting that changes it.
        setting: &'static str,
    },
    /// A setting that makes no sense.
    #[error("{0}")]
    Setting(String),
    /// Another run has the data.
    #[error("{} is in use by a run that has not ended: stop it, or choose another folder with PP_DATA", .0.display())]
    InUse(PathBuf),
    /// A server that is not ours cannot be killed or restarted from here.
    #[error("{0} is an external server: it is not started, stopped or killed from here")]
    External(&'static str),
    /// An answer over HTTP that was not the one hoped for.
    #[error("{url}: {status} {body}")]
    Http {
        /// What was asked.
        url: String,
        /// The status code.
        status: u16,
        /// The beginning of the answer.
        body: String,
    },
}

impl Error {
    /// Whether trying the same again may help without changing anything first.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::NotReady { .. } | Self::Ended { .. } | Self::Io { .. })
    }
}

/// The result of this crate's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Names what was tried when an IO call fails.
pub(crate) trait Doing<T> {
    /// Turns the IO error into one that says what was tried.
    fn doing(self, what: impl FnOnce() -> String) -> Result<T>;
}

impl<T> Doing<T> for io::Result<T> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|source| Error::Io { what: what(), source })
    }
}
