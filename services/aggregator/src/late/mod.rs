//! The late logs, backfill and corrections: counted like events, but each decision rests on what other logs have
//! accepted, and waits until those are settled.
//!
//! Reading order: `decide` (the outcome), `settled` (when it may be decided), `source` (one source, in order); these are
//! plain values. `lookup` asks raw, `round` is one round over all sources, `check` puts right what the store has lost in the
//! `rhythm` of the checks, `run` is the loop around both.

mod check;
pub mod decide;
mod lookup;
mod poller;
mod rhythm;
mod round;
mod run;
pub mod settled;
pub mod source;

pub use run::{Wiring, run};
