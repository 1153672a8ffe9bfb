//! From the fold, the catalogue and the past to the values that pages and the read API show.
//!
//! Invariant: pure, and one value for a page and its API twin, made under one lock, so that figures and watermark belong
//! together. What is not counted is `None`. It never renders.

mod compare;
mod list;
mod pages;
mod series;

use std::collections::BTreeMap;

use domain::calendar::Length;
use domain::catalogue::{Catalogue, SHORT_NAME_MAX, Service};
use domain::source::{Log, ServiceNumber};
use domain::time::{Day, MINUTE_MS, Period};
use domain::usual;
use domain::vocabulary::Stage;
use views::figures::{self, Context, DepartmentRef, Freshness, Live as LiveFigures, ServiceRef};

use crate::days::Days;
use crate::fold::{Bucket, Measure, Sum};
use crate::history::{self, Books, Hours, Weekdays};
use crate::progress;
use crate::silence::{SILENT_SHOWN, Silence};
use crate::stated::Reading;
use crate::world::Live;

pub use pages::RulesInForce;
pub use series::series;

/// What is said about the data on every page.
#[derive(Debug, Clone, Copy)]
pub struct Labels {
    /// The events are made by the simulator.
    pub simulated: bool,
    /// Names and volumes come from data under the Open Government Licence.
    pub open_government_data: bool,
}

/// All that figures are made from, at one instant.
pub struct Composer<'a> {
    /// Names.
    pub catalogue: &'a Catalogue,
    /// Counts.
    pub live: &'a Live,
    /// The days like today before.
    pub weekdays: &'a Weekdays,
    /// What was counted by date.
    pub days: &'a Days,
    /// What departments have stated.
    pub stated: &'a Reading,
    /// The books, if they can be read.
    pub books: Option<&'a Books>,
    /// What is said about the data.
    pub labels: Labels,
    /// The gateway's clock.
    pub now_ms: i64,
}

impl Composer<'_> {
    /// When, how fresh, what kind.
    #[must_use]
    pub fn context(&self) -> Context {
        let progress = self.live.progress(self.now_ms);
        let silence = self.live.silence.as_ref();
        Context {
            now_ms: self.now_ms,
            today: Day::at(self.now_ms),
            freshness: Freshness {
                wm_ms: progress.wm_ms,
                state: match progress.state {
                    progress::State::Ok => figures::State::Ok,
                    progress::State::Behind => figures::State::Behind,
                    progress::State::Starting => figures::State::Starting,
                },
                pipeline: match progress.pipeline {
                    progress::PipelineState::Ok => figures::PipelineState::Ok,
                    progress::PipelineState::Behind => figures::PipelineState::Behind,
                    progress::PipelineState::Unknown => figures::PipelineState::Unknown,
                },
                behind_ms: progress.behind_ms,
                since_ms: progress.since_ms,
                reporting: silence.map(|silence| silence.reporting),
                silent: silence.map(|silence| self.silent(silence)).unwrap_or_default(),
                silent_count: silence.map_or(0, |silence| silence.silent.len() as u32),
                incomplete: self.live.incomplete.clone(),
            },
            simulated: self.labels.simulated,
            open_government_data: self.labels.open_government_data,
        }
    }

    /// Up to when every record is decided, by the time the log took it, those of the late logs among them.
    #[must_use]
    pub fn settled_ms(&self, context: &Context) -> i64 {
        let edge_ms = context.edge_ms();
        self.live.pipeline.late_settled_ms().map_or(edge_ms, |late_ms| late_ms.min(edge_ms))
    }

    fn silent(&self, silence: &Silence) -> Vec<figures::Silent> {
        let shown = silence.silent.iter().filter_map(|silent| {
            let service = self.catalogue.service(silent.service)?;
            let service = self.service_ref(service);
            Some(figures::Silent { service, last_ms: silent.last_ms, habit_ms: silent.habit_ms })
        });
        shown.take(SILENT_SHOWN).collect()
    }

    /// A department by its names.
    pub(crate) fn department_ref(&self, number: u8) -> DepartmentRef {
        department_ref(self.catalogue, number)
    }

    /// A service by its names.
    pub(crate) fn service_ref(&self, service: &Service) -> ServiceRef {
        ServiceRef {
            id: service.id.clone(),
            name: service.name.clone(),
            short_name: short_name(service),
            department: self.department_ref(service.department),
        }
    }

    /// Completed in the minutes that a page shows and today; `minute` and `today` find the counts.
    fn live_of(&self, context: &Context, minute: impl Fn(u32) -> Option<i64>, today: Option<i64>) -> LiveFigures {
        let open = Period::Minute.index_at(context.open_minute_ms());
        let first = Period::Minute.index_at(context.minutes_from_s() * 1_000);
        LiveFigures {
            last_minute: whole(minute(open - 1)),
            open_minute: whole(minute(open)),
            today: whole(today),
            minutes: (first..=open).map(|index| whole(minute(index))).collect(),
        }
    }

    fn total(&self, context: &Context) -> LiveFigures {
        let minute = |index| self.live.fold.minute_total(index).map(|total| total.completed);
        let today = self.day().and_then(Bucket::all).map(|all| all.completed);
        self.live_of(context, minute, today)
    }

    fn department_live(&self, context: &Context, number: u8) -> LiveFigures {
        let fold = &self.live.fold;
        let minute = |index| Some(fold.bucket(Period::Minute, index)?.department(number)?.completed);
        let today = self.day().and_then(|day| day.department(number)).map(|total| total.completed);
        self.live_of(context, minute, today)
    }

    fn service_live(&self, context: &Context, number: ServiceNumber) -> LiveFigures {
        let fold = &self.live.fold;
        let minute = |index| fold.sum(Period::Minute, index, number).and_then(Sum::completed);
        let today = self.day().and_then(|day| day.sum(number)).and_then(Sum::completed);
        self.live_of(context, minute, today)
    }

    /// The days like today on which anything of the services asked for was counted, newest first, with their hours.
    fn days_alike(&self, context: &Context, which: impl Fn(ServiceNumber) -> bool) -> Vec<(Day, Hours)> {
        if self.weekdays.today != Some(context.today) {
            return Vec::new();
        }
        let of_day = |(day, all): &(Day, BTreeMap<ServiceNumber, Hours>)| {
            let mine = all.iter().filter(|(number, _)| which(**number)).map(|(_, hours)| *hours);
            Some((*day, mine.reduce(history::sum_of_hours)?))
        };
        self.whole_weekdays().iter().filter_map(of_day).collect()
    }

    /// The days before that are like today. What goes by backfill comes day by day, the newest first: while any of it is
    /// under way, the oldest day may be there in part only, and is not one to compare with.
    fn whole_weekdays(&self) -> &[(Day, BTreeMap<ServiceNumber, Hours>)] {
        let days = &self.weekdays.days;
        let oldest = days.iter().rposition(|(_, services)| !services.is_empty());
        let is_under_way = self.live.pipeline.late_settled_ms().is_some();
        &days[..oldest.filter(|_| is_under_way).unwrap_or(days.len())]
    }

    /// What is usual by hour on a day like today, and what the day is likely to come to.
    fn usual_day(context: &Context, days: &[(Day, Hours)], so_far: Option<u64>) -> Option<figures::UsualDay> {
        let (first, _) = days.first().filter(|_| days.len() >= usual::WEEKS_NEEDED)?;
        let in_hour = |place: usize| {
            let mut counts: Vec<f64> = days.iter().map(|(_, hours)| hours[place].unwrap_or(0).max(0) as f64).collect();
            usual::range(&mut counts).map(range_figures)
        };
        let since_midnight_ms = (context.edge_ms() - context.today.start_ms()).max(0);
        let before: Vec<_> = days
            .iter()
            .map(|(_, hours)| {
                let whole = hours.iter().copied().flatten().sum::<i64>() as f64;
                (history::by_time_of_day(hours, since_midnight_ms).min(whole), whole)
            })
            .collect();
        let so_far = so_far.unwrap_or(0) as f64;
        Some(figures::UsualDay {
            days: days.len() as u32,
            bank_holiday: first.weekday() != context.today.weekday(),
            hours: (0..24).map(in_hour).collect(),
            projection: usual::project_day(so_far, &before).map(range_figures),
        })
    }

    /// What the calendar year is likely to come to.
    fn year(&self, context: &Context, number: ServiceNumber) -> Option<figures::YearProjection> {
        let today = self.days.today.filter(|today| *today == context.today)?;
        let new_year = Length::Year.first_day(today);
        let from = self.days.first(number)?.max(new_year);
        let sum = |first: Day, last: Day| self.days.over(number, first, last).map_or(0, |sums| sums.completed);
        let full_weeks = ((today.0 - self.days.first(number)?.0) / 7).clamp(0, usual::WEEKS as i32);
        let week = |back: i32| sum(Day(today.0 - 7 * back), Day(today.0 - 7 * back + 6)) as f64;
        let weeks: Vec<f64> = (1..=full_weeks).map(week).collect();
        let so_far = sum(from, Day(today.0 - 1)).max(0);
        let days_left = Length::Year.day_after(today).0 - today.0;
        let range = usual::project_rest(so_far as f64, days_left.cast_unsigned(), &weeks)?;
        Some(figures::YearProjection {
            from,
            so_far: so_far.cast_unsigned(),
            weeks: weeks.len() as u32,
            range: range_figures(range),
        })
    }

    fn day(&self) -> Option<&Bucket> {
        self.live.fold.day(Day::at(self.now_ms))
    }

    /// What is usual by now, over the services that are asked for. A day before counts if anything of them was counted.
    fn usual(&self, context: &Context, which: impl Fn(ServiceNumber) -> bool) -> figures::Usual {
        let since_midnight_ms = (context.edge_ms() - context.today.start_ms()).max(0);
        let days = self.days_alike(context, which);
        let counts = days.iter().map(|(_, hours)| history::by_time_of_day(hours, since_midnight_ms));
        let mut known: Vec<f64> = counts.collect();
        let weeks = known.len() as u32;
        let range = usual::range(&mut known).map(range_figures);
        figures::Usual { weeks, weeks_needed: usual::WEEKS_NEEDED as u32, range }
    }

    fn rates(&self) -> figures::Rates {
        let Some(day) = self.day() else { return figures::Rates::default() };
        let mut rates = RateSums::default();
        day.public().filter(|(_, sum)| sum.version > 0).for_each(|(_, sum)| rates.add(sum));
        rates.figures()
    }

    /// Where every event has gone: what the store has decided, and what the log holds beyond it.
    #[must_use]
    pub fn books_figures(&self) -> Option<figures::Books> {
        let books = self.books?;
        let mut ends: BTreeMap<(u8, u16, u16), u64> = BTreeMap::new();
        // Retractions are not events: they have books of their own.
        let is_events = |log: u8| log != Log::Corrections as u8;
        for (source, progress) in self.live.pipeline.sources().filter(|(source, _)| is_events(source.log as u8)) {
            ends.insert((source.log as u8, source.epoch, source.partition), progress.log_end);
        }
        let mut sums = figures::Books {
            as_of_ms: books.as_of_ms,
            received: 0,
            counted: 0,
            duplicates: 0,
            late: 0,
            invalid: 0,
            expired: 0,
            in_flight: 0,
            difference: 0,
        };
        for row in books.rows.iter().filter(|row| is_events(row.log)) {
            let key = (row.log, row.epoch, row.partition);
            let end = ends.remove(&key).unwrap_or(0).max(row.applied_end);
            sums.received += end;
            sums.in_flight += end - row.applied_end;
            sums.counted += row.accepted;
            sums.duplicates += row.duplicate;
            sums.late += row.late;
            sums.invalid += row.invalid;
            sums.expired += row.expired;
            sums.difference += row.difference;
        }
        // Sources of which the store has nothing yet.
        for end in ends.into_values() {
            sums.received += end;
            sums.in_flight += end;
        }
        Some(sums)
    }

    /// Where the open minute begins, as an index.
    fn open_minute(context: &Context) -> u32 {
        (context.open_minute_ms() / MINUTE_MS) as u32
    }
}

/// The parts of today's ratios, with the services that have them.
#[derive(Default)]
struct RateSums {
    services: u32,
    digital: (u64, u64, u32),
    completion: (u64, u64, u32),
    satisfaction: (u64, u64, u32),
}

impl RateSums {
    fn add(&mut self, sum: &Sum) {
        self.services += 1;
        if let Some(completed) = whole(sum.completed()) {
            self.digital.0 += whole(sum.completed_digital()).unwrap_or(0);
            self.digital.1 += completed;
            self.digital.2 += 1;
        }
        if let Some(started) = whole(sum.get(Measure::Stage(Stage::Started))) {
            self.completion.0 += whole(sum.completed_of_started()).unwrap_or(0);
            self.completion.1 += started;
            self.completion.2 += 1;
        }
        if let Some(ratings) = sum.ratings() {
            self.satisfaction.0 += ratings.iter().map(|n| n.max(&0).cast_unsigned()).sum::<u64>();
            self.satisfaction.1 +=
                ratings.iter().zip(1..).map(|(n, rating)| n.max(&0).cast_unsigned() * rating).sum::<u64>();
            self.satisfaction.2 += 1;
        }
    }

    fn figures(self) -> figures::Rates {
        let of_services = self.services;
        let ratio = |(part, whole, services): (u64, u64, u32)| {
            (whole > 0).then_some(figures::Ratio { part, whole, services, of_services })
        };
        let (rated, rating_sum, services) = self.satisfaction;
        figures::Rates {
            digital: ratio(self.digital),
            completion: ratio(self.completion),
            satisfaction: (rated > 0).then_some(figures::Satisfaction { rated, rating_sum, services, of_services }),
        }
    }
}

/// A range in whole numbers.
fn range_figures(range: usual::Range) -> figures::UsualRange {
    figures::UsualRange { low: rounded(range.low), median: rounded(range.median), high: rounded(range.high) }
}

/// A count that was reckoned in fractions.
fn rounded(n: f64) -> u64 {
    n.max(0.0).round() as u64
}

/// A department by its names; one that is not in the catalogue by its number.
pub(crate) fn department_ref(catalogue: &Catalogue, number: u8) -> DepartmentRef {
    match catalogue.department(number) {
        Some(department) => DepartmentRef {
            id: department.id.clone(),
            name: department.name.clone(),
            short_name: department.abbreviation.clone(),
        },
        None => {
            DepartmentRef { id: number.to_string(), name: format!("Department {number}"), short_name: String::new() }
        }
    }
}

/// Corrections that are ahead of what they correct must not show as less than nothing.
fn whole(n: Option<i64>) -> Option<u64> {
    n.map(|n| n.max(0).cast_unsigned())
}

/// The short name, or the beginning of the name.
pub(crate) fn short_name(service: &Service) -> String {
    match &service.short_name {
        Some(name) => name.clone(),
        None if service.name.chars().count() <= SHORT_NAME_MAX => service.name.clone(),
        None => {
            let start: String = service.name.chars().take(SHORT_NAME_MAX - 1).collect();
            format!("{}…", start.trim_end())
        }
    }
}

#[cfg(test)]
mod tests;
