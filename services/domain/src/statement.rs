//! Statements: what a department says about a service, a metric and a period, as an absolute figure.
//!
//! Invariant: a figure is never overwritten. A new value is a revision beside the old one, each with its date and source,
//! and which is newest is decided by the date of publication and then by the order of the log, not by the order of arrival
//! in a store. Missing is a state in words, never 0.
//!
//! It never mixes stated with counted figures.

mod amount;
mod book;
pub mod draft;
mod metric;
pub mod note;
mod published;
mod window;
pub mod yearly;

pub use amount::{Amount, Value};
pub use book::{Book, Figure, Revision, Source, Statement};
pub use metric::{Better, Metric, MetricNumber, Metrics, Unit};
pub use published::{PUBLISHED, Published, PublishedVersion, published};
pub use window::{Length, Window};
