//! Generations of the cells. Within one, versions only grow; a rebuild makes the next one, in which a figure may be
//! smaller. Whoever holds cells of an older generation in memory must let go of them first.
//!
//! Invariant: cells are exchanged only while no aggregator counts, and each begins with nothing in memory afterwards.

use std::sync::Arc;
use std::time::Duration;

use runtime::admin::Health;
use runtime::clickhouse::{Error, Store};
use runtime::shutdown::{Shutdown, Trigger};

/// Between two looks at whether a rebuild wants the counting to stand still.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What the store says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct State {
    /// The generation of the cells; 0 before the first rebuild.
    pub current: u32,
    /// A rebuild that wants everybody to stand still.
    pub wanted: Option<u32>,
}

/// Reads it.
///
/// # Errors
/// ClickHouse.
pub async fn read(store: &Store) -> Result<State, Error> {
    let sql = "SELECT maxIf(generation, is_done = 1), maxIf(generation, is_done = 0 AND stand_still_until > now64(3)) FROM \
               {cells}.rebuilds FINAL";
    let rows = store.rows::<(u32, u32)>("asking for the generation of the cells", store.query(sql)).await?;
    let (current, wanted) = rows.first().copied().unwrap_or_default();
    Ok(State { current, wanted: Some(wanted).filter(|wanted| *wanted > current) })
}

/// Waits until no rebuild wants it to stand still, and says so to those that do; the generation to count in, `None` if
/// told to stop meanwhile. Nothing may be in memory.
pub async fn settle(store: &Store, instance: &str, health: &Health, shutdown: &Shutdown) -> Option<u32> {
    let mut said = None;
    while !shutdown.is_stopping() {
        let state = async {
            let state = read(store).await?;
            if let Some(generation) = state.wanted.filter(|_| said != state.wanted) {
                let row = serde_json::json!({ "generation": generation, "instance": instance });
                store.insert("standing_still", "JSONEachRow", row.to_string().into()).await?;
                tracing::info!(generation, "standing still while the cells are exchanged");
                said = Some(generation);
            }
            Ok::<_, Error>(state)
        };
        match state.await {
            Ok(State { current, wanted: None }) => return Some(current),
            Ok(_) => health.not_ready("standing still while rebuilt cells are exchanged"),
            Err(error) => {
                health.not_ready(error.to_string());
                tracing::warn!(%error, "asking for the generation of the cells; trying again");
            }
        }
        tokio::time::sleep(LOOK_EVERY / 4).await;
    }
    None
}

/// Pulls the trigger when a rebuild wants the counting to stand still, or has exchanged the cells that `mine` was of.
pub async fn watch(store: Store, mine: u32, trigger: Arc<Trigger>, mut shutdown: Shutdown) {
    loop {
        tokio::select! {
            () = shutdown.wait() => return,
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
        match read(&store).await {
            Ok(State { current, wanted: None }) if current == mine => {}
            Ok(_) => return trigger.stop(),
            // With the store away nothing is stored and nothing is exchanged.
            Err(error) => tracing::debug!(%error, "asking for the generation of the cells"),
        }
    }
}
