//! What is read or made once for a crowd: identical questions at the same time are one, and what came of it is held for a
//! while.
//!
//! Invariant: a value that is no longer fresh is renewed in the background by the first who asks for it; all have the one
//! before meanwhile, unless that is too old: then they wait for one of them. Only so many are made at the same time, and
//! only so many are held. Errors are not held.

use std::collections::HashMap;
use std::fmt::Display;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedMutexGuard, Semaphore};

/// Reads at the same time; further ones wait.
const AT_ONCE: usize = 4;

/// For how long values are held, and how many.
#[derive(Debug, Clone, Copy)]
pub struct Terms {
    /// So long a value is not made again.
    pub fresh: Duration,
    /// So long it is given while it is being renewed.
    pub stale: Duration,
    /// Values at most; what finds no room is made each time.
    pub most: usize,
}

/// Values by key.
#[derive(Debug)]
pub struct Kept<K, V> {
    places: Mutex<HashMap<K, Arc<Place<V>>>>,
    turns: Arc<Semaphore>,
    terms: Terms,
}

/// One value, and who is making it.
#[derive(Debug)]
struct Place<V> {
    value: Mutex<Option<(Instant, V)>>,
    making: Arc<tokio::sync::Mutex<()>>,
}

impl<V: Clone> Place<V> {
    fn empty() -> Self {
        Self { value: Mutex::new(None), making: Arc::default() }
    }

    fn younger_than(&self, age: Duration) -> Option<V> {
        let value = self.value.lock().unwrap_or_else(PoisonError::into_inner);
        value.as_ref().filter(|(at, _)| at.elapsed() < age).map(|(_, value)| value.clone())
    }

    /// Makes the value; whoever holds `making` may.
    async fn make<E>(
        &self,
        _making: OwnedMutexGuard<()>,
        turns: &Semaphore,
        make: impl Future<Output = Result<V, E>>,
    ) -> Result<V, E> {
        let _turn = turns.acquire().await.expect("the semaphore is never closed");
        let value = make.await?;
        *self.value.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), value.clone()));
        Ok(value)
    }
}

impl<K: Eq + Hash, V: Clone + Send + 'static> Kept<K, V> {
    /// Nothing yet.
    #[must_use]
    pub fn new(terms: Terms) -> Self {
        Self { places: Mutex::default(), turns: Arc::new(Semaphore::new(AT_ONCE)), terms }
    }

    /// The value of a key, made if there is none.
    ///
    /// # Errors
    /// What `make` says.
    pub async fn get_or<E>(&self, key: K, make: impl Future<Output = Result<V, E>> + Send + 'static) -> Result<V, E>
    where
        E: Display + Send + 'static,
    {
        let place = self.place(key);
        if let Some(value) = place.younger_than(self.terms.fresh) {
            return Ok(value);
        }
        if let Some(value) = place.younger_than(self.terms.stale) {
            if let Ok(making) = Arc::clone(&place.making).try_lock_owned() {
                let turns = Arc::clone(&self.turns);
                tokio::spawn(async move {
                    if let Err(error) = place.make(making, &turns, make).await {
                        tracing::debug!(%error, "an answer cannot be renewed");
                    }
                });
            }
            return Ok(value);
        }
        let making = Arc::clone(&place.making).lock_owned().await;
        // Whoever waited finds what the one before has made.
        if let Some(value) = place.younger_than(self.terms.fresh) {
            return Ok(value);
        }
        place.make(making, &self.turns, make).await
    }

    /// The place of a key; one of its own that nobody finds if there is no room.
    fn place(&self, key: K) -> Arc<Place<V>> {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = places.get(&key) {
            return Arc::clone(place);
        }
        let place = Arc::new(Place::empty());
        if places.len() >= self.terms.most {
            let is_wanted = |place: &Arc<Place<V>>| Arc::strong_count(place) > 1;
            places.retain(|_, place| is_wanted(place) || place.younger_than(self.terms.stale).is_some());
        }
        if places.len() < self.terms.most {
            places.insert(key, Arc::clone(&place));
        }
        place
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    const HOUR: Duration = Duration::from_secs(3_600);

    fn kept(fresh: Duration, stale: Duration, most: usize) -> Kept<&'static str, u32> {
        Kept::new(Terms { fresh, stale, most })
    }

    /// Lets all others go on so often.
    async fn turns(n: u32) {
        for _ in 0..n {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn what_was_made_is_not_made_again_and_an_error_is() {
        let kept = kept(HOUR, HOUR, 9);
        assert_eq!(kept.get_or("a", async { Err::<u32, _>("away") }).await, Err("away"));
        assert_eq!(kept.get_or("a", async { Ok::<_, &str>(1) }).await, Ok(1));
        assert_eq!(kept.get_or("a", async { Err("nobody asks") }).await, Ok(1), "held");
        assert_eq!(kept.get_or("b", async { Err("asked") }).await, Err("asked"));
    }

    #[tokio::test]
    async fn the_same_question_at_the_same_time_is_asked_once() {
        let (kept, asked) = (kept(HOUR, HOUR, 9), Arc::new(AtomicU32::new(0)));
        let ask = || {
            let asked = Arc::clone(&asked);
            kept.get_or("a", async move {
                turns(3).await;
                Ok::<_, &str>(asked.fetch_add(1, Ordering::SeqCst) + 1)
            })
        };
        let answers = futures::future::join_all((0..20).map(|_| ask())).await;
        assert_eq!((answers, asked.load(Ordering::SeqCst)), (vec![Ok(1); 20], 1));
    }

    #[tokio::test]
    async fn what_is_not_fresh_is_given_while_it_is_renewed_until_it_is_too_old() {
        let slow = |value| async move {
            turns(3).await;
            Ok::<u32, &str>(value)
        };
        let kept = kept(Duration::ZERO, HOUR, 9);
        assert_eq!(kept.get_or("a", slow(1)).await, Ok(1));
        assert_eq!(kept.get_or("a", slow(2)).await, Ok(1), "at once");
        assert_eq!(kept.get_or("a", async { Err("one renews it already") }).await, Ok(1));
        turns(9).await;
        assert_eq!(kept.get_or("a", async { Err("away") }).await, Ok(2), "it was renewed");
        turns(9).await;
        assert_eq!(kept.get_or("a", slow(3)).await, Ok(2), "what cannot be renewed stays for its time");
        let strict = self::kept(Duration::ZERO, Duration::ZERO, 9);
        assert_eq!(strict.get_or("a", slow(1)).await, Ok(1));
        assert_eq!(strict.get_or("a", slow(2)).await, Ok(2), "too old");
    }

    #[tokio::test]
    async fn what_finds_no_room_is_made_each_time() {
        let kept = kept(HOUR, HOUR, 1);
        for (key, value, wanted) in [("a", 1, 1), ("b", 2, 2), ("a", 3, 1), ("b", 4, 4)] {
            assert_eq!(kept.get_or(key, async move { Ok::<_, &str>(value) }).await, Ok(wanted), "{key}");
        }
    }
}
