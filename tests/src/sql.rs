//! Questions to the real ClickHouse, through the platform's own client.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use clickhouse::{RowOwned, RowRead};
use runtime::clickhouse::{Config, Error, Store};
use tokio::runtime::Handle;

use crate::shared::Address;

/// A server that is started again is back within this time.
const AWAY: Duration = Duration::from_secs(10);

/// Asks about the databases of one stack; `{cells}` and `{figures}` stand for them.
#[derive(Clone)]
pub struct Sql {
    config: Config,
    store: OnceLock<Store>,
    tasks: Handle,
}

impl Sql {
    /// For the databases of a stack.
    #[must_use]
    pub fn new(address: &Address, cells: &str, figures: &str, tasks: Handle) -> Self {
        let config = Config {
            url: address.url.clone(),
            user: address.user.clone(),
            password: address.password.clone(),
            cells: cells.to_owned(),
            figures: figures.to_owned(),
            read_ms_max: 30_000,
            insert_ms_max: 30_000,
            insert_settings: [].into(),
            read_settings: [].into(),
        };
        Self { config, store: OnceLock::new(), tasks }
    }

    /// The same questions to another server of a cluster.
    #[must_use]
    pub fn at(&self, url: &str) -> Self {
        let config = Config { url: url.to_owned(), ..self.config.clone() };
        Self { config, store: OnceLock::new(), tasks: self.tasks.clone() }
    }

    /// The rows of a query.
    ///
    /// # Errors
    /// No answer, or a refusal.
    pub fn try_rows<T: RowOwned + RowRead + Send + 'static>(&self, sql: &str) -> Result<Vec<T>, Error> {
        self.tasks.block_on(async {
            let store = self.store().await?;
            store.rows("a test's question", store.query(sql)).await
        })
    }

    /// The rows of a query. A server that is just being started again is waited for.
    ///
    /// # Panics
    /// Without an answer.
    #[must_use]
    pub fn rows<T: RowOwned + RowRead + Send + 'static>(&self, sql: &str) -> Vec<T> {
        let began = Instant::now();
        loop {
            match self.try_rows(sql) {
                Ok(rows) => return rows,
                Err(error) if error.is_retryable() && began.elapsed() < AWAY => std::thread::sleep(AWAY / 50),
                Err(error) => panic!("{error}\n{sql}"),
            }
        }
    }

    /// The one number of a query.
    ///
    /// # Panics
    /// Without an answer of one row.
    #[must_use]
    pub fn number(&self, sql: &str) -> i64 {
        self.rows::<i64>(&format!("SELECT toInt64(x) FROM ({sql}) AS n(x)"))[0]
    }

    /// Changes something behind the platform's back.
    ///
    /// # Panics
    /// When it is refused.
    pub fn execute(&self, sql: &str) {
        self.try_execute(sql).unwrap_or_else(|error| panic!("{error}\n{sql}"));
    }

    /// The same where the server may be away.
    ///
    /// # Errors
    /// No answer, or a refusal.
    pub fn try_execute(&self, sql: &str) -> Result<(), Error> {
        let run = async { self.store().await?.execute("a test's change", sql).await };
        self.tasks.block_on(run)
    }

    async fn store(&self) -> Result<&Store, Error> {
        if self.store.get().is_none() {
            let _ = self.store.set(Store::connect(&self.config).await?);
        }
        Ok(self.store.get().expect("it was just set"))
    }
}
