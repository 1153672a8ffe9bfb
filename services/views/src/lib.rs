//! Pages for people and answers for programs. A page is a function of one value of [`figures`], which is also what the
//! read API answers, so a page and its API twin cannot disagree.
//!
//! Invariant: pure. It never does IO, reads a clock, opens a socket or asks a database.
#![doc = include_str!("../README.md")]

pub mod about;
pub mod ask;
pub mod assets;
mod attention;
pub mod audit;
pub mod chart;
pub mod clock;
pub mod compare;
pub mod csv;
pub mod downloads;
pub mod errors;
pub mod explorer;
pub mod figures;
pub mod format;
mod freshness;
pub mod govuk;
mod layout;
pub mod lists;
pub mod notes;
pub mod overview;
pub mod parts;
mod rows;
pub mod service;
mod service_use;
pub mod services;
pub mod span;
mod stated_part;
mod today;
pub mod wall;
pub mod words;

pub use assets::{Asset, asset};
pub use layout::ATTRIBUTION;
