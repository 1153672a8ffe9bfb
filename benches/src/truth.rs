//! What must come out: counted beside the platform, from the events themselves, in plain maps.

use std::collections::BTreeMap;

use domain::event::{Body, Event};

use crate::rig::Rig;

/// Figures of accepted events.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Truth {
    /// Events.
    pub events: u64,
    /// Views of pages.
    pub views: u64,
    /// By service and channel: started, completed, failed, abandoned, ratings.
    cells: BTreeMap<(u16, u8), [u64; 5]>,
}

impl Truth {
    /// Counts an event once.
    pub fn count(&mut self, event: &Event) {
        self.events += 1;
        let channel = event.channel.map_or(0, domain::vocabulary::Channel::number);
        let mut cell = |at: usize| self.cells.entry((event.service.0, channel)).or_default()[at] += 1;
        match &event.body {
            Body::Transaction(t) if t.is_total() => cell(usize::from(t.stage.number()) - 1),
            Body::Transaction(_) | Body::Retraction => {}
            Body::Rating(_) => cell(4),
            Body::PageView(_) => self.views += 1,
        }
    }

    /// Whether ledger, raw, minutes, hours and days all say this, and the books balance. Prints what does not.
    pub fn check(&self, rig: &mut Rig, records: u64) -> bool {
        let mut is_exact = true;
        let mut expect = |what: &str, found: String, wanted: String| {
            if found != wanted {
                println!("! {what}: {found} instead of {wanted}");
                is_exact = false;
            }
        };
        let books = "SELECT sum(recorded), sum(accepted), sum(abs(difference)) FROM {figures}.books FORMAT CSV";
        expect("books", rig.sql(books), format!("{records},{},0", self.events));
        let raw = "SELECT count(), countIf(outcome = 1) FROM {cells}.raw FINAL FORMAT CSV";
        expect("raw", rig.sql(raw), format!("{records},{}", self.events));
        for period in ["minute", "hour", "day"] {
            let sql = format!(
                "SELECT service, channel, sum(started), sum(completed), sum(failed), sum(abandoned), \
                 sum(arraySum(mapValues(ratings))) FROM {{figures}}.{period} GROUP BY 1, 2 ORDER BY 1, 2 FORMAT CSV"
            );
            let row = |((service, channel), [a, b, c, d, e]): (&(u16, u8), &[u64; 5])| {
                format!("{service},{channel},{a},{b},{c},{d},{e}")
            };
            let wanted: Vec<String> = self.cells.iter().map(row).collect();
            let found = rig.sql(&sql);
            if found.lines().ne(wanted.iter().map(String::as_str)) {
                let differing = found.lines().zip(&wanted).filter(|(found, wanted)| found != wanted).count();
                expect(period, format!("{} rows, {differing} of them wrong", found.lines().count()), String::new());
            }
            let views = format!("SELECT sum(views) FROM {{figures}}.page_{period} WHERE page = 0");
            expect(period, rig.sql(&views), self.views.to_string());
        }
        is_exact
    }
}
