//! ClickHouse, connected when it is first needed and again after it was away.
//!
//! Invariant: only reads go through here.

use runtime::clickhouse::{Config, Error, Store};
use tokio::sync::Mutex;

/// Ends a question about few keys: conditions on columns of the key go before the merge of versions, which cannot change
/// them.
pub const BY_KEY_FIRST: &str = "SETTINGS optimize_move_to_prewhere_if_final = 1";

/// Gives the store to whoever reads.
pub struct Stores {
    config: Config,
    connected: Mutex<Option<Store>>,
}

impl Stores {
    /// Not connected yet.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self { config, connected: Mutex::new(None) }
    }

    /// The store.
    ///
    /// # Errors
    /// If it does not answer.
    pub async fn get(&self) -> Result<Store, Error> {
        let mut connected = self.connected.lock().await;
        if let Some(store) = connected.as_ref() {
            return Ok(store.clone());
        }
        let store = Store::connect(&self.config).await?;
        *connected = Some(store.clone());
        Ok(store)
    }
}
