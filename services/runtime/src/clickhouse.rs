//! The one way to ask ClickHouse and to write to it.
//!
//! Invariant: every insert is one body that can be sent again unchanged, with block deduplication and server-side
//! queueing off; every read is read-only and bounded in time. A lost or repeated insert is harmless (`cell`), a
//! silently dropped one would not be.

use std::time::Duration;

use bytes::Bytes;
use clickhouse::{Client, Compression};
use futures::FutureExt as _;
use futures::future::select_ok;
use serde::Deserialize;
use tokio::sync::mpsc;

pub use clickhouse::error::Error as ClientError;
pub use clickhouse::query::Query;

/// Where ClickHouse is.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// HTTP interface, such as `http://127.0.0.1:18123`.
    pub url: String,
    /// User.
    pub user: String,
    /// Password.
    pub password: String,
    /// Database of the tables.
    pub cells: String,
    /// Database of the views that people and programs read.
    pub figures: String,
    /// Longest time a read may take, milliseconds.
    pub read_ms_max: u32,
    /// Longest time an insert may take, milliseconds.
    pub insert_ms_max: u32,
    /// Further ClickHouse settings sent with every insert: `insert_quorum` and the like on a cluster.
    #[serde(default)]
    pub insert_settings: std::collections::BTreeMap<String, String>,
    /// Further ClickHouse settings sent with every read: `select_sequential_consistency` and the like on a cluster.
    #[serde(default)]
    pub read_settings: std::collections::BTreeMap<String, String>,
}

/// The first try of an insert that can be sent again.
const FIRST_TRY_MS: u32 = 5_000;
/// A read without an answer for so long is asked once more, on another connection: its own may have died without a word.
/// Longer than idle connections are kept.
const ASK_AGAIN: Duration = Duration::from_secs(3);
/// A folder of ClickHouse's with the parts of a table, as the path of a part or of one of its files has it.
const OF_A_PART: &str = "/store/";
/// Codes of errors that say that files are not what they were when they were written: end of a file, data that is cut off, no
/// answer of the disk, another sum, no such file, missing in a part, contradictory, unknown compression.
const SPOILT: [&str; 9] = ["32", "33", "74", "40", "107", "226", "246", "271", "432"];

/// What went wrong between us and ClickHouse.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No answer in time.
    #[error("{doing}: no answer within {limit_ms} ms")]
    TimedOut {
        /// What was being done.
        doing: &'static str,
        /// The limit.
        limit_ms: u32,
    },
    /// ClickHouse or the network said no.
    #[error("{doing}: {source}")]
    Client {
        /// What was being done.
        doing: &'static str,
        /// What they said.
        source: ClientError,
    },
}

impl Error {
    /// Whether the same call may succeed later: everything but an answer that says that the call itself is wrong.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::TimedOut { .. } => true,
            Self::Client { source, .. } => {
                matches!(source, ClientError::Network(_) | ClientError::TimedOut | ClientError::BadResponse(_))
            }
        }
    }

    /// What ClickHouse said, if it was that a part of a table, which the words name by its folder, cannot be read.
    #[must_use]
    pub fn unreadable(&self) -> Option<&str> {
        let Self::Client { source: ClientError::BadResponse(words), .. } = self else { return None };
        let code = words.strip_prefix("Code: ")?.split('.').next()?;
        (SPOILT.contains(&code) && words.contains(OF_A_PART)).then_some(words)
    }
}

/// A ClickHouse with our settings.
#[derive(Clone)]
pub struct Store {
    writer: Client,
    reader: Client,
    admin: Client,
    config: Config,
    unreadable: Option<mpsc::Sender<String>>,
}

impl Store {
    /// Connects and finds out which settings the server knows.
    ///
    /// # Errors
    /// If the server does not answer.
    pub async fn connect(config: &Config) -> Result<Self, Error> {
        let base = Client::default()
            .with_url(&config.url)
            .with_user(&config.user)
            .with_password(&config.password)
            .with_compression(Compression::None);
        let mut writer = base
            .clone()
            .with_setting("async_insert", "0")
            .with_setting("insert_deduplicate", "0")
            // A body hardly ever holds a key twice: merging its rows among themselves is left to those who read.
            .with_setting("optimize_on_insert", "0")
            .with_setting("fsync_metadata", "1");
        let knows = "SELECT count() FROM system.settings WHERE name = 'deduplicate_insert'";
        let asked = base.query(knows).fetch_one::<u64>();
        // Newer servers let `deduplicate_insert` override `insert_deduplicate`, and it is on by default.
        if within(config.read_ms_max, "asking ClickHouse for its settings", asked).await? > 0 {
            writer = writer.with_setting("deduplicate_insert", "disable");
        }
        for (key, value) in &config.insert_settings {
            writer = writer.with_setting(key, value);
        }
        let mut reader = base
            .clone()
            .with_setting("readonly", "2")
            .with_setting("cancel_http_readonly_queries_on_client_close", "1")
            .with_setting("max_execution_time", config.read_ms_max.div_ceil(1_000).to_string());
        for (key, value) in &config.read_settings {
            reader = reader.with_setting(key, value);
        }
        Ok(Self { writer, reader, admin: base, config: config.clone(), unreadable: None })
    }

    /// The same store, which from now on also says there what its reads say of parts that cannot be read
    /// ([`Error::unreadable`]); not while the receiver has as many words as it takes.
    #[must_use]
    pub fn telling(self, unreadable: mpsc::Sender<String>) -> Self {
        Self { unreadable: Some(unreadable), ..self }
    }

    fn tell(&self, error: &Error) {
        if let (Some(tell), Some(words)) = (&self.unreadable, error.unreadable()) {
            let _ = tell.try_send(words.to_owned());
        }
    }

    /// Names of the databases: tables, views.
    #[must_use]
    pub fn databases(&self) -> (&str, &str) {
        (&self.config.cells, &self.config.figures)
    }

    /// Puts the names of the databases into a statement: `{cells}` and `{figures}`.
    #[must_use]
    pub fn named(&self, sql: &str) -> String {
        sql.replace("{cells}", &self.config.cells).replace("{figures}", &self.config.figures)
    }

    /// A read-only query; `{cells}` and `{figures}` stand for the databases, `?` and `bind` for values.
    pub fn query(&self, sql: &str) -> Query {
        self.reader.query(&self.named(sql))
    }

    /// All rows of a query made with [`Store::query`]. A call that is given up lets the query go on to its end.
    ///
    /// # Errors
    /// No answer in time, or a refusal.
    pub async fn rows<T>(&self, doing: &'static str, query: Query) -> Result<Vec<T>, Error>
    where
        T: clickhouse::RowOwned + clickhouse::RowRead + Send + 'static,
    {
        let limit_ms = self.config.read_ms_max;
        let ask = |query: Query| {
            let asked = tokio::spawn(async move { within(limit_ms, doing, query.fetch_all::<T>()).await });
            asked.map(|answer| answer.expect("asking does not panic"))
        };
        let mut first = ask(query.clone());
        let answer = match tokio::time::timeout(ASK_AGAIN, &mut first).await {
            Ok(answer) => answer,
            Err(_) => select_ok([first, ask(query)]).await.map(|(rows, _)| rows),
        };
        answer.inspect_err(|error| self.tell(error))
    }

    /// Hands each row of a query made with [`Store::query`] to `each`, as it comes; for answers too large to hold. The
    /// limit of time holds for the wait before each row, not for the whole. Returns the number of rows.
    ///
    /// # Errors
    /// No row in time, or a refusal.
    pub async fn each<T>(&self, doing: &'static str, query: Query, mut each: impl FnMut(T)) -> Result<u64, Error>
    where
        T: clickhouse::RowOwned + clickhouse::RowRead,
    {
        let query = query.with_setting("max_execution_time", "0");
        let mut rows = query.fetch::<T>().map_err(|source| Error::Client { doing, source })?;
        let mut n = 0;
        let mut next = async || within(self.config.read_ms_max, doing, rows.next()).await;
        while let Some(row) = next().await.inspect_err(|error| self.tell(error))? {
            each(row);
            n += 1;
        }
        Ok(n)
    }

    /// Inserts one body in the format named, such as `Native`, into a table of the cells database.
    ///
    /// # Errors
    /// No answer in time, or a refusal. The same body may be sent again.
    pub async fn insert(&self, table: &str, format: &str, body: Bytes) -> Result<(), Error> {
        self.insert_parts(table, format, &[body]).await
    }

    /// The same with a body in parts, which are sent one after the other.
    ///
    /// # Errors
    /// As [`Store::insert`].
    pub async fn insert_parts(&self, table: &str, format: &str, body: &[Bytes]) -> Result<(), Error> {
        self.insert_again(table, format, body, u32::MAX).await
    }

    /// The same after so many tries. The first ones are given up early: a connection that died without a word costs
    /// seconds then, and a slow server has more time with each try.
    ///
    /// # Errors
    /// As [`Store::insert`].
    pub async fn insert_again(&self, table: &str, format: &str, body: &[Bytes], tries: u32) -> Result<(), Error> {
        let limit_ms = FIRST_TRY_MS.saturating_mul(2_u32.saturating_pow(tries)).min(self.config.insert_ms_max);
        let sql = format!("INSERT INTO {}.{table} FORMAT {format}", self.config.cells);
        let insert = async {
            let mut insert = self.writer.insert_formatted_with(sql);
            for part in body {
                insert.send(part.clone()).await?;
            }
            insert.end().await
        };
        within(limit_ms, "inserting", insert).await
    }

    /// Whether the files of a part of a table are what they were when they were written, those of its indexes too. The user
    /// needs the right to `CHECK`.
    ///
    /// # Errors
    /// No answer in time, or a refusal.
    pub async fn is_sound(&self, table: &str, part: &str) -> Result<bool, Error> {
        let sql = format!("CHECK TABLE {{cells}}.{table} PART '{part}'");
        let query = self.admin.query(&self.named(&sql)).with_setting("check_query_single_value_result", "1");
        Ok(within(self.config.insert_ms_max, "checking a part", query.fetch_one::<u8>()).await? == 1)
    }

    /// Executes a statement that changes the schema or the rules.
    ///
    /// # Errors
    /// No answer in time, or a refusal.
    pub async fn execute(&self, doing: &'static str, sql: &str) -> Result<(), Error> {
        within(self.config.insert_ms_max, doing, self.admin.query(&self.named(sql)).execute()).await
    }
}

async fn within<T>(
    limit_ms: u32,
    doing: &'static str,
    call: impl Future<Output = Result<T, ClientError>>,
) -> Result<T, Error> {
    match tokio::time::timeout(Duration::from_millis(limit_ms.into()), call).await {
        Ok(answer) => answer.map_err(|source| Error::Client { doing, source }),
        Err(_) => Err(Error::TimedOut { doing, limit_ms }),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::{TcpListener, TcpStream};

    use super::*;

    /// One row with a number, as the client asks for it: a column, its name, its type, its value.
    fn answer(mut stream: &TcpStream, number: u64) {
        let body = [b"\x01\x01n\x06UInt64".as_slice(), &number.to_le_bytes()].concat();
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
        stream.write_all(&[head.as_bytes(), &body].concat()).expect("the client listens");
    }

    #[tokio::test]
    async fn a_read_whose_connection_died_is_asked_once_more() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        std::thread::spawn(move || {
            let mut silent = Vec::new();
            for (nth, stream) in (0..).zip(listener.incoming()) {
                let mut stream = stream.expect("a client");
                assert!(stream.read(&mut [0; 65_536]).expect("a question") > 0);
                match nth {
                    // What the server knows.
                    0 => answer(&stream, 0),
                    1 => silent.push(stream),
                    _ => answer(&stream, 17),
                }
            }
        });
        let (user, password, cells, figures) = Default::default();
        let (insert_settings, read_settings) = Default::default();
        let (read_ms_max, insert_ms_max) = (10_000, 10_000);
        let config =
            Config { url, user, password, cells, figures, read_ms_max, insert_ms_max, insert_settings, read_settings };
        let store = Store::connect(&config).await.expect("it answers");
        let began = std::time::Instant::now();
        let rows =
            store.rows::<u64>("asking", store.query("SELECT 17 AS n")).await.expect("the second try is answered");
        assert_eq!(rows, [17]);
        assert!((ASK_AGAIN..Duration::from_secs(8)).contains(&began.elapsed()), "{:?}", began.elapsed());
    }

    #[test]
    fn an_answer_that_names_a_part_is_unreadable_only_when_its_files_are_spoilt() {
        let said = |words: &str| Error::Client { doing: "asking", source: ClientError::BadResponse(words.into()) };
        let marks = "Code: 246. DB::Exception: Empty marks file '/store/78a/202610_5_50_2/data.cmrk4': 0, must be: 624: (while \
                     reading from part /store/78a/202610_5_50_2/ in table cells.unmerged_hour (78a) located on disk default)";
        assert_eq!(said(marks).unreadable(), Some(marks));
        let of_an_index = "Code: 246. DB::Exception: Empty marks file '/data/store/b5b/b5ba1c3d/202611_1_16_3/skp_idx_by_time.cmrk4': \
                           0, must be: 24: While executing MergeTreeSelect(pool: ReadPoolInOrder, algorithm: InOrder)";
        assert_eq!(said(of_an_index).unreadable(), Some(of_an_index));
        let elsewhere = "Code: 246. DB::Exception: Received from 127.0.0.1:9000. DB::Exception: Empty marks file";
        assert_eq!(said(elsewhere).unreadable(), None);
        assert_eq!(said(&marks.replacen("246", "241", 1)).unreadable(), None);
        assert_eq!(said("no code").unreadable(), None);
        assert_eq!(Error::TimedOut { doing: "asking", limit_ms: 1 }.unreadable(), None);
    }
}
