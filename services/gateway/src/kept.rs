//! Answers that need the store, made once for a crowd.
//!
//! Invariant: an answer is held for a few seconds by its address, and only so many are made at the same time; whoever
//! waited looks again before asking. Errors are not held.

use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::rendered::{Held, Rendered};

/// Reads at the same time; further ones wait.
const AT_ONCE: usize = 4;

/// Holds what was read.
#[derive(Debug)]
pub struct Kept {
    answers: Held,
    turns: Semaphore,
}

impl Default for Kept {
    fn default() -> Self {
        Self::new(Duration::from_secs(2))
    }
}

impl Kept {
    /// Nothing yet; what is read is held for so long.
    #[must_use]
    pub fn new(held_for: Duration) -> Self {
        Self { answers: Held::lasting(held_for), turns: Semaphore::new(AT_ONCE) }
    }

    /// The answer for an address, read if there is none that is fresh.
    ///
    /// # Errors
    /// What `read` says.
    pub async fn get_or<E>(
        &self,
        address: &str,
        read: impl Future<Output = Result<Rendered, E>>,
    ) -> Result<Rendered, E> {
        if let Some(held) = self.answers.get(address) {
            return Ok(held);
        }
        let _turn = self.turn().await;
        if let Some(held) = self.answers.get(address) {
            return Ok(held);
        }
        let made = read.await?;
        self.answers.put(address, &made);
        Ok(made)
    }
}

impl Kept {
    /// A turn for a read whose answer is not held.
    pub async fn turn(&self) -> SemaphorePermit<'_> {
        self.turns.acquire().await.expect("the semaphore is never closed")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rendered::JSON;

    #[tokio::test]
    async fn what_was_read_is_not_read_again_and_an_error_is() {
        let kept = Kept::new(Duration::from_secs(60));
        let failed = kept.get_or("/a", async { Err::<Rendered, _>("away") }).await;
        assert_eq!(failed.err(), Some("away"));
        let first = kept.get_or("/a", async { Ok::<_, &str>(Rendered::new(JSON, "1")) }).await;
        assert!(first.is_ok());
        let second = kept.get_or("/a", async { Err("nobody asks") }).await;
        assert!(second.is_ok(), "held");
        assert!(kept.get_or("/b", async { Err::<Rendered, _>("asked") }).await.is_err());
    }
}
