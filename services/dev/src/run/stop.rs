//! When to stop: Ctrl-C, SIGTERM, or the end of the process that started this one.

use std::{
    process,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use nix::unistd::getppid;
use tokio::signal::unix::{SignalKind, signal};

use crate::{
    error::{Doing as _, Result},
    run::say,
};

/// How often the parent is looked at: bounds how long anything runs after it was killed.
const GLANCE: Duration = Duration::from_millis(250);

/// The wish to stop.
#[derive(Debug, Default)]
pub(super) struct Stop {
    started: AtomicBool,
    why: Mutex<Option<&'static str>>,
}

impl Stop {
    /// Begins to listen for signals and to watch the parent.
    pub(super) fn listen() -> Result<Arc<Self>> {
        let stop = Arc::new(Self::default());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.doing(|| "listening for signals".into())?;
        let signals = {
            let _inside = runtime.enter();
            let listen = |kind| signal(kind).doing(|| "listening for signals".into());
            [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()].map(listen)
        };
        let [interrupt, terminate, hangup] = signals;
        let (mut interrupt, mut terminate, mut hangup) = (interrupt?, terminate?, hangup?);
        let parent = getppid();
        let wish = Arc::clone(&stop);
        thread::spawn(move || {
            runtime.block_on(async {
                loop {
                    tokio::select! {
                        _ = interrupt.recv() => wish.now("interrupted"),
                        _ = terminate.recv() => wish.now("asked to stop"),
                        _ = hangup.recv() => wish.now("the terminal is gone"),
                        () = tokio::time::sleep(GLANCE) => {
                            if getppid() != parent {
                                wish.now("the parent is gone");
                            }
                        }
                    }
                }
            });
        });
        Ok(stop)
    }

    /// From now on there is somebody who looks at [`Stop::wanted`].
    pub(super) fn started(&self) {
        self.started.store(true, Ordering::Release);
    }

    /// Why to stop, if so.
    pub(super) fn wanted(&self) -> Option<&'static str> {
        *self.why.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self, why: &'static str) {
        if !self.started.load(Ordering::Acquire) {
            // In the middle of the start there is no order to keep: the guards stop what runs.
            say(&format!("{why} during the start: stopping"));
            process::exit(130);
        }
        self.why.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(why);
    }
}
