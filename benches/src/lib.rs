//! What the yardsticks share: realistic events, the platform on real servers, CPU time, and how a figure is printed.
//!
//! Invariant: a figure is always printed beside a yardstick that was measured in the same run, on the same machine, with
//! the same events. Nothing here is a test: a figure that misses its aim is printed, not an error; a count that is not
//! exact is.

pub mod addresses;
pub mod bare;
pub mod cpu;
pub mod figures;
pub mod memory;
pub mod mix;
pub mod readers;
pub mod rig;
pub mod senders;
pub mod truth;
pub mod year;
