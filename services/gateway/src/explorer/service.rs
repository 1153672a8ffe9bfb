//! The stated part of a service's page.

use domain::catalogue::{Ownership, Parent, Service};
use domain::statement::yearly::{ASKED, Yearly, after};
use domain::statement::{Amount, Better, Figure, Length, Metric, MetricNumber, Revision, Unit};
use views::figures::{OwnerPeriod, ServiceStated, StatedMetric, StatedValue, StatedWindow};

use super::{Explorer, YEAR, after_words, change, period};

impl Explorer<'_> {
    /// Everything that is stated about a service.
    #[must_use]
    pub fn service(&self, service: &Service) -> ServiceStated {
        let mut metrics = Vec::new();
        for metric in self.metrics.all() {
            let has = |length| !self.book.series(service.number, metric.number, length).is_empty();
            if ASKED.contains(&metric.number) || has(YEAR) || has(Length::Quarter) {
                metrics.push(self.metric(service, metric));
            }
            if metric.number == MetricNumber::DIGITAL_VOLUME {
                metrics.push(self.take_up(service));
            }
            if metric.number == MetricNumber::COST {
                metrics.push(self.total_cost(service));
            }
        }
        let nothing = metrics.iter().all(|metric| metric.years.is_empty() && metric.quarters.is_empty());
        ServiceStated {
            stated_as_of_ms: self.as_of_ms,
            category: service.category.map(|category| category.label().to_owned()),
            customers: service.customer.map(|customer| customer.label().to_owned()),
            costs: service.costs.map(|costs| costs.label().to_owned()),
            counts: service.counts.map(|counts| counts.label().to_owned()),
            owners: self.owners(service),
            closed: service.closed,
            metrics: if nothing { Vec::new() } else { metrics },
        }
    }

    /// Owners oldest first, that of today last.
    fn owners(&self, service: &Service) -> Vec<OwnerPeriod> {
        let owner = |entry: &Ownership| OwnerPeriod {
            department: self.department_ref(entry.owner.department),
            agency: self.agency_ref(entry.owner.agency),
            also: entry.role == Parent::Also,
            from: entry.from,
            until: entry.until,
        };
        let mut owners: Vec<_> = service.parents.iter().map(owner).collect();
        let since = service.parents.iter().filter(|entry| entry.role == Parent::Owner).filter_map(|entry| entry.until);
        owners.push(OwnerPeriod {
            department: self.department_ref(service.department),
            agency: self.agency_ref(service.agency),
            also: false,
            from: since.max(),
            until: None,
        });
        owners
    }

    fn metric(&self, service: &Service, metric: &Metric) -> StatedMetric {
        let windows = |length| -> Vec<StatedWindow> {
            let figures = self.book.series(service.number, metric.number, length).iter().rev();
            figures.map(|figure| self.window_of(service, metric.number, figure)).collect()
        };
        let latest = self.book.latest(service.number, metric.number, YEAR);
        StatedMetric {
            metric: metric.id.clone(),
            name: metric.name.clone(),
            unit: unit(metric.unit).to_owned(),
            better: better(metric.better).to_owned(),
            computed: false,
            latest: latest.map(|figure| self.window_of(service, metric.number, figure)),
            change: latest.and_then(|figure| self.change(service, metric.number, figure.window())),
            after: after(self.book, service.number, metric.number).and_then(after_words),
            years: windows(YEAR),
            quarters: windows(Length::Quarter),
        }
    }

    fn window_of(&self, service: &Service, metric: MetricNumber, figure: &Figure) -> StatedWindow {
        let volume = || self.book.amount(service.number, MetricNumber::VOLUME, figure.window());
        let more = metric == MetricNumber::DIGITAL_VOLUME
            && figure.amount().zip(volume()).is_some_and(|(digital, all)| digital > all);
        let (now, before) = figure.revisions().split_last().expect("a figure has at least one revision");
        StatedWindow {
            period: period(figure.window()),
            now: said(now),
            before: before.iter().map(said).collect(),
            more_digital_than_all: more,
        }
    }

    /// Years that have all parts of a computed figure, newest first.
    fn years_with<'s>(&'s self, service: &'s Service) -> impl Iterator<Item = Yearly> + 's {
        let figures = self.book.annual(service.number, MetricNumber::VOLUME).iter().rev();
        figures.filter_map(move |figure| Yearly::at(self.book, service.number, figure.window()))
    }

    fn take_up(&self, service: &Service) -> StatedMetric {
        let share = |year: &Yearly| Some((year.digital_volume()?, year.volume)).filter(|(_, all)| *all > 0);
        let years = self.years_with(service).filter_map(|year| {
            let (digital, all) = share(&year)?;
            Some((year, 100.0 * digital as f64 / all as f64))
        });
        self.computed(service, ("digital-take-up", "Digital take-up", "percent", "up"), &years.collect::<Vec<_>>())
    }

    fn total_cost(&self, service: &Service) -> StatedMetric {
        let years = self.years_with(service).filter_map(|year| Some((year, super::pounds(year.total_cost()?))));
        self.computed(service, ("total-cost", "Total cost", "pounds", "down"), &years.collect::<Vec<_>>())
    }

    /// A metric that is computed from others of the same window, newest first.
    fn computed(
        &self,
        service: &Service,
        (id, name, unit, better): (&str, &str, &str, &str),
        years: &[(Yearly, f64)],
    ) -> StatedMetric {
        let windows = years.iter().map(|(year, value)| {
            let volume = self.book.figure(service.number, MetricNumber::VOLUME, year.window);
            let published = volume.map_or(year.window.end(), |figure| figure.source().published);
            let source = "computed from the figures of the same window".to_owned();
            let value = StatedValue { value: Some(decimal(*value)), missing: None, published, source };
            let more_digital_than_all = id == "digital-take-up" && year.has_more_digital();
            StatedWindow { period: period(year.window), now: value, before: Vec::new(), more_digital_than_all }
        });
        let windows: Vec<_> = windows.collect();
        let newest = self.newest();
        let latest = years.first().map(|(year, _)| year.window);
        let change = match years {
            [(_, now), (before, was), ..] => Some(change(before.window, *was, &decimal(*was), *now)),
            _ => None,
        };
        StatedMetric {
            metric: id.to_owned(),
            name: name.to_owned(),
            unit: unit.to_owned(),
            better: better.to_owned(),
            computed: true,
            latest: windows.first().cloned(),
            change,
            after: latest.filter(|latest| Some(*latest) < newest).map(|_| "not provided".to_owned()),
            years: windows,
            quarters: Vec::new(),
        }
    }
}

/// At most six digits after the point, those that say nothing left off.
fn decimal(n: f64) -> String {
    let text = format!("{n:.6}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// One value as pages show it.
pub(super) fn said(revision: &Revision) -> StatedValue {
    let value = revision.value;
    StatedValue {
        value: value.amount().as_ref().map(Amount::to_string),
        missing: value.amount().is_none().then(|| value.words().to_owned()),
        published: revision.source.published,
        source: revision.source.title.clone(),
    }
}

const fn unit(unit: Unit) -> &'static str {
    match unit {
        Unit::Transactions => "transactions",
        Unit::Pounds => "pounds",
        Unit::Percent => "percent",
    }
}

const fn better(better: Better) -> &'static str {
    match better {
        Better::Up => "up",
        Better::Down => "down",
        Better::Neither => "neither",
    }
}
