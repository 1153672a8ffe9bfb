//! How every process starts, reports and stops.
