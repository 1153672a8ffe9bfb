//! What is behind the addresses: everything that pages and the read API need.
//!
//! Invariant: a page and its API twin come from one value.

use std::sync::Arc;
use std::time::Duration;

use domain::catalogue::{Department, Service};
use runtime::admin::Health;
use views::ask::Broken;
use views::explorer::Asked;
use views::figures::govuk::PageHistory;
use views::figures::{Context, DepartmentPage, Series, ServicePage};
use views::span::Span;

use crate::audit::auditor::Auditor;
use crate::compose::{self, Composer, Labels, RulesInForce};
use crate::explorer::Explorer;
use crate::govuk::keeper::Keeper;
use crate::history::History;
use crate::kept::{Kept, Terms};
use crate::limits::Limits;
use crate::live::Door;
use crate::metrics::Metrics;
use crate::past::Pasts;
use crate::rendered::{Held, Rendered};
use crate::stated::Stated;
use crate::world::World;
use crate::writing::Writing;

/// How long answers that are read from the store are held, by address: an audit is several reads.
pub const READ: Terms = Terms { fresh: Duration::from_secs(3), stale: Duration::from_secs(10), most: 300 };
/// How long a download of stated figures is held: made anew once a minute for the instant of reading that is in it.
pub const DOWNLOADS: Terms = Terms { fresh: Duration::from_secs(60), stale: Duration::from_secs(600), most: 16 };
/// How long an answer of stated figures alone is held.
pub const STATED: Duration = Duration::from_secs(5);

/// Everything that answers are made from.
pub struct Site {
    /// Counts and names.
    pub world: Arc<World>,
    /// The past.
    pub history: Arc<History>,
    /// Counts over a span, on request.
    pub pasts: Pasts,
    /// Where sockets come in.
    pub door: Arc<Door>,
    /// Of the service.
    pub metrics: Metrics,
    /// Whether the gateway can do its work.
    pub health: Health,
    /// What is said about the data.
    pub labels: Labels,
    /// For the page about the data.
    pub rules: RulesInForce,
    /// What departments have stated, and their notes.
    pub stated: Stated,
    /// Takes notes to the collector.
    pub writing: Writing,
    /// How much each client may ask for.
    pub limits: Arc<Limits>,
    /// Answers that were just made.
    pub held: Held,
    /// The same of stated figures, which change by imports only.
    pub explored: Held,
    /// Style, font and scripts.
    pub assets: Held,
    /// Answers that were read from the store, by address.
    pub kept: Kept<String, Rendered>,
    /// Everything that was stated, for download, by the edition of the book that it is made from.
    pub downloads: Kept<String, Rendered>,
    /// The books of collectors and ledger.
    pub auditor: Auditor,
    /// What was read of single pages of GOV.UK, by their numbers.
    pub histories: Kept<u32, Arc<PageHistory>>,
    /// What was counted of the pages of GOV.UK.
    pub govuk: Arc<Keeper>,
}

impl Site {
    /// Makes a value under one lock.
    pub fn compose<T>(&self, make: impl FnOnce(Composer<'_>) -> T) -> T {
        let now_ms = runtime::clock::now_ms();
        let (weekdays, days, books) = (self.history.weekdays(), self.history.days(), self.history.books(now_ms));
        let stated = self.stated.reading();
        let live = self.world.live();
        make(Composer {
            catalogue: &self.world.catalogue,
            live: &live,
            weekdays: &weekdays,
            days: &days,
            stated: &stated,
            books: books.as_deref(),
            labels: self.labels,
            now_ms,
        })
    }

    /// The counts of a service over a span, as a series.
    ///
    /// # Errors
    /// ClickHouse.
    pub async fn series(&self, service: &Service, span: &Span) -> Result<Series, runtime::clickhouse::Error> {
        let read = self.pasts.of(service.number, span).await?;
        let counted_from = self.history.days().first(service.number);
        Ok(compose::series(service, span, &read, counted_from, runtime::clock::now_ms()))
    }

    /// Makes a value from one reading of what was stated.
    ///
    /// # Errors
    /// Twelve months for which nothing was stated.
    pub fn explore<T>(&self, asked: &Asked, make: impl FnOnce(&Explorer<'_>) -> T) -> Result<T, Vec<Broken>> {
        let reading = self.stated.reading();
        let explorer = Explorer::new(&self.world.catalogue, &reading, &self.stated.metrics, asked)?;
        Ok(make(&explorer))
    }

    /// A service with all that is counted and stated about it.
    pub fn service_page(&self, service: &Service, past: Option<Series>) -> ServicePage {
        let mut page = self.compose(|composer| composer.service(service, past));
        if let Ok(stated) = self.explore(&Asked::default(), |explorer| explorer.service(service)) {
            page.stated = stated;
        }
        page
    }

    /// A department with all that is counted and stated about it.
    ///
    /// # Errors
    /// Twelve months for which nothing was stated.
    pub fn department_page(&self, department: &Department, asked: &Asked) -> Result<DepartmentPage, Vec<Broken>> {
        let stated = self.explore(asked, |explorer| explorer.department(department))?;
        let mut page = self.compose(|composer| composer.department(department));
        page.stated = Some(stated);
        Ok(page)
    }

    /// When, how fresh, what kind.
    pub fn context(&self) -> Context {
        self.compose(|composer| composer.context())
    }
}
