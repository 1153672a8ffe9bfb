//! The Transactions Explorer: what departments state about their services, year by year.
//!
//! Invariant: every page is a function of one value, works by address alone and without a script, and shows stated figures
//! only, each with its window; a missing one says why, and stands last both ways.

mod asked;
mod body;
mod find;
mod home;
mod list;
mod order;
mod tables;

pub use asked::{Asked, Column, List, Owners};
pub use body::{agency_page, agency_section, department_sections};
pub use find::{Query, Words};
pub use home::{home_page, map_page};
pub use list::list_page;
pub use order::{sort_departments, sort_services};
pub use tables::{LICENCE, ValueRow, departments_csv, services_csv, treemap_csv, values_csv};

/// More transactions a year than this make a service a high-volume one.
pub const HIGH_VOLUME: u64 = 750_000;
