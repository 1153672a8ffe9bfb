//! One signal to stop, seen by every part of a process.

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// Tells whether and when to stop. Cloning gives another ear to the same signal.
#[derive(Debug, Clone)]
pub struct Shutdown {
    stopping: watch::Receiver<bool>,
}

/// Stops everything that listens.
#[derive(Debug)]
pub struct Trigger {
    stopping: watch::Sender<bool>,
}

impl Trigger {
    /// From now on everybody stops.
    pub fn stop(&self) {
        self.stopping.send_replace(true);
    }
}

impl Shutdown {
    /// A signal that is given by hand.
    #[must_use]
    pub fn by_hand() -> (Trigger, Self) {
        let (sender, receiver) = watch::channel(false);
        (Trigger { stopping: sender }, Self { stopping: receiver })
    }

    /// A signal that is given by SIGTERM or SIGINT. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// If the handlers cannot be installed.
    pub fn by_signal() -> std::io::Result<Self> {
        let (trigger, shutdown) = Self::by_hand();
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        tokio::spawn(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            tracing::info!("stopping");
            trigger.stop();
        });
        Ok(shutdown)
    }

    /// Whether to stop.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        *self.stopping.borrow()
    }

    /// Returns when it is time to stop.
    pub async fn wait(&mut self) {
        // A trigger that is gone without a word counts as a stop.
        let _ = self.stopping.wait_for(|stopping| *stopping).await;
    }
}
