//! The value of each page.
//!
//! Invariant: lists are ordered by figures first and by id last, so the same counts give the same page.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use domain::catalogue::{Department, Origin, Service};
use domain::cell::Dimension;
use domain::histogram;
use domain::source::ServiceNumber;
use domain::statement::note::Annotation;
use domain::statement::{Amount, Figure, MetricNumber};
use domain::time::{Day, HOUR_MS, MINUTE_MS, Period};
use domain::vocabulary::{Channel, Reason, Stage};
use views::figures::{
    About, BesideFigure, ChannelFigure, Context, DaySeries, DepartmentPage, DepartmentRow, Durations, EarlierNote,
    HourFigure, Live, NoteFigure, Overview, ReasonFigure, Series, ServiceFacts, ServicePage, ServiceRow, Stages,
    StatedPoint, StepFigure, Wall, Yearly,
};

use super::{Composer, whole};
use crate::fold::{Measure, Sum};
use crate::history::Hours;

/// Services in the list of the busiest.
const BUSIEST: usize = 10;

/// What the page about the data says of the rules.
#[derive(Debug, Clone, Copy)]
pub struct RulesInForce {
    /// L, in days.
    pub late_after_days: u32,
    /// F, in minutes.
    pub future_minutes: u32,
    /// How long minutes are kept.
    pub minutes_kept_days: u32,
}

impl Composer<'_> {
    /// `/`
    #[must_use]
    pub fn overview(&self) -> Overview {
        let context = self.context();
        let heard = self.heard_today();
        let total = self.total(&context);
        let alike = self.days_alike(&context, ServiceNumber::is_public);
        let in_hour = |hour| self.live.fold.bucket(Period::Hour, hour)?.all().map(|all| all.completed);
        Overview {
            services_today: heard.len() as u32,
            services_known: self.catalogue.services().len() as u32,
            hours: hours(&context, in_hour),
            usual_day: Self::usual_day(&context, &alike, total.today),
            same_weekday: self.same_weekday(&alike),
            total,
            usual: self.usual(&context, ServiceNumber::is_public),
            rates: self.rates(),
            departments: self.departments(&context, &heard),
            services: self.busiest(&context),
            books: self.books_figures(),
            context,
        }
    }

    /// Services that have sent anything today, and what is counted of all.
    #[must_use]
    pub fn heard_and_counted(&self) -> (u32, Live) {
        (self.heard_today().len() as u32, self.total(&self.context()))
    }

    fn heard_today(&self) -> BTreeSet<ServiceNumber> {
        let Some(day) = self.day() else { return BTreeSet::new() };
        day.public().filter(|(_, sum)| sum.version > 0).map(|(number, _)| number).collect()
    }

    fn departments(&self, context: &Context, heard: &BTreeSet<ServiceNumber>) -> Vec<DepartmentRow> {
        let silent = self.live.silence.as_ref().map(|silence| silence.silent.as_slice()).unwrap_or_default();
        let mut rows: Vec<DepartmentRow> = self
            .catalogue
            .departments()
            .iter()
            .map(|department| {
                let mine = |number| self.live.fold.owner(number) == Some(department.number);
                DepartmentRow {
                    department: self.department_ref(department.number),
                    live: self.department_live(context, department.number),
                    services_today: heard.iter().filter(|number| mine(**number)).count() as u32,
                    services_known: self.catalogue.services_of(department.number).count() as u32,
                    silent: silent.iter().filter(|silent| mine(silent.service)).count() as u32,
                }
            })
            .filter(|row| row.live.today.is_some())
            .collect();
        rows.sort_by(|a, b| (Reverse(a.live.today), &a.department.id).cmp(&(Reverse(b.live.today), &b.department.id)));
        rows
    }

    fn busiest(&self, context: &Context) -> Vec<ServiceRow> {
        let last = Self::open_minute(context) - 1;
        let bucket = self.live.fold.bucket(Period::Minute, last);
        let mut ranked: Vec<_> = bucket
            .into_iter()
            .flat_map(crate::fold::Bucket::public)
            .filter_map(|(number, sum)| Some((Reverse(whole(sum.completed()).filter(|n| *n > 0)?), number)))
            .collect();
        ranked.sort_unstable();
        let services = ranked.into_iter().filter_map(|(_, number)| self.catalogue.service(number));
        services.take(BUSIEST).map(|service| self.service_row(context, service)).collect()
    }

    fn service_row(&self, context: &Context, service: &Service) -> ServiceRow {
        ServiceRow {
            service: self.service_ref(service),
            live: self.service_live(context, service.number),
            last_event_ms: self.live.fold.heard_ms(service.number),
        }
    }

    fn rows<'s>(&self, context: &Context, services: impl Iterator<Item = &'s Service>) -> Vec<ServiceRow> {
        let mut rows: Vec<_> = services.map(|service| self.service_row(context, service)).collect();
        // `None` sorts before `Some`: reversed, those without a figure stand last.
        rows.sort_by(|a, b| (Reverse(a.live.today), &a.service.name).cmp(&(Reverse(b.live.today), &b.service.name)));
        rows
    }

    /// `/departments/{id}`
    #[must_use]
    pub fn department(&self, department: &Department) -> DepartmentPage {
        let context = self.context();
        let number = department.number;
        DepartmentPage {
            department: self.department_ref(number),
            total: self.department_live(&context, number),
            usual: self.usual(&context, |service| self.live.fold.owner(service) == Some(number)),
            services: self.rows(&context, self.catalogue.services_of(number)),
            stated: None,
            context,
        }
    }

    /// `/services/{id}`
    #[must_use]
    pub fn service(&self, service: &Service, past: Option<Series>) -> ServicePage {
        let context = self.context();
        let number = service.number;
        let sum = self.day().and_then(|day| day.sum(number));
        let stage = |stage| whole(sum.and_then(|sum| sum.get(Measure::Stage(stage))));
        let detail = self.live.fold.detail(context.today, number);
        let alike = self.days_alike(&context, |other| other == number);
        let in_hour = |hour| self.live.fold.sum(Period::Hour, hour, number).and_then(Sum::completed);
        ServicePage {
            service: self.facts(service),
            completed: self.service_live(&context, number),
            last_event_ms: self.live.fold.heard_ms(number),
            usual: self.usual(&context, |other| other == number),
            hours: hours(&context, in_hour),
            stated_costs: self.stated_costs(number),
            beside: self.beside(number),
            notes: self.notes(number),
            usual_day: Self::usual_day(&context, &alike, self.counted_today(number).completed),
            year: self.year(&context, number),
            past,
            same_weekday: self.same_weekday(&alike),
            stages: Stages {
                started: stage(Stage::Started),
                completed: stage(Stage::Completed),
                completed_of_started: whole(sum.and_then(Sum::completed_of_started)),
                failed: stage(Stage::Failed),
                abandoned: stage(Stage::Abandoned),
            },
            channels: sum.map(channels).unwrap_or_default(),
            steps: steps(&detail.breakdown),
            reasons: reasons(&detail.breakdown),
            ratings: sum.and_then(Sum::ratings).map(|ratings| ratings.map(|n| n.max(0).cast_unsigned())),
            durations: durations(&detail.durations),
            stated: views::figures::ServiceStated::default(),
            context,
        }
    }

    fn stated_costs(&self, number: ServiceNumber) -> Vec<StatedPoint> {
        let figures = self.stated.book.annual(number, MetricNumber::COST).iter();
        let point = |figure: &Figure| StatedPoint {
            from: figure.window().start(),
            until: figure.window().end(),
            value: figure.amount().map(Amount::as_f64),
            state: figure.value().words().to_owned(),
            revised: figure.is_revised(),
        };
        figures.map(point).collect()
    }

    /// Every stated volume of which each day was counted, with what was counted.
    fn beside(&self, number: ServiceNumber) -> Vec<BesideFigure> {
        let Some((first, today)) = self.days.first(number).zip(self.days.today) else { return Vec::new() };
        let book = &self.stated.book;
        let annual = book.annual(number, MetricNumber::VOLUME).iter();
        let figures = annual.chain(book.quarterly(number, MetricNumber::VOLUME));
        let both = |figure: &Figure| {
            let (from, until) = (figure.window().start(), figure.window().end());
            let stated = figure.amount()?.as_whole().filter(|_| first <= from && until <= today)?;
            let counted = self.days.over(number, from, Day(until.0 - 1)).map_or(0, |sums| sums.completed);
            Some(BesideFigure { from, until, stated, counted: counted.max(0).cast_unsigned() })
        };
        figures.filter_map(both).collect()
    }

    /// What is written about a service, newest day first.
    pub(super) fn notes(&self, number: ServiceNumber) -> Vec<NoteFigure> {
        let figure = |(at, annotation): (usize, &Annotation)| {
            let note = annotation.latest();
            let (_, earlier) = annotation.versions().split_last()?;
            let earlier = earlier.iter().map(|note| EarlierNote {
                text: note.text.clone(),
                author: note.author.clone(),
                written_at_ms: note.written_at_ms,
            });
            Some(NoteFigure {
                number: at + 1,
                day: note.day,
                last_day: note.last_day,
                kind: note.kind.word().to_owned(),
                text: note.text.clone(),
                author: note.author.clone(),
                department: self.department_ref(note.department).short_name,
                written_at_ms: note.written_at_ms,
                earlier: earlier.collect(),
            })
        };
        self.stated.annotations.of(number).enumerate().filter_map(figure).collect()
    }

    fn facts(&self, service: &Service) -> ServiceFacts {
        let yearly = service
            .latest_volume()
            .and_then(|latest| Some(Yearly { volume: latest.volume?, until: latest.window_end }));
        ServiceFacts {
            names: self.service_ref(service),
            agency: service.agency.and_then(|number| self.catalogue.agency(number)).map(|agency| agency.name.clone()),
            customers: service.customer.map(|customer| customer.label().to_owned()),
            url: None,
            yearly,
            sandbox: service.origin == Origin::Sandbox,
        }
    }

    /// The last day like today, if it is among those on which something was counted.
    fn same_weekday(&self, alike: &[(Day, Hours)]) -> Option<DaySeries> {
        let last = self.weekdays.days.first()?.0;
        let (day, counted) = alike.first().filter(|(day, _)| *day == last)?;
        let length = ((day.next().start_ms() - day.start_ms()) / HOUR_MS) as usize;
        let hours = counted.iter().take(length).enumerate().map(|(place, n)| HourFigure {
            from_s: (day.start_ms() + place as i64 * HOUR_MS) / 1_000,
            completed: whole(*n),
        });
        Some(DaySeries { day: *day, hours: hours.collect() })
    }

    /// `/wall`
    #[must_use]
    pub fn wall(&self) -> Wall {
        let context = self.context();
        let mut total = self.total(&context);
        let first = context.today.start_ms() / MINUTE_MS;
        let minute = |index| whole(self.live.fold.minute_total(index).map(|total| total.completed));
        total.minutes = (first as u32..=Self::open_minute(&context)).map(minute).collect();
        let tiles = self.live.tiles.iter().filter_map(|number| self.catalogue.service(*number));
        Wall {
            total,
            usual: self.usual(&context, ServiceNumber::is_public),
            tiles: tiles.map(|service| self.service_row(&context, service)).collect(),
            context,
        }
    }

    /// `/about-the-data`
    #[must_use]
    pub fn about(&self, rules: RulesInForce) -> About {
        About {
            context: self.context(),
            services_known: self.catalogue.services().len() as u32,
            departments_known: self.catalogue.departments().len() as u32,
            services_today: self.heard_today().len() as u32,
            late_after_days: rules.late_after_days,
            future_minutes: rules.future_minutes,
            minutes_kept_days: rules.minutes_kept_days,
            books: self.books_figures(),
        }
    }
}

/// Hours of today up to the open one; `completed` finds the count of an hour.
fn hours(context: &Context, completed: impl Fn(u32) -> Option<i64>) -> Vec<HourFigure> {
    let first = Period::Hour.index_at(context.today.start_ms());
    let open = Period::Hour.index_at(context.edge_ms().max(context.today.start_ms()));
    let hour = |index| HourFigure { from_s: Period::Hour.start_ms(index) / 1_000, completed: whole(completed(index)) };
    (first..=open).map(hour).collect()
}

fn channels(sum: &Sum) -> Vec<ChannelFigure> {
    let completed = |channel| whole(sum.get(Measure::Completed(channel)));
    let found =
        Channel::ALL.into_iter().filter_map(|channel| Some(ChannelFigure { channel, completed: completed(channel)? }));
    found.collect()
}

pub(super) fn steps(breakdown: &BTreeMap<(Dimension, u8, u8), u64>) -> Vec<StepFigure> {
    let mut steps: BTreeMap<u8, StepFigure> = BTreeMap::new();
    for (&(dimension, member, stage), &n) in breakdown {
        if dimension != Dimension::Step {
            continue;
        }
        let empty = StepFigure { step: member, started: None, completed: None, failed: None, abandoned: None };
        let step = steps.entry(member).or_insert(empty);
        match Stage::from_number(stage.into()) {
            Some(Stage::Started) => step.started = Some(n),
            Some(Stage::Completed) => step.completed = Some(n),
            Some(Stage::Failed) => step.failed = Some(n),
            Some(Stage::Abandoned) => step.abandoned = Some(n),
            None => {}
        }
    }
    steps.into_values().collect()
}

pub(super) fn reasons(breakdown: &BTreeMap<(Dimension, u8, u8), u64>) -> Vec<ReasonFigure> {
    let mut sums: BTreeMap<u8, u64> = BTreeMap::new();
    for (&(dimension, member, _), &n) in breakdown {
        if dimension == Dimension::Reason {
            *sums.entry(member).or_default() += n;
        }
    }
    let known = sums
        .into_iter()
        .filter_map(|(member, n)| Some(ReasonFigure { reason: Reason::from_number(member.into())?, n }));
    let mut reasons: Vec<_> = known.filter(|reason| reason.n > 0).collect();
    reasons.sort_by_key(|reason| Reverse(reason.n));
    reasons
}

/// Percentiles of a histogram; `None` without durations.
pub(super) fn durations(buckets: &[(u8, u64)]) -> Option<Durations> {
    let quantile = |q| histogram::quantile_ms(buckets, q).map(|ms| ms.round() as u64);
    Some(Durations {
        n: buckets.iter().map(|(_, n)| n).sum(),
        p50_ms: quantile(0.5)?,
        p90_ms: quantile(0.9)?,
        p99_ms: quantile(0.99)?,
    })
}
