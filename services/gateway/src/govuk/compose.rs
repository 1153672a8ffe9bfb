//! From the fold and what is held of page views to the values of `/govuk`.
//!
//! Invariant: pure. Distinct visitors are counted by one function, for pages, API and socket.

use std::collections::BTreeMap;

use domain::pages::Pages;
use domain::source::ServiceNumber;
use domain::time::{Day, HOUR_MS, Period};
use domain::visitors::Registers;
use views::figures::Context;
use views::figures::govuk::{GovUk, KindViews, LinePoint, PageViews, Top, Trend, VisitorHour, Weeks, kind_name};

use super::keeper::{Past, Span};
use super::read::{PageRow, distinct};
use crate::fold::{Fold, Measure, Sum};

/// "Now" is so many full minutes.
pub const NOW_MINUTES: u32 = 5;
/// Rows of a list.
const TOP: usize = 10;
/// Views that a page needs in both spans before a rise of it says anything.
const FLOOR: u64 = 30;
const WEEKS_NEEDED: u32 = 4;
/// Per cent: 1.04 / sqrt(4096).
const STANDARD_ERROR: f64 = 1.6;
const UNLISTED: &str = "other pages";

/// Distinct visitors of the five minutes that end with `last`, which is among them. Visitors are daily pseudonyms, so the
/// minutes are those of `last`'s London day. `None` if no view was counted in them.
#[must_use]
pub fn visitors_now(fold: &Fold, site: ServiceNumber, last: u32) -> Option<(u64, u64)> {
    let day = Day::at(Period::Minute.start_ms(last));
    let first = (last + 1 - NOW_MINUTES).max(Period::Minute.index_at(day.start_ms()));
    let sums = (first..=last).filter_map(|minute| fold.sum(Period::Minute, minute, site));
    let (mut registers, mut version) = (None::<Registers>, 0);
    for sum in sums.filter(|sum| sum.get(Measure::Views).is_some()) {
        registers.get_or_insert_default().merge(&sum.visitors);
        version = version.max(sum.version);
    }
    registers.map(|registers| (distinct(&registers), version))
}

/// Everything that the page is made from.
pub struct Sources<'a> {
    /// Counts of today and the last hour.
    pub fold: &'a Fold,
    /// What is held.
    pub past: &'a Past,
    /// Names of pages.
    pub pages: &'a Pages,
    /// The service whose pages they are.
    pub site: ServiceNumber,
    /// Whether backfilled views are on their way: the oldest day may be there in part only.
    pub is_filling: bool,
}

impl Sources<'_> {
    /// The value of the page.
    #[must_use]
    pub fn govuk(&self, context: Context) -> GovUk {
        let last = Period::Minute.index_at(context.last_minute_ms());
        let today = self.fold.sum(Period::Day, Period::Day.index_at(context.edge_ms()), self.site);
        let viewed = today.filter(|sum| sum.get(Measure::Views).is_some());
        let Past { weekdays, weekdays_of, .. } = self.past;
        let is_of_today = *weekdays_of == Some(context.today);
        let weekdays = &weekdays[..weekdays.len() - usize::from(self.is_filling && !weekdays.is_empty())];
        let top = |span: &Option<Span>| span.as_ref().map(|span| self.top(span));
        GovUk {
            standard_error_percent: STANDARD_ERROR,
            visitors_now: visitors_now(self.fold, self.site, last).map(|(visitors, _)| visitors),
            now_until_s: Period::Minute.start_ms(last + 1) / 1_000,
            visitors_today: viewed.map(|sum| distinct(&sum.visitors)),
            views_today: viewed.and_then(views),
            line: self.line(&context),
            hours: self.hours(&context, if is_of_today { weekdays } else { &[] }),
            usual_weeks: if is_of_today { weekdays.len() as u32 } else { 0 },
            usual_weeks_needed: WEEKS_NEEDED,
            weeks: weeks(&self.past.days, context.today),
            top_now: top(&self.past.now),
            top_today: top(&self.past.today),
            top_week: top(&self.past.week),
            trending: self.past.trend.as_ref().map(|(this, last)| self.trending(this, last)).unwrap_or_default(),
            trending_floor: FLOOR,
            context,
        }
    }

    fn line(&self, context: &Context) -> Vec<LinePoint> {
        if !self.past.has_line {
            return Vec::new();
        }
        let until_s = (context.now_ms / 1_000).div_euclid(300) * 300;
        let starts = (0..288).map(|step| until_s - 86_400 + 300 * step);
        starts.map(|s| LinePoint { until_s: s + 300, visitors: self.past.line.get(&s).copied() }).collect()
    }

    fn hours(&self, context: &Context, weekdays: &[Vec<Option<u64>>]) -> Vec<VisitorHour> {
        let start_ms = context.today.start_ms();
        let n = (context.today.next().start_ms() - start_ms) / HOUR_MS;
        let hour = |place: i64| {
            let from_ms = start_ms + place * HOUR_MS;
            let sum = self.fold.sum(Period::Hour, Period::Hour.index_at(from_ms), self.site);
            let seen = sum.filter(|sum| sum.get(Measure::Views).is_some());
            let mut known: Vec<u64> = weekdays.iter().filter_map(|day| *day.get(place as usize)?).collect();
            known.sort_unstable();
            let usual = (known.len() >= WEEKS_NEEDED as usize).then(|| known[known.len() / 2]);
            let visitors = seen.map(|sum| distinct(&sum.visitors));
            VisitorHour { from_s: from_ms / 1_000, visitors, views: seen.and_then(views), usual }
        };
        (0..n).map(hour).collect()
    }

    fn kind(&self, page: u32) -> &'static str {
        self.pages.page(page).map_or(UNLISTED, |page| kind_name(page.kind))
    }

    fn top(&self, span: &Span) -> Top {
        let mut kinds: BTreeMap<&'static str, u64> = BTreeMap::new();
        let mut all = 0;
        for row in &span.rows {
            *kinds.entry(self.kind(row.page)).or_default() += whole(row.n);
            all += whole(row.n);
        }
        let mut kinds: Vec<_> = kinds.into_iter().collect();
        kinds.sort_by(|a, b| (b.1, a.0).cmp(&(a.1, b.0)));
        let listed = span.rows.iter().filter(|row| self.pages.page(row.page).is_some());
        let page = |row: &PageRow| PageViews {
            path: self.pages.page(row.page).map(|page| page.path.clone()),
            kind: self.pages.page(row.page).map(|page| kind_name(page.kind).to_owned()),
            views: whole(row.n),
        };
        Top {
            from_s: span.from_s,
            until_s: span.until_s,
            views: all,
            pages: listed.take(TOP).map(page).collect(),
            kinds: kinds.into_iter().map(|(kind, views)| KindViews { kind: kind.to_owned(), views }).collect(),
        }
    }

    /// Rises in per cent, only of pages with enough views in both spans.
    fn trending(&self, this: &[PageRow], last: &[PageRow]) -> Vec<Trend> {
        let before: BTreeMap<u32, u64> = last.iter().map(|row| (row.page, whole(row.n))).collect();
        let mut trends: Vec<Trend> = this
            .iter()
            .filter_map(|row| {
                let page = self.pages.page(row.page)?;
                let (views, before) = (whole(row.n), *before.get(&row.page)?);
                let is_rise = views >= FLOOR && before >= FLOOR && views > before;
                let kind = kind_name(page.kind).to_owned();
                is_rise.then(|| Trend { path: page.path.clone(), kind, views, before })
            })
            .collect();
        // By views ÷ before, without a division.
        let product = |n: u64, of: u64| u128::from(n) * u128::from(of);
        trends.sort_by(|a, b| {
            product(b.views, a.before).cmp(&product(a.views, b.before)).then_with(|| a.path.cmp(&b.path))
        });
        trends.truncate(TOP);
        trends
    }
}

fn views(sum: &Sum) -> Option<u64> {
    sum.get(Measure::Views).map(whole)
}

fn whole(n: i64) -> u64 {
    n.max(0).cast_unsigned()
}

/// The full days of this week against the same of the last; on a Monday the last full week against the one before. Only if
/// each of the days was counted.
fn weeks(days: &BTreeMap<i32, u64>, today: Day) -> Option<Weeks> {
    let elapsed = today.weekday() as i32;
    let (from, n) = if elapsed == 0 { (today.0 - 7, 7) } else { (today.0 - elapsed, elapsed) };
    let sum = |from: i32| (from..from + n).map(|day| days.get(&day).copied()).sum::<Option<u64>>();
    Some(Weeks { from: Day(from), days: n as u32, visitors: sum(from)?, before: sum(from - 7)? })
}

#[cfg(test)]
mod tests;
