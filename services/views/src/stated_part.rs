//! The stated part of a service's page: who owns it, what it is, and each figure that its department publishes.
//!
//! Invariant: stated figures only, never mixed with counted ones. Each has its window in words, its change against the
//! available window before, its earlier windows and its revisions; what is missing says why.

use maud::{Markup, html};

use crate::figures::{Change, OwnerPeriod, ServicePage, ServiceStated, StatedMetric, StatedValue, StatedWindow};
use crate::parts::icon;
use crate::{clock, format};

/// All of it; the page of a service calls this once.
#[must_use]
pub(crate) fn part(s: &ServicePage) -> Markup {
    let stated = &s.stated;
    html! {
        section.sec #stated {
            header { h2 { "Stated by the department" } p.sub { "Published figures, absolute, for whole periods. They are never mixed with what is counted here." } }
            (facts(stated))
            @if stated.metrics.is_empty() { p { span.miss data-m="np" { "not provided" } " Nothing was ever stated about this service." } }
            @else {
                div.kstated { @for metric in &stated.metrics { (headline(metric)) } }
                @for metric in stated.metrics.iter().filter(|metric| !metric.years.is_empty() || !metric.quarters.is_empty()) { (history(metric)) }
                div.cfoot {
                    a href=(format!("/api/v1/services/{}/stated?format=csv", s.service.names.id)) { "CSV" }
                    a href=(format!("/api/v1/services/{}/stated", s.service.names.id)) { "JSON" }
                    span.kind { b { "Stated" } @if let Some(ms) = stated.stated_as_of_ms { ", as read " (clock::date(domain::time::Day::at(ms))) " " (clock::hm(ms)) } ". Open Government Licence v3.0." }
                }
            }
        }
    }
}

fn facts(stated: &ServiceStated) -> Markup {
    let fact = |name: &str, value: Option<&String>| {
        html! { dt { (name) } dd { @if let Some(value) = value { (value) } @else { span.miss data-m="np" { "not provided" } } } }
    };
    html! {
        dl.about {
            dt { "Owner" } dd { @for owner in stated.owners.iter().rev() { p { (owner_words(owner)) } } }
            (fact("Type", stated.category.as_ref()))
            (fact("Customers", stated.customers.as_ref()))
            (fact("Paid for by", stated.costs.as_ref()))
            (fact("What is counted", stated.counts.as_ref()))
            @if let Some(day) = stated.closed { dt { "Closed" } dd { "since " (clock::date(day)) } }
        }
    }
}

fn owner_words(owner: &OwnerPeriod) -> Markup {
    html! {
        a href=(format!("/departments/{}", owner.department.id)) { (owner.department.name) }
        @if let Some(agency) = owner.agency.as_ref().filter(|agency| agency.name != owner.department.name) {
            " › " a href=(format!("/agencies/{}", agency.id)) { (agency.name) } }
        span.tiny {
            @if owner.also { " as a further parent" }
            @match (owner.from, owner.until) {
                (None, None) => {}
                (Some(from), None) => { " since " (clock::date(from)) }
                (None, Some(until)) => { " until " (clock::date(domain::time::Day(until.0 - 1))) }
                (Some(from), Some(until)) => { " from " (clock::date(from)) " to " (clock::date(domain::time::Day(until.0 - 1))) }
            }
        }
    }
}

/// A value in the unit of its metric: short, and exact on hover and for screen readers.
fn value(metric: &StatedMetric, value: &StatedValue) -> Markup {
    let Some(exact) = &value.value else {
        let words = value.missing.as_deref().unwrap_or("not provided");
        let state = match words {
            "not requested" => "nr",
            "not applicable" => "na",
            _ => "np",
        };
        return html! { span.miss data-m=(state) { (words) } };
    };
    let number: f64 = exact.parse().unwrap_or(0.0);
    let (short, long) = match metric.unit.as_str() {
        "pounds" => (format::pounds_short(number), format!("£{exact}")),
        "percent" => (format::share(number / 100.0), format!("{exact}%")),
        _ => (format::short(number.round() as u64), format::exact(number.round() as u64)),
    };
    html! {
        data value=(exact) title=(long) {
            @if short == long { (short) } @else { span aria-hidden="true" { (short) } span.vh { (long) } }
        }
    }
}

/// `Data received Jan 2016 to Dec 2016; later data not provided`
fn received(metric: &StatedMetric) -> Option<String> {
    let latest = metric.latest.as_ref()?;
    let after = metric.after.as_deref()?;
    let what = if after == "not requested" { "not requested" } else { "not provided" };
    Some(format!("Data received {}; later data {what}", latest.period.words))
}

fn headline(metric: &StatedMetric) -> Markup {
    html! {
        div.fig #{ "stated-" (metric.metric) } {
            span.lab { (metric.name) @if metric.unit == "transactions" || metric.metric == "total-cost" { " a year" } }
            @match &metric.latest {
                Some(latest) => {
                    span.val { (value(metric, &latest.now)) @if latest.more_digital_than_all { " " span.flag title="More digital than all transactions, as stated" { (icon("odd")) span.vh { "More digital than all transactions, as stated" } } } }
                    span.cmp { @if let Some(change) = &metric.change { (change_words(metric, change)) } @else { "no window before it" } }
                    span.age {
                        b { @if metric.computed { "Computed" } @else { "Stated" } } " for " (latest.period.words)
                        @if let Some(received) = received(metric) { br; span.miss data-m=(if metric.after.as_deref() == Some("late") { "late" } else { "np" }) { (received) } }
                        @if !latest.before.is_empty() { br; a.rev href={ "#history-" (metric.metric) } { "revised" } }
                        @if latest.more_digital_than_all { br; "More digital than all transactions: shown as stated." }
                    }
                }
                None => {
                    span.val data-m="none" { (missing_ever(metric)) }
                    span.cmp {} span.age { b { "Stated" } ": no twelve months have a figure" }
                }
            }
        }
    }
}

fn missing_ever(metric: &StatedMetric) -> Markup {
    let words = metric.years.first().and_then(|window| window.now.missing.as_deref()).unwrap_or("not provided");
    html! { span.miss data-m=(if words == "not requested" { "nr" } else { "np" }) { (words) } }
}

/// Arrow, signed size and words: `▲ +4.2% against Jul 2016 to Jun 2017 (good)`.
fn change_words(metric: &StatedMetric, change: &Change) -> Markup {
    let (arrow, word) = match change.direction.as_str() {
        "up" => ("up", "against"),
        "down" => ("down", "against"),
        _ => ("same", "the same as"),
    };
    let judged = match (metric.better.as_str(), change.direction.as_str()) {
        ("up", "up") | ("down", "down") => Some("good"),
        ("up", "down") | ("down", "up") => Some("poor"),
        _ => None,
    };
    html! {
        span.delta data-j=[judged] { (icon(arrow)) @if let Some(percent) = change.percent.filter(|_| change.direction != "same") { (signed(percent)) } }
        " " (word) " " (change.period.words) @if let Some(judged) = judged { " (" (judged) ")" }
    }
}

/// `+4.2%`, `−0.57%`
fn signed(percent: f64) -> String {
    format!("{}{}", if percent < 0.0 { "−" } else { "+" }, format::share(percent.abs() / 100.0))
}

fn history(metric: &StatedMetric) -> Markup {
    html! {
        details.sthist #{ "history-" (metric.metric) } {
            summary { (metric.name) ": all windows" @let revised = metric.years.iter().chain(&metric.quarters).filter(|w| !w.before.is_empty()).count();
                @if revised > 0 { ", " (format::count(revised as u64, "revision")) } }
            div.two2 {
                @if !metric.years.is_empty() { (windows(metric, "Twelve months", &metric.years)) }
                @if !metric.quarters.is_empty() { (windows(metric, "Quarter", &metric.quarters)) }
            }
        }
    }
}

fn windows(metric: &StatedMetric, head: &str, all: &[StatedWindow]) -> Markup {
    html! {
        div.scrollx tabindex="0" role="region" aria-label=(format!("{}, by {}", metric.name, head.to_lowercase())) { table.mini {
            caption.vh { (metric.name) " by " (head.to_lowercase()) }
            thead { tr { th scope="col" { (head) } th.n scope="col" { (metric.name) } th scope="col" { "Published, and what was said before" } } }
            tbody { @for window in all { tr {
                th scope="row" { (window.period.words) }
                td.n { (value(metric, &window.now)) @if window.more_digital_than_all { " " span.flag title="More digital than all transactions, as stated" { (icon("odd")) span.vh { "more digital than all transactions, as stated" } } } }
                td.tiny {
                    (clock::date(window.now.published))
                    @for before in window.before.iter().rev() { br; span.rev0 { "before: " (value(metric, before)) ", published " (clock::date(before.published)) } }
                }
            } } }
        } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::Period;
    use domain::time::Day;

    fn metric(after: Option<&str>) -> StatedMetric {
        let year = Day::from_ymd(2017, 1, 1);
        let period = Period { until: year, from: Day::from_ymd(2016, 1, 1), words: "Jan 2016 to Dec 2016".into() };
        let said = |text: &str, published| StatedValue {
            value: Some(text.into()),
            missing: None,
            published: Day(published),
            source: "a file".into(),
        };
        let window = StatedWindow {
            period: period.clone(),
            now: said("1234567", 17_500),
            before: vec![said("1200000", 17_000)],
            more_digital_than_all: false,
        };
        StatedMetric {
            metric: "volume".into(),
            name: "Transactions".into(),
            unit: "transactions".into(),
            better: "neither".into(),
            computed: false,
            latest: Some(window.clone()),
            change: Some(Change { period, before: "1288727".into(), direction: "down".into(), percent: Some(-4.2) }),
            after: after.map(str::to_owned),
            years: vec![window],
            quarters: Vec::new(),
        }
    }

    #[test]
    fn an_old_figure_says_what_was_received_and_what_came_after() {
        let said = "Data received Jan 2016 to Dec 2016; later data not provided";
        assert_eq!(received(&metric(Some("late"))).as_deref(), Some(said));
        assert!(headline(&metric(Some("not provided"))).into_string().contains(said));
        assert_eq!(received(&metric(None)), None);
        let asked = "Data received Jan 2016 to Dec 2016; later data not requested";
        assert_eq!(received(&metric(Some("not requested"))).as_deref(), Some(asked));
    }

    #[test]
    fn a_figure_says_its_exact_value_its_change_and_its_revisions() {
        let text = headline(&metric(None)).into_string();
        assert!(text.contains("<span aria-hidden=\"true\">1.23m</span><span class=\"vh\">1,234,567</span>"), "{text}");
        assert!(text.contains("−4.2%") && text.contains("against Jan 2016 to Dec 2016"), "{text}");
        let text = history(&metric(None)).into_string();
        assert!(text.contains("1 revision") && text.contains("1,200,000") && text.contains("before: "), "{text}");
    }
}
