//! Ids from memory into files, and many files into one.
//!
//! Invariant: one file is written at a time, beside the counting; what cannot be written stays where it is and is tried
//! again, and a partition whose share of memory is used up waits.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::source::Source;

use super::{Loop, Slot, Stopped};
use crate::ids::Run;
use crate::owned::Next;
use crate::reader::Answer;

/// After a failure so long passes before the next try.
const RETRY: Duration = Duration::from_secs(2);

/// What is under way.
#[derive(Debug, Default)]
pub(super) struct Spilling {
    is_writing: bool,
    not_before: Option<Instant>,
}

impl Loop {
    /// Begins to write the ids of a source that has too many in memory or in too many files, if there is one.
    pub(super) fn spill(&mut self) {
        if self.spilling.is_writing || self.spilling.not_before.is_some_and(|instant| Instant::now() < instant) {
            return;
        }
        for slot in self.slots.values_mut() {
            let Slot::Counting(assignment, owned) = slot else { continue };
            let Some(spill) = owned.counter.ids_mut().spill() else { continue };
            let (source, assignment) = (owned.counter.source(), *assignment);
            let (folder, answers) = (Arc::clone(&self.wiring.seed.folder), self.answers.0.clone());
            self.spilling.is_writing = true;
            self.wiring.tasks.spawn_blocking(move || {
                let written = spill.write(&folder);
                drop(spill);
                // The loop may be gone by then.
                let _ = answers.send(Answer::Spilled { source, assignment, written });
            });
            return;
        }
    }

    pub(super) fn take_spilled(
        &mut self,
        source: Source,
        assignment: u64,
        written: io::Result<Run>,
    ) -> Result<(), Stopped> {
        self.spilling = Spilling::default();
        match &written {
            Ok(_) => self.wiring.tell.alerts.resolve("ids_not_written", "counting.ids_dir"),
            Err(error) if is_spoilt(error) => {}
            Err(error) => {
                self.spilling.not_before = Some(Instant::now() + RETRY);
                self.wiring.metrics.spill_errors.inc();
                let words = format!(
                    "Ids cannot be written: {error}. None is lost; partitions wait when their memory is used up. Runbook: a \
                     disk fills up."
                );
                self.wiring.tell.alerts.raise("ids_not_written", "counting.ids_dir", &words);
            }
        }
        let Some(Slot::Counting(n, owned)) = self.slots.get_mut(&source.partition) else { return Ok(()) };
        if *n != assignment {
            return Ok(());
        }
        match written {
            Err(error) if is_spoilt(&error) => self.follow(source.partition, Next::Anew(error.to_string())),
            written => {
                owned.counter.ids_mut().spilled(written.ok());
                Ok(())
            }
        }
    }
}

/// Whether a file that was to be merged is not what was written: as when a look-up finds that.
fn is_spoilt(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof)
}
