//! Topics: which figures a viewer can subscribe to, as keys, periods and values of the fold.
//!
//! Invariant: a figure that is not there is not put, so it is missing and never 0. Sandboxes have a topic of their own
//! each and are in no other. It never encodes a frame and keeps no state.

use domain::catalogue::{Catalogue, GOV_UK};
use domain::source::ServiceNumber;
use domain::time::{Day, Period};
use domain::vocabulary::Stage;

use crate::fold::{Bucket, Fold, MINUTES_SHOWN, Measure, Sum};
use crate::govuk::compose::visitors_now;
use crate::govuk::read::distinct;

/// What a viewer subscribes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Topic {
    /// `overview`
    Overview,
    /// `wall`
    Wall,
    /// `service:<id>`
    Service(ServiceNumber),
    /// `department:<id>`
    Department(u8),
    /// `govuk`: the pages of this service.
    GovUk(ServiceNumber),
}

impl Topic {
    /// From its name; `None` if there is no such topic.
    #[must_use]
    pub fn parse(name: &str, catalogue: &Catalogue) -> Option<Self> {
        match name.split_once(':') {
            None if name == "overview" => Some(Self::Overview),
            None if name == "wall" => Some(Self::Wall),
            None if name == "govuk" => Some(Self::GovUk(catalogue.service_by_id(GOV_UK)?.number)),
            Some(("service", id)) => Some(Self::Service(catalogue.service_by_id(id)?.number)),
            Some(("department", id)) => Some(Self::Department(catalogue.department_by_id(id)?.number)),
            _ => None,
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(self, catalogue: &Catalogue) -> String {
        match self {
            Self::Overview => "overview".to_owned(),
            Self::Wall => "wall".to_owned(),
            Self::GovUk(_) => "govuk".to_owned(),
            Self::Service(number) => Key::Service(number).name(catalogue),
            Self::Department(number) => Key::Department(number).name(catalogue),
        }
    }
}

/// What a value is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// `all`: completed by all services of the topic together.
    All,
    /// `all:started` and the like: the parts of the ratios across government.
    Part(Part),
    /// `department:<id>`: completed.
    Department(u8),
    /// `service:<id>`: completed.
    Service(ServiceNumber),
    /// `started`, `completed:digital`, `rating:5`, `views`: of the topic's service.
    Of(Measure),
    /// `completed_started`: completed through the channels of the topic's service that report starts.
    CompletedStarted,
    /// `visitors`: distinct visitors of the topic's service, an estimate.
    Visitors,
    /// `visitors_now`: the same of the five minutes that end with the period, a minute.
    VisitorsNow,
}

/// The parts of the ratios across government, each a sum over services.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// Started.
    Started,
    /// Completed through the channels that report starts.
    CompletedStarted,
    /// Completed through digital channels.
    CompletedDigital,
    /// How many rated.
    Rated,
    /// The sum of their ratings.
    RatingSum,
}

impl Key {
    /// As it is written in frames.
    #[must_use]
    pub fn name(self, catalogue: &Catalogue) -> String {
        match self {
            Self::All => "all".to_owned(),
            Self::Part(Part::Started) => "all:started".to_owned(),
            Self::Part(Part::CompletedStarted) => "all:completed_started".to_owned(),
            Self::Part(Part::CompletedDigital) => "all:completed_digital".to_owned(),
            Self::Part(Part::Rated) => "all:rated".to_owned(),
            Self::Part(Part::RatingSum) => "all:rating_sum".to_owned(),
            Self::Department(number) => match catalogue.department(number) {
                Some(department) => format!("department:{}", department.id),
                None => format!("department:{number}"),
            },
            Self::Service(number) => match catalogue.service(number) {
                Some(service) => format!("service:{}", service.id),
                // Counted by a collector with a newer catalogue.
                None => format!("service:{}", number.0),
            },
            Self::Of(Measure::Stage(stage)) => stage.name().to_owned(),
            Self::Of(Measure::Completed(channel)) => format!("completed:{}", channel.name()),
            Self::Of(Measure::Rating(rating)) => format!("rating:{rating}"),
            Self::Of(Measure::Views) => "views".to_owned(),
            Self::CompletedStarted => "completed_started".to_owned(),
            Self::Visitors => "visitors".to_owned(),
            Self::VisitorsNow => "visitors_now".to_owned(),
        }
    }
}

/// When a value is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct At {
    /// Length of the period.
    pub period: Period,
    /// Minutes, hours or London days since 1970.
    pub index: u32,
}

impl At {
    const fn minute(index: u32) -> Self {
        Self { period: Period::Minute, index }
    }

    const fn day(day: Day) -> Self {
        Self { period: Period::Day, index: day.0.cast_unsigned() }
    }

    /// As it is written in frames: `m:1795522800`, `h:1795521600`, `d:2026-11-24`.
    #[must_use]
    pub fn name(self) -> String {
        match self.period {
            Period::Minute => format!("m:{}", u64::from(self.index) * 60),
            Period::Hour => format!("h:{}", u64::from(self.index) * 3_600),
            Period::Day => format!("d:{}", Day(self.index.cast_signed())),
        }
    }
}

/// The instant for which figures are collected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scope<'a> {
    /// The London date that "today" means.
    pub today: Day,
    /// The open minute.
    pub minute: u32,
    /// The minute up to which the figures reach: the open one, or an older one while the pipeline is behind.
    pub edge: u32,
    /// The six services of the wall.
    pub tiles: &'a [ServiceNumber],
}

impl<'a> Scope<'a> {
    /// At an instant, with figures that reach up to an edge.
    #[must_use]
    pub fn at(now_ms: i64, edge_ms: i64, tiles: &'a [ServiceNumber]) -> Self {
        let minute = Period::Minute.index_at(now_ms);
        Self { today: Day::at(now_ms), minute, edge: Period::Minute.index_at(edge_ms).min(minute), tiles }
    }

    fn minutes(&self) -> std::ops::RangeInclusive<u32> {
        self.edge - MINUTES_SHOWN..=self.minute
    }

    /// The last full and the open minute.
    fn last_minutes(&self) -> std::ops::RangeInclusive<u32> {
        self.edge - 1..=self.minute
    }

    /// From London midnight.
    fn minutes_of_today(&self) -> std::ops::RangeInclusive<u32> {
        Period::Minute.index_at(self.today.start_ms())..=self.minute
    }

    /// From London midnight up to the open one.
    fn hours_of_today(&self) -> impl Iterator<Item = At> + use<> {
        let hour = |ms| Period::Hour.index_at(ms);
        let hours = hour(self.today.start_ms())..=hour(Period::Minute.start_ms(self.minute));
        hours.map(|index| At { period: Period::Hour, index })
    }

    /// Whether a topic still carries this value; what it carries no more is left out of its snapshots.
    #[must_use]
    pub fn carries(&self, topic: Topic, key: Key, at: At) -> bool {
        match (at.period, topic, key) {
            (Period::Minute, Topic::Wall, Key::All) => self.minutes_of_today().contains(&at.index),
            (Period::Minute, Topic::Overview | Topic::Wall, Key::Service(_)) => self.last_minutes().contains(&at.index),
            (Period::Minute, ..) => self.minutes().contains(&at.index),
            (Period::Hour, ..) => at.index >= Period::Hour.index_at(self.today.start_ms()),
            (Period::Day, ..) => at == At::day(self.today),
        }
    }
}

/// Takes values as they are found: what of, when, how many.
pub type Put<'a> = dyn FnMut(Key, At, i64) + 'a;

/// Puts every value of a topic that may have changed after the fold's version `since`; 0 for all of them.
pub fn collect(topic: Topic, fold: &Fold, scope: &Scope<'_>, since: u64, put: &mut Put<'_>) {
    match topic {
        Topic::Overview => overview(fold, scope, since, put),
        Topic::Wall => wall(fold, scope, since, put),
        Topic::Service(number) => {
            if fold.changed(number) > since || since == 0 {
                service(number, fold, scope, since, put);
            }
        }
        Topic::Department(number) => department(number, fold, scope, since, put),
        Topic::GovUk(number) => govuk(number, fold, scope, since, put),
    }
}

fn overview(fold: &Fold, scope: &Scope<'_>, since: u64, put: &mut Put<'_>) {
    for index in scope.minutes() {
        let at = At::minute(index);
        put_minute_total(fold, index, since, put);
        if let Some(bucket) = changed(fold, at, since) {
            put_departments(bucket, at, since, put);
            if scope.last_minutes().contains(&index) {
                put_services(bucket, at, since, put, |_| true);
            }
        }
    }
    for at in scope.hours_of_today() {
        if let Some(bucket) = changed(fold, at, since) {
            put_all(bucket, at, since, put);
        }
    }
    let at = At::day(scope.today);
    if let Some(bucket) = changed(fold, at, since) {
        put_all(bucket, at, since, put);
        put_departments(bucket, at, since, put);
        put_services(bucket, at, since, put, |_| true);
        for (part, value) in parts(bucket) {
            put(Key::Part(part), at, value);
        }
    }
}

fn wall(fold: &Fold, scope: &Scope<'_>, since: u64, put: &mut Put<'_>) {
    for index in scope.minutes_of_today() {
        put_minute_total(fold, index, since, put);
    }
    let today = At::day(scope.today);
    if let Some(bucket) = changed(fold, today, since) {
        put_all(bucket, today, since, put);
    }
    for at in scope.last_minutes().map(At::minute).chain([today]) {
        for tile in scope.tiles {
            let sum = fold.sum(at.period, at.index, *tile).filter(|sum| sum.version > since);
            if let Some(completed) = sum.and_then(Sum::completed) {
                put(Key::Service(*tile), at, completed);
            }
        }
    }
}

fn service(number: ServiceNumber, fold: &Fold, scope: &Scope<'_>, since: u64, put: &mut Put<'_>) {
    let minutes = scope.minutes().map(At::minute);
    for at in minutes.chain(scope.hours_of_today()).chain([At::day(scope.today)]) {
        let Some(sum) = fold.sum(at.period, at.index, number).filter(|sum| sum.version > since) else { continue };
        for measure in Measure::all() {
            if let Some(value) = sum.get(measure) {
                put(Key::Of(measure), at, value);
            }
        }
        if let Some(completed) = sum.completed_of_started() {
            put(Key::CompletedStarted, at, completed);
        }
        if sum.get(Measure::Views).is_some() {
            put(Key::Visitors, at, distinct(&sum.visitors).cast_signed());
        }
    }
}

/// Views and visitors by minute, of today and of the last five minutes.
fn govuk(number: ServiceNumber, fold: &Fold, scope: &Scope<'_>, since: u64, put: &mut Put<'_>) {
    for at in scope.minutes().map(At::minute).chain([At::day(scope.today)]) {
        let sum = fold.sum(at.period, at.index, number).filter(|sum| sum.version > since);
        if let Some((sum, views)) = sum.and_then(|sum| Some((sum, sum.get(Measure::Views)?))) {
            put(Key::Of(Measure::Views), at, views);
            put(Key::Visitors, at, distinct(&sum.visitors).cast_signed());
        }
    }
    for minute in scope.minutes() {
        if let Some((visitors, version)) = visitors_now(fold, number, minute)
            && version > since
        {
            put(Key::VisitorsNow, At::minute(minute), visitors.cast_signed());
        }
    }
}

fn department(number: u8, fold: &Fold, scope: &Scope<'_>, since: u64, put: &mut Put<'_>) {
    for at in scope.minutes().map(At::minute).chain([At::day(scope.today)]) {
        let Some(bucket) = changed(fold, at, since) else { continue };
        if let Some(total) = bucket.department(number).filter(|total| total.version > since) {
            put(Key::All, at, total.completed);
        }
        put_services(bucket, at, since, put, |service| fold.owner(service) == Some(number));
    }
}

fn changed(fold: &Fold, at: At, since: u64) -> Option<&Bucket> {
    fold.bucket(at.period, at.index).filter(|bucket| bucket.version() > since)
}

fn put_minute_total(fold: &Fold, index: u32, since: u64, put: &mut Put<'_>) {
    if let Some(total) = fold.minute_total(index).filter(|total| total.version > since) {
        put(Key::All, At::minute(index), total.completed);
    }
}

fn put_all(bucket: &Bucket, at: At, since: u64, put: &mut Put<'_>) {
    if let Some(total) = bucket.all().filter(|total| total.version > since) {
        put(Key::All, at, total.completed);
    }
}

fn put_departments(bucket: &Bucket, at: At, since: u64, put: &mut Put<'_>) {
    for (number, total) in bucket.departments().filter(|(_, total)| total.version > since) {
        put(Key::Department(number), at, total.completed);
    }
}

fn put_services(bucket: &Bucket, at: At, since: u64, put: &mut Put<'_>, which: impl Fn(ServiceNumber) -> bool) {
    for (number, sum) in bucket.public().filter(|(number, sum)| sum.version > since && which(*number)) {
        if let Some(completed) = sum.completed() {
            put(Key::Service(number), at, completed);
        }
    }
}

/// The parts of the ratios across government, of a day.
fn parts(bucket: &Bucket) -> impl Iterator<Item = (Part, i64)> {
    let mut found: [(Part, Option<i64>); 5] = [
        (Part::Started, None),
        (Part::CompletedStarted, None),
        (Part::CompletedDigital, None),
        (Part::Rated, None),
        (Part::RatingSum, None),
    ];
    let mut add = |place: usize, value: Option<i64>| {
        if let Some(value) = value {
            *found[place].1.get_or_insert(0) += value;
        }
    };
    for (_, sum) in bucket.public() {
        add(0, sum.get(Measure::Stage(Stage::Started)));
        add(1, sum.completed_of_started());
        add(2, sum.completed_digital());
        if let Some(ratings) = sum.ratings() {
            add(3, Some(ratings.iter().sum()));
            add(4, Some(ratings.iter().zip(1..).map(|(n, rating)| n * rating).sum()));
        }
    }
    found.into_iter().filter_map(|(part, value)| Some((part, value?)))
}

#[cfg(test)]
mod tests;
