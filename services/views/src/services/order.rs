//! The order of the rows, and the figures over all of them.
//!
//! Invariant: a row without the figure stands last both ways, and the same figures always give the same order. A total is
//! made of the rows that have all its parts, and says how many they are. It never takes missing for 0.

use std::cmp::Ordering;

use crate::figures::{Counted, ListRow, Ratio, SumOf, Totals};
use crate::services::{Order, Sort};

/// A part of a whole, if both are there and the whole is not nothing.
fn share(part: Option<u64>, whole: Option<u64>) -> Option<f64> {
    let (part, whole) = part.zip(whole).filter(|(_, whole)| *whole > 0)?;
    Some(part as f64 / whole as f64)
}

impl Counted {
    /// Share of digital channels.
    #[must_use]
    pub fn take_up(&self) -> Option<f64> {
        share(self.digital, self.completed)
    }

    /// Completed of started.
    #[must_use]
    pub fn completion(&self) -> Option<f64> {
        share(self.completed_of_started, self.started)
    }

    /// Score of the ratings, 0 to 1.
    #[must_use]
    pub fn satisfaction(&self) -> Option<f64> {
        let (rated, sum) = self.rated.zip(self.rating_sum).filter(|(rated, _)| *rated > 0)?;
        Some((sum as f64 / rated as f64 - 1.0) / 4.0)
    }
}

fn figure(row: &ListRow, sort: Sort) -> Option<f64> {
    match sort {
        Sort::Name | Sort::Department => None,
        Sort::Transactions => row.counted.completed.map(|n| n as f64),
        Sort::LastMinute => row.last_minute.map(|n| n as f64),
        Sort::TakeUp => row.counted.take_up(),
        Sort::Completion => row.counted.completion(),
        Sort::Satisfaction => row.counted.satisfaction(),
        Sort::Stated => row.stated?.volume.map(|n| n as f64),
        Sort::Cost => row.stated?.cost,
    }
}

/// Puts rows in order.
pub fn sort_rows(rows: &mut [ListRow], sort: Sort, order: Order) {
    let turned = |ordering: Ordering| if order == Order::Descending { ordering.reverse() } else { ordering };
    let by_name = |a: &ListRow, b: &ListRow| {
        (a.service.name.to_lowercase(), &a.service.id).cmp(&(b.service.name.to_lowercase(), &b.service.id))
    };
    rows.sort_by(|a, b| match sort {
        Sort::Name => turned(by_name(a, b)),
        Sort::Department => {
            let department = |row: &ListRow| row.service.department.name.to_lowercase();
            turned(department(a).cmp(&department(b))).then_with(|| by_name(a, b))
        }
        sort => match (figure(a, sort), figure(b, sort)) {
            (Some(x), Some(y)) => turned(x.total_cmp(&y)).then_with(|| by_name(a, b)),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => by_name(a, b),
        },
    });
}

/// The figures over all rows.
#[must_use]
pub fn totals(rows: &[ListRow]) -> Totals {
    let of_services = rows.len() as u32;
    let sum = |of: &dyn Fn(&ListRow) -> Option<f64>| {
        let known: Vec<f64> = rows.iter().filter_map(of).collect();
        let sum = SumOf { value: known.iter().sum(), services: known.len() as u32, of_services };
        (!known.is_empty()).then_some(sum)
    };
    let ratio = |of: &dyn Fn(&Counted) -> Option<(u64, u64)>| {
        let mut sum = Ratio { part: 0, whole: 0, services: 0, of_services };
        for (part, whole) in rows.iter().filter_map(|row| of(&row.counted)) {
            sum = Ratio { part: sum.part + part, whole: sum.whole + whole, services: sum.services + 1, of_services };
        }
        (sum.whole > 0).then_some(sum)
    };
    let weighed = |row: &ListRow| Some((row.counted.satisfaction()?, row.counted.completed.filter(|n| *n > 0)? as f64));
    let (mut score, mut weight, mut services) = (0.0, 0.0, 0);
    for (one, n) in rows.iter().filter_map(weighed) {
        (score, weight, services) = (score + one * n, weight + n, services + 1);
    }
    Totals {
        transactions: sum(&|row| row.counted.completed.map(|n| n as f64)),
        digital: ratio(&|counted| counted.digital.zip(counted.completed)),
        completion: ratio(&|counted| counted.completed_of_started.zip(counted.started)),
        satisfaction: (services > 0).then(|| SumOf { value: score / weight, services, of_services }),
        stated: sum(&|row| row.stated?.volume.map(|n| n as f64)),
        cost: sum(&|row| row.stated?.total_cost),
    }
}
