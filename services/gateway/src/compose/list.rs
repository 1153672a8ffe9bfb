//! The value of `/services`: rows, totals over all that were found, and what needs attention.
//!
//! Invariant: totals and attention are of all services found, whatever part of them is shown. Counted figures come from
//! the live fold for today and from the held dates before; stated ones stand beside them, never among them.

use std::collections::BTreeMap;

use domain::catalogue::Service;
use domain::source::ServiceNumber;
use domain::statement::yearly::Yearly;
use domain::statement::{self, MetricNumber};
use domain::time::{Day, Period};
use domain::usual::{self, Side};
use domain::vocabulary::Stage;
use views::ask::Broken;
use views::figures::{
    Attention, Choice, Concern, Context, Counted, ListAsked, ListRow, ServiceList, StatedYear, WindowDays,
};
use views::services::{Window, sort_rows, totals};

use super::{Composer, rounded, whole};
use crate::fold::{Measure, Sum};
use crate::history;

/// Fewer starts today say nothing about completion.
const STARTS_MIN: u64 = 200;
/// Nor do fewer in the four weeks before.
const STARTS_BEFORE_MIN: u64 = 1_000;
/// A fall of less is not worth anybody's morning.
const FALL_MIN: f64 = 0.03;
/// So many standard errors a fall must be beyond chance.
const FALL_ERRORS: f64 = 4.0;

impl Composer<'_> {
    /// `/services`
    ///
    /// # Errors
    /// Fields that name what is not in the catalogue.
    pub fn service_list(&self, asked: &ListAsked) -> Result<ServiceList, Vec<Broken>> {
        let found = self.found(asked)?;
        let context = self.context();
        let window = self.window(&context, asked.over);
        let mut rows: Vec<_> =
            found.iter().map(|service| self.list_row(&context, service, asked.over, &window)).collect();
        let totals = totals(&rows);
        let attention = self.attention(&context, &found);
        sort_rows(&mut rows, asked.sort, asked.order);
        let skip = match &asked.after {
            None => 0,
            Some(id) => rows.iter().position(|row| row.service.id == *id).map_or(0, |at| at + 1),
        };
        let rest = rows.len().saturating_sub(skip);
        let shown: Vec<_> = rows.into_iter().skip(skip).take(asked.limit).collect();
        Ok(ServiceList {
            asked: asked.clone(),
            services_known: self.catalogue.services().len() as u32,
            found: found.len() as u32,
            totals,
            attention,
            next: shown.last().filter(|_| rest > shown.len()).map(|row| row.service.id.clone()),
            services: shown,
            window,
            departments: self.department_choices(),
            agencies: self.agency_choices(),
            context,
        })
    }

    fn found(&self, asked: &ListAsked) -> Result<Vec<&Service>, Vec<Broken>> {
        let mut broken = Vec::new();
        let department = asked.department.as_deref().map(|id| self.catalogue.department_by_id(id));
        if department == Some(None) {
            broken.push(Broken::new("department", "is the id of a department in the catalogue"));
        }
        let agency = asked.agency.as_deref().map(|id| self.catalogue.agencies().iter().find(|agency| agency.id == id));
        if agency == Some(None) {
            broken.push(Broken::new("agency", "is the id of an agency in the catalogue"));
        }
        if asked.after.as_deref().is_some_and(|id| self.catalogue.service_by_id(id).is_none()) {
            broken.push(Broken::new("after", "is the id of a service in the catalogue"));
        }
        if !broken.is_empty() {
            return Err(broken);
        }
        let (department, agency) = (department.flatten().map(|d| d.number), agency.flatten().map(|a| a.number));
        let services = self.catalogue.services().iter();
        let owned = services.filter(|service| {
            department.is_none_or(|number| service.department == number)
                && agency.is_none_or(|number| service.agency == Some(number))
        });
        let named = owned.filter(|s| asked.q.is_empty() || views::lists::matches(&self.service_ref(s), &asked.q));
        Ok(named.collect())
    }

    fn window(&self, context: &Context, over: Window) -> WindowDays {
        let (from, to) = match over.days() {
            0 => (context.today, context.today),
            days => (Day(context.today.0 - days), Day(context.today.0 - 1)),
        };
        WindowDays { from, to, counted_from: self.days.counted_from.filter(|first| *first > from && over.days() > 0) }
    }

    fn list_row(&self, context: &Context, service: &Service, over: Window, window: &WindowDays) -> ListRow {
        let number = service.number;
        let last = Self::open_minute(context) - 1;
        let counted = match over {
            Window::Today => self.counted_today(number),
            _ => self.days.over(number, window.from, window.to).map(|sums| sums.figures()).unwrap_or_default(),
        };
        ListRow {
            service: self.service_ref(service),
            agency: service.agency.and_then(|number| self.catalogue.agency(number)).map(|agency| agency.name.clone()),
            counted,
            last_minute: whole(self.live.fold.sum(Period::Minute, last, number).and_then(Sum::completed)),
            last_event_ms: self.live.fold.heard_ms(number),
            stated: self.stated_year(number),
        }
    }

    pub(super) fn counted_today(&self, number: ServiceNumber) -> Counted {
        let Some(sum) = self.day().and_then(|day| day.sum(number)) else { return Counted::default() };
        let completed = whole(sum.completed());
        let ratings = sum.ratings().map(|all| all.map(|n| n.max(0).cast_unsigned()));
        Counted {
            completed,
            digital: completed.map(|_| whole(sum.completed_digital()).unwrap_or(0)),
            started: whole(sum.get(Measure::Stage(Stage::Started))),
            completed_of_started: whole(sum.completed_of_started()),
            rated: ratings.map(|all| all.iter().sum()),
            rating_sum: ratings.map(|all| all.iter().zip(1..).map(|(n, rating)| n * rating).sum()),
        }
    }

    /// The latest twelve months that are stated with a volume, as the Explorer has them, and what was counted in the same
    /// months.
    pub(super) fn stated_year(&self, number: ServiceNumber) -> Option<StatedYear> {
        let book = &self.stated.book;
        let year = Yearly::latest(book, number)?;
        let (from, until) = (year.window.start(), year.window.end());
        // Only where every day was counted do the two speak of the same.
        let all =
            self.days.first(number).is_some_and(|first| first <= from) && self.days.today.is_some_and(|t| until <= t);
        let counted = all.then(|| self.days.over(number, from, Day(until.0 - 1)).map_or(0, |sums| sums.completed));
        let revised = book.figure(number, MetricNumber::VOLUME, year.window).is_some_and(statement::Figure::is_revised);
        Some(StatedYear {
            until,
            volume: Some(year.volume),
            digital: year.digital_volume(),
            cost: year.cost.amount().map(statement::Amount::as_f64),
            total_cost: year.total_cost().map(|millionths| millionths as f64 / 1e6),
            revised,
            counted: whole(counted),
        })
    }

    /// Whether others have stated twelve months later than the latest of this service.
    fn late(&self, number: ServiceNumber) -> Option<Concern> {
        let book = &self.stated.book;
        let own = book.latest(number, MetricNumber::VOLUME, statement::Length::Year)?.window();
        let newest = book.latest_window(MetricNumber::VOLUME, statement::Length::Year)?;
        (own < newest).then(|| Concern::Late { since: Some(Day(own.end().0 - 1)) })
    }

    fn department_choices(&self) -> Vec<Choice> {
        let choice = |d: &domain::catalogue::Department| Choice { id: d.id.clone(), name: d.name.clone() };
        let owners = self.catalogue.departments().iter();
        sorted(owners.filter(|d| self.catalogue.services_of(d.number).next().is_some()).map(choice).collect())
    }

    fn agency_choices(&self) -> Vec<Choice> {
        let choice = |a: &domain::catalogue::Agency| Choice { id: a.id.clone(), name: a.name.clone() };
        sorted(self.catalogue.agencies().iter().map(choice).collect())
    }

    /// The services that need attention: what is broken first, then what is unusual, each group by today's volume.
    fn attention(&self, context: &Context, found: &[&Service]) -> Vec<Attention> {
        let silent: BTreeMap<ServiceNumber, Concern> = self
            .live
            .silence
            .iter()
            .flat_map(|silence| &silence.silent)
            .map(|s| (s.service, Concern::Silent { last_ms: s.last_ms, habit_ms: s.habit_ms }))
            .collect();
        let judge = !context.freshness.is_behind();
        let mut ranked: Vec<_> = found
            .iter()
            .filter_map(|service| {
                let number = service.number;
                let concern = silent.get(&number).copied().or_else(|| {
                    if judge { self.completion_falls(number).or_else(|| self.outside(context, number)) } else { None }
                });
                let concern = concern.or_else(|| self.late(number))?;
                let volume = self.counted_today(number).completed;
                Some((rank(&concern), std::cmp::Reverse(volume), number, concern))
            })
            .collect();
        ranked.sort_by_key(|(rank, volume, number, _)| (*rank, *volume, *number));
        let shown = ranked.into_iter().filter_map(|(_, _, number, concern)| {
            Some(Attention { service: self.service_ref(self.catalogue.service(number)?), concern })
        });
        shown.collect()
    }

    /// Whether the last 60 minutes lie outside what they are on days like this.
    fn outside(&self, context: &Context, number: ServiceNumber) -> Option<Concern> {
        if self.weekdays.today != Some(context.today) {
            return None;
        }
        let open = Self::open_minute(context);
        let since_midnight_ms = context.open_minute_ms() - context.today.start_ms();
        let days = self.whole_weekdays().iter().filter_map(|(_, services)| services.get(&number));
        let mut usual: Vec<f64> = days.filter_map(|hours| history::last_hour(hours, since_midnight_ms)).collect();
        let range = usual::range(&mut usual)?;
        let minute = |index| self.live.fold.sum(Period::Minute, index, number).and_then(Sum::completed);
        let count = (open - 60..open).filter_map(minute).sum::<i64>().max(0);
        let side = range.outside(count as f64)?;
        let (low, high) = (rounded(range.low), rounded(range.high));
        Some(Concern::Outside { side, count: count.cast_unsigned(), low, high, days: usual.len() as u32 })
    }

    /// Whether fewer of those who start come to the end than in the four weeks before, beyond chance.
    fn completion_falls(&self, number: ServiceNumber) -> Option<Concern> {
        let today = self.days.today?;
        let now = self.counted_today(number);
        let before = self.days.over(number, Day(today.0 - 28), Day(today.0 - 1))?.figures();
        let (part, whole) = (now.completed_of_started?, now.started.filter(|n| *n >= STARTS_MIN)?);
        let (part_before, whole_before) =
            (before.completed_of_started?, before.started.filter(|n| *n >= STARTS_BEFORE_MIN)?);
        let (rate, usual) = (part as f64 / whole as f64, part_before as f64 / whole_before as f64);
        let error = (usual * (1.0 - usual).max(0.0) / whole as f64).sqrt();
        let falls = usual - rate >= FALL_MIN && usual - rate > FALL_ERRORS * error;
        falls.then_some(Concern::Completion { part, whole, part_before, whole_before })
    }
}

/// What is broken stands before what is only unusual.
const fn rank(concern: &Concern) -> u8 {
    match concern {
        Concern::Silent { .. } => 0,
        Concern::Outside { side: Side::Below, .. } => 1,
        Concern::Completion { .. } => 2,
        Concern::Outside { side: Side::Above, .. } => 3,
        Concern::Late { .. } => 4,
    }
}

fn sorted(mut choices: Vec<Choice>) -> Vec<Choice> {
    choices.sort_by_key(|choice| choice.name.to_lowercase());
    choices
}
