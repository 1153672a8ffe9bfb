//! What an audit needs beside the site.

use std::sync::Arc;

use domain::pages::Pages;
use domain::rules::Rules;

use super::lookups::Lookups;
use crate::store::Stores;

/// Shared by all who ask.
pub struct Auditor {
    /// Where records are.
    pub stores: Arc<Stores>,
    /// Single events that are looked for.
    pub lookups: Arc<Lookups>,
    /// The rules in force: the partition of an id, and what is kept.
    pub rules: Rules,
    /// Names of pages.
    pub pages: Pages,
}

impl Auditor {
    /// By these rules.
    #[must_use]
    pub fn new(stores: Arc<Stores>, rules: Rules) -> Self {
        Self { lookups: Lookups::new(Arc::clone(&stores)), stores, rules, pages: Pages::embedded() }
    }
}
