//! The order of rows.
//!
//! Invariant: a row without the figure stands last both ways; equal ones stand by name and id, so that the same figures
//! always give the same page.

use std::cmp::Ordering;

use super::{Asked, Column};
use crate::figures::{ExplorerDepartment, ExplorerService, StatedSums};
use crate::services::Order;

/// Puts services in order. For [`Column::Match`] they stay as they are.
pub fn sort_services(rows: &mut [ExplorerService], asked: &Asked) {
    let figure = |row: &ExplorerService| {
        let stated = row.stated.as_ref()?;
        match asked.sort {
            Column::Volume => Some(stated.volume as f64),
            Column::Window => Some(f64::from(stated.period.until.0)),
            Column::TakeUp => share(stated.digital_volume?, stated.volume),
            Column::CostPerTransaction => stated.cost_per_transaction,
            Column::TotalCost => stated.total_cost,
            Column::Match | Column::Name | Column::Department | Column::Coverage => None,
        }
    };
    let name = |row: &ExplorerService| (row.service.name.to_lowercase(), row.service.id.clone());
    match asked.sort {
        Column::Match => {}
        Column::Name => sort_by_text(rows, asked.order, |row| row.service.name.to_lowercase(), name),
        Column::Department => {
            sort_by_text(rows, asked.order, |row| row.service.department.name.to_lowercase(), name);
        }
        _ => rows.sort_by(|a, b| by_figure(figure(a), figure(b), asked.order).then_with(|| name(a).cmp(&name(b)))),
    }
}

/// Puts departments in order.
pub fn sort_departments(rows: &mut [ExplorerDepartment], asked: &Asked) {
    let figure = |row: &ExplorerDepartment| match asked.sort {
        Column::TakeUp => take_up(&row.sums),
        Column::TotalCost => row.sums.total_cost,
        Column::Coverage => share(row.sums.provided.into(), row.sums.expected.into()),
        _ => row.sums.volume.map(|n| n as f64),
    };
    let name = |row: &ExplorerDepartment| (row.department.name.to_lowercase(), row.department.id.clone());
    match asked.sort {
        Column::Name | Column::Department => {
            sort_by_text(rows, asked.order, |row| row.department.name.to_lowercase(), name);
        }
        _ => rows.sort_by(|a, b| by_figure(figure(a), figure(b), asked.order).then_with(|| name(a).cmp(&name(b)))),
    }
}

/// Digital of all, over the services that state both.
pub(super) fn take_up(sums: &StatedSums) -> Option<f64> {
    share(sums.digital?, sums.digital_of?)
}

/// A share, where there is a whole.
pub(super) fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

fn sort_by_text<T, K: Ord>(rows: &mut [T], order: Order, text: impl Fn(&T) -> String, name: impl Fn(&T) -> K) {
    rows.sort_by(|a, b| {
        let by_text = text(a).cmp(&text(b));
        let by_text = if order == Order::Descending { by_text.reverse() } else { by_text };
        by_text.then_with(|| name(a).cmp(&name(b)))
    });
}

fn by_figure(a: Option<f64>, b: Option<f64>, order: Order) -> Ordering {
    match (a, b) {
        (Some(a), Some(b)) if order == Order::Descending => b.total_cmp(&a),
        (Some(a), Some(b)) => a.total_cmp(&b),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => Ordering::Equal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_figure_is_last_both_ways() {
        for order in [Order::Ascending, Order::Descending] {
            let mut figures = [None, Some(2.0), Some(1.0), None, Some(3.0)];
            figures.sort_by(|a, b| by_figure(*a, *b, order));
            assert_eq!(figures[3..], [None, None], "{order:?}");
            let first = if order == Order::Ascending { 1.0 } else { 3.0 };
            assert_eq!(figures[0], Some(first));
        }
    }
}
