//! Pages for people and answers for programs: figures in, HTML and JSON out.
//!
//! Invariant: pure. A page is a function of one value of [`figures`], which is also what the read API answers, so a page
//! and its API twin cannot disagree. It never does IO, reads a clock, opens a socket or asks a database.

pub mod assets;
pub mod chart;
pub mod clock;
pub mod figures;
pub mod format;

pub use assets::{Asset, asset};
