//! Look-ups of single events: those that come while others are under way are asked together.
//!
//! Invariant: each is answered by one question of the store, with what was there when it was asked; a reader who goes away
//! takes nobody's answer along. Only so many are in one question, so that its filter still leaves nearly everything out.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

use domain::source::{EventId, ServiceNumber};
use runtime::clickhouse::Error;
use tokio::sync::{Semaphore, oneshot};

use super::read::{self, RawRow};
use crate::store::Stores;

/// Questions at the same time.
const AT_ONCE: usize = 2;
/// Events of one question.
const TOGETHER_MAX: usize = 16;
/// Records of one event.
const RECORDS_MAX: usize = 100;

/// An event that is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// Whose.
    pub service: ServiceNumber,
    /// Its id.
    pub id: EventId,
    /// Copies of an id are all in one partition, so the others are not looked at.
    pub partition: u16,
    /// Not appended before, unix milliseconds.
    pub from_ms: i64,
}

impl Wanted {
    fn is(&self, row: &RawRow) -> bool {
        row.event_id() == self.id
            && row.service == self.service.0
            && row.p == self.partition
            && row.appended_at_ms >= self.from_ms
    }
}

type Told = Result<Vec<RawRow>, Arc<Error>>;

/// Those that wait.
pub struct Lookups {
    stores: Arc<Stores>,
    waiting: Mutex<Vec<(Wanted, oneshot::Sender<Told>)>>,
    turns: Semaphore,
}

impl Lookups {
    /// Nobody waits.
    #[must_use]
    pub fn new(stores: Arc<Stores>) -> Arc<Self> {
        Arc::new(Self { stores, waiting: Mutex::default(), turns: Semaphore::new(AT_ONCE) })
    }

    /// Every record with an id, oldest first.
    ///
    /// # Errors
    /// ClickHouse.
    pub async fn find(self: &Arc<Self>, wanted: Wanted) -> Told {
        let (tell, told) = oneshot::channel();
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).push((wanted, tell));
        let lookups = Arc::clone(self);
        // As many turns are waited for as look-ups wait, so that none is left.
        tokio::spawn(async move {
            let _turn = lookups.turns.acquire().await.expect("the semaphore is never closed");
            let together = lookups.next();
            if !together.is_empty() {
                lookups.ask(together).await;
            }
        });
        told.await.expect("whoever takes a look-up tells what came of it")
    }

    /// Who waits longest.
    fn next(&self) -> Vec<(Wanted, oneshot::Sender<Told>)> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let most = waiting.len().min(TOGETHER_MAX);
        waiting.drain(..most).collect()
    }

    async fn ask(&self, together: Vec<(Wanted, oneshot::Sender<Told>)>) {
        let wanted: Vec<_> = together.iter().map(|(wanted, _)| *wanted).collect();
        let read = async { read::receipts(&self.stores.get().await?, &condition(&wanted), RECORDS_MAX).await };
        let found = read.await.map_err(Arc::new);
        for (wanted, tell) in together {
            let own = |rows: &Vec<RawRow>| rows.iter().filter(|row| wanted.is(row)).cloned().collect();
            // Nobody hears it who has gone away.
            let _ = tell.send(found.as_ref().map(own).map_err(Arc::clone));
        }
    }
}

/// All of them as a condition, of numbers only; what belongs to whom is told apart afterwards.
fn condition(wanted: &[Wanted]) -> String {
    let list = |one: &dyn Fn(&Wanted) -> String| wanted.iter().map(one).collect::<Vec<_>>().join(", ");
    let from_ms = wanted.iter().map(|wanted| wanted.from_ms).min().unwrap_or(i64::MAX);
    let mut sql = format!("p IN ({})", list(&|wanted| wanted.partition.to_string()));
    let _ = write!(sql, " AND service IN ({})", list(&|wanted| wanted.service.0.to_string()));
    let _ = write!(sql, " AND id IN ({})", list(&|wanted| format!("toUUID('{}')", wanted.id.uuid())));
    let _ = write!(sql, " AND appended_at >= fromUnixTimestamp64Milli(toInt64({from_ms}), 'UTC')");
    sql
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(n: u16) -> Wanted {
        Wanted { service: ServiceNumber(n), id: EventId(n.into()), partition: n % 4, from_ms: i64::from(n) * 10 }
    }

    #[test]
    fn each_has_its_own_records_of_what_was_asked_together() {
        let row = |n: u16, appended_at_ms| RawRow {
            service: n,
            p: n % 4,
            low: n.into(),
            appended_at_ms,
            ..RawRow::default()
        };
        assert!(wanted(7).is(&row(7, 70)));
        assert!(!wanted(7).is(&row(8, 80)), "another's");
        assert!(!wanted(7).is(&row(7, 69)), "too old");
        assert!(!wanted(7).is(&RawRow { p: 1, ..row(7, 70) }), "another partition's, which others asked for");
        let sql = condition(&[wanted(7), wanted(5)]);
        assert!(sql.starts_with("p IN (3, 1) AND service IN (7, 5) AND id IN (toUUID("), "{sql}");
        assert!(sql.ends_with("toInt64(50), 'UTC')"), "the oldest bound of all: {sql}");
    }

    #[tokio::test]
    async fn a_store_that_is_away_is_told_to_all_and_nobody_is_left_waiting() {
        let config = runtime::clickhouse::Config {
            url: "http://127.0.0.1:1".into(),
            user: "nobody".into(),
            password: String::new(),
            cells: "cells".into(),
            figures: "figures".into(),
            read_ms_max: 1_000,
            insert_ms_max: 1_000,
            insert_settings: std::collections::BTreeMap::new(),
            read_settings: std::collections::BTreeMap::new(),
        };
        let lookups = Lookups::new(Arc::new(Stores::new(config)));
        let all = (0..3 * TOGETHER_MAX as u16).map(|n| {
            let lookups = Arc::clone(&lookups);
            async move { lookups.find(wanted(n)).await }
        });
        assert!(futures::future::join_all(all).await.iter().all(Result::is_err));
        assert!(lookups.next().is_empty());
    }
}
