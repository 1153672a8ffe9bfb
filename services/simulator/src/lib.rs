//! Departments that never sleep.
