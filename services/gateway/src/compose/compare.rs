//! The value of `/compare`: lines of services and departments by period, from the held dates and today's live counts.
//!
//! Invariant: all lines are cut into the same periods. A period that was not counted from its beginning is missing, so
//! that a line never seems to rise where only its counting began. Stated figures are never put among counted ones.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use domain::calendar::Length;
use domain::source::ServiceNumber;
use domain::statement::MetricNumber;
use domain::time::Day;
use views::ask::Broken;
use views::compare::{Against, Metric, Scale};
use views::figures::{Compare, CompareAsked, CompareLine, Context, Counted, LineNote, Recent, ServiceRef, Warning};

use super::Composer;
use crate::days::DaySums;

/// Services that a text may mean, at most.
const FOUND_MAX: usize = 20;
/// Lines that differ by more hide one another on one axis.
const SIZES: f64 = 100.0;

/// A line under way: what it is made of.
struct Member {
    id: String,
    name: String,
    is_department: bool,
    services: Vec<ServiceNumber>,
}

impl Composer<'_> {
    /// `/compare`
    ///
    /// # Errors
    /// Fields that name what is not in the catalogue.
    pub fn compare(&self, asked: &CompareAsked) -> Result<Compare, Vec<Broken>> {
        let members = self.members(asked)?;
        let context = self.context();
        let windows = if asked.metric.is_stated() { Some(self.windows(&members)) } else { None };
        let starts_ms: Vec<i64> = match &windows {
            Some(windows) => windows.iter().map(|end| end.start_ms()).collect(),
            None => asked.span.starts().collect(),
        };
        let lines: Vec<_> = members.iter().map(|one| self.line(&context, asked, one, windows.as_deref())).collect();
        let open = windows.is_none() && asked.span.to_ms > self.now_ms;
        let last = starts_ms.len().saturating_sub(usize::from(open));
        let has = |i: &usize| lines.iter().all(|line| line.values[*i].is_some_and(|x| x > 0.0));
        Ok(Compare {
            base: (0..last).find(has).filter(|_| !lines.is_empty()),
            notes: self.notes_on(&members, &starts_ms, if windows.is_some() { None } else { Some(asked.span.to_ms) }),
            warnings: self.warnings(asked, &members, &lines),
            found: self.found_by_text(asked),
            starts_s: starts_ms.iter().map(|ms| ms / 1_000).collect(),
            asked: asked.clone(),
            open,
            lines,
            context,
        })
    }

    /// What is written about the services within the time shown, numbered on this page; without `end` that is until the
    /// last start.
    fn notes_on(&self, members: &[Member], starts_ms: &[i64], end: Option<i64>) -> Vec<LineNote> {
        let (Some(first), Some(last)) = (starts_ms.first(), starts_ms.last()) else { return Vec::new() };
        let shown = *first..end.unwrap_or(*last);
        let of = |(line, one): (usize, &Member)| {
            let number = one.services.first().filter(|_| !one.is_department);
            let notes = number.map(|number| self.notes(*number)).unwrap_or_default();
            notes.into_iter().map(move |note| LineNote { line, note })
        };
        let mut notes: Vec<_> = members.iter().enumerate().flat_map(of).collect();
        notes.retain(|one| shown.contains(&one.note.day.start_ms()));
        notes.sort_by_key(|one| Reverse(one.note.day));
        notes.iter_mut().zip(1..).for_each(|(one, number)| one.note.number = number);
        notes
    }

    fn members(&self, asked: &CompareAsked) -> Result<Vec<Member>, Vec<Broken>> {
        let mut broken = Vec::new();
        let mut members = Vec::new();
        for id in &asked.services {
            match self.catalogue.service_by_id(id) {
                Some(service) => members.push(Member {
                    id: id.clone(),
                    name: service.name.clone(),
                    is_department: false,
                    services: vec![service.number],
                }),
                None => broken.push(Broken::new("services", "are ids of services in the catalogue")),
            }
        }
        for id in &asked.departments {
            match self.catalogue.department_by_id(id) {
                Some(department) => members.push(Member {
                    id: id.clone(),
                    name: department.name.clone(),
                    is_department: true,
                    services: self.catalogue.services_of(department.number).map(|service| service.number).collect(),
                }),
                None => broken.push(Broken::new("departments", "are ids of departments in the catalogue")),
            }
        }
        broken.dedup();
        if broken.is_empty() { Ok(members) } else { Err(broken) }
    }

    fn found_by_text(&self, asked: &CompareAsked) -> Vec<ServiceRef> {
        if asked.add.is_empty() {
            return Vec::new();
        }
        let all = self.catalogue.services().iter().filter(|service| !asked.services.contains(&service.id));
        let named = all.map(|service| self.service_ref(service)).filter(|one| views::lists::matches(one, &asked.add));
        named.take(FOUND_MAX).collect()
    }

    /// The ends of the twelve months that any of the services states, ascending.
    fn windows(&self, members: &[Member]) -> Vec<Day> {
        let services = members.iter().filter(|one| !one.is_department).flat_map(|one| &one.services);
        let figures = services.flat_map(|number| self.stated.book.annual(*number, MetricNumber::VOLUME));
        figures.map(|figure| figure.window().end()).collect::<BTreeSet<_>>().into_iter().collect()
    }

    fn line(&self, context: &Context, asked: &CompareAsked, one: &Member, windows: Option<&[Day]>) -> CompareLine {
        let from = Day::at(asked.span.from_ms);
        let counted_from = one.services.iter().filter_map(|number| self.days.first(*number)).min();
        let sums = self.sums(context, one, from, Day::at(asked.span.to_ms - 1));
        let values = match windows {
            Some(windows) => windows.iter().map(|end| self.stated_value(one, *end, asked.metric)).collect(),
            None => {
                let value = |start: i64| {
                    let first = Day::at(start);
                    let last = Day(asked.span.period.day_after(first).0 - 1);
                    // A period that began before counting did would seem small.
                    counted_from.filter(|from| *from <= first)?;
                    metric(&over(&sums, from, first, last)?.figures(), asked.metric)
                };
                asked.span.starts().map(value).collect()
            }
        };
        let whole = sums.iter().flatten().fold(DaySums::default(), |mut sum, day| {
            sum.add(day);
            sum
        });
        let length = context.today.0 - from.0 + 1;
        let before = counted_from.filter(|first| *first <= Day(from.0 - length)).and_then(|_| {
            let days = self.days.line(&one.services, Day(from.0 - length), Day(from.0 - 1));
            over(&days, Day(from.0 - length), Day(from.0 - length), Day(from.0 - 1))?.figures().completed
        });
        CompareLine {
            id: one.id.clone(),
            is_department: one.is_department,
            name: one.name.clone(),
            services: one.services.len() as u32,
            values,
            whole: whole.figures(),
            before,
            counted_from,
            recent: self.recent(context, asked.against, one, counted_from),
            stated: if one.is_department { None } else { self.stated_year(one.services[0]) },
        }
    }

    /// Each date from the first to the last, today live.
    fn sums(&self, context: &Context, one: &Member, first: Day, last: Day) -> Vec<Option<DaySums>> {
        let mut days = self.days.line(&one.services, first, last);
        let place = usize::try_from(context.today.0 - first.0).ok().filter(|place| *place < days.len());
        if let Some(place) = place {
            for number in &one.services {
                let Some(today) = DaySums::of(&self.counted_today(*number)) else { continue };
                days[place].get_or_insert_default().add(&today);
            }
        }
        days
    }

    fn stated_value(&self, one: &Member, end: Day, what: Metric) -> Option<f64> {
        let number = *one.services.first().filter(|_| !one.is_department)?;
        let metric = if what == Metric::Cost { MetricNumber::COST } else { MetricNumber::VOLUME };
        let figures = self.stated.book.annual(number, metric);
        Some(figures.iter().find(|figure| figure.window().end() == end)?.amount()?.as_f64())
    }

    fn recent(&self, context: &Context, against: Against, one: &Member, counted_from: Option<Day>) -> Recent {
        let (length, places) = match against {
            Against::Week => (1, 7),
            Against::Year => (7, 52),
        };
        let end = match against {
            Against::Week => context.today,
            Against::Year => Length::Week.first_day(context.today),
        };
        let middle = Day(end.0 - places * length);
        let begin = Day(middle.0 - places * length);
        let days = self.days.line(&one.services, begin, Day(end.0 - 1));
        let at = |from: Day, place: i32| {
            let first = Day(from.0 + place * length);
            counted_from.filter(|counted| *counted <= first)?;
            let completed = over(&days, begin, first, Day(first.0 + length - 1)).map_or(0, |sums| sums.completed);
            Some(completed.max(0).cast_unsigned())
        };
        Recent {
            starts_s: (0..places).map(|place| Day(middle.0 + place * length).start_ms() / 1_000).collect(),
            now: (0..places).map(|place| at(middle, place)).collect(),
            before: (0..places).map(|place| at(begin, place)).collect(),
        }
    }

    fn warnings(&self, asked: &CompareAsked, members: &[Member], lines: &[CompareLine]) -> Vec<Warning> {
        let mut warnings = Vec::new();
        if asked.metric == Metric::Cost {
            warnings.push(Warning::Cost);
        }
        for (member, line) in members.iter().zip(lines) {
            let known = line.values.iter().any(Option::is_some);
            let first = Day::at(asked.span.from_ms);
            if !known {
                warnings.push(Warning::NoFigure { name: line.name.clone() });
            } else if let Some(from) = line.counted_from.filter(|from| !asked.metric.is_stated() && *from > first) {
                warnings.push(Warning::CountedFrom { name: line.name.clone(), from });
            }
            let department = members.iter().find(|d| d.is_department && d.services.contains(&member.services[0]));
            if let Some(department) = department.filter(|_| !member.is_department) {
                warnings.push(Warning::Within { name: line.name.clone(), department: department.name.clone() });
            }
        }
        if asked.metric.is_stated() {
            let ends = lines.iter().filter_map(|line| Some((line.stated?.until, &line.name)));
            let (first, last) = (ends.clone().min(), ends.max());
            if let (Some((first, name)), Some((last, _))) = (first, last)
                && first < last
            {
                warnings.push(Warning::Windows { name: name.clone(), to: Day(first.0 - 1) });
            }
        }
        let tops = lines.iter().filter_map(|line| line.values.iter().copied().flatten().reduce(f64::max));
        let (low, high) = tops.fold((f64::INFINITY, 0.0_f64), |(low, high), x| (low.min(x), high.max(x)));
        if asked.scale == Scale::Absolute && low > 0.0 && high / low > SIZES {
            warnings.push(Warning::Sizes);
        }
        warnings
    }
}

/// The dates from `first` to `last` of a line that begins at `begin`, together.
fn over(days: &[Option<DaySums>], begin: Day, first: Day, last: Day) -> Option<DaySums> {
    let place = |day: Day| usize::try_from(day.0 - begin.0).unwrap_or(0).min(days.len());
    days[place(first)..place(Day(last.0 + 1))].iter().flatten().copied().reduce(|mut sum, day| {
        sum.add(&day);
        sum
    })
}

fn metric(counted: &Counted, what: Metric) -> Option<f64> {
    match what {
        Metric::Transactions => counted.completed.map(|n| n as f64),
        Metric::TakeUp => counted.take_up(),
        Metric::Completion => counted.completion(),
        Metric::Satisfaction => counted.satisfaction(),
        Metric::Stated | Metric::Cost => None,
    }
}
