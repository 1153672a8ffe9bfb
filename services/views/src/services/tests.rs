use super::*;
use crate::figures::{Counted, DepartmentRef, ListRow, ServiceRef, StatedYear};
use domain::time::Day;

fn row(name: &str, completed: Option<u64>) -> ListRow {
    let department =
        DepartmentRef { id: "dft".into(), name: "Department for Transport".into(), short_name: "DfT".into() };
    ListRow {
        service: ServiceRef { id: format!("dft-{name}"), name: name.into(), short_name: name.into(), department },
        agency: None,
        counted: Counted { completed, digital: completed, ..Counted::default() },
        last_minute: None,
        last_event_ms: None,
        stated: None,
    }
}

fn names(rows: &[ListRow]) -> Vec<&str> {
    rows.iter().map(|row| row.service.name.as_str()).collect()
}

#[test]
fn rows_without_a_figure_stand_last_both_ways() {
    let mut rows = vec![
        row("none", None),
        row("few", Some(3)),
        row("also none", None),
        row("many", Some(9)),
        row("nought", Some(0)),
    ];
    sort_rows(&mut rows, Sort::Transactions, Order::Descending);
    assert_eq!(names(&rows), ["many", "few", "nought", "also none", "none"]);
    sort_rows(&mut rows, Sort::Transactions, Order::Ascending);
    assert_eq!(names(&rows), ["nought", "few", "many", "also none", "none"]);
    sort_rows(&mut rows, Sort::Name, Order::Descending);
    assert_eq!(names(&rows), ["nought", "none", "many", "few", "also none"]);
    for (_, sort) in Sort::ALL {
        let before = rows.clone();
        sort_rows(&mut rows, sort, Order::Descending);
        let once = rows.clone();
        rows.reverse();
        sort_rows(&mut rows, sort, Order::Descending);
        assert_eq!(names(&rows), names(&once), "the order is that of the figures, not of the input");
        assert_eq!(before.len(), rows.len());
    }
}

#[test]
fn totals_are_of_the_services_that_have_all_parts_and_say_so() {
    let mut rows = vec![row("a", Some(100)), row("b", Some(300)), row("c", None)];
    rows[0].counted = Counted {
        digital: Some(40),
        started: Some(150),
        completed_of_started: Some(90),
        rated: Some(10),
        rating_sum: Some(50),
        ..rows[0].counted
    };
    rows[1].counted = Counted { digital: Some(300), rated: Some(2), rating_sum: Some(2), ..rows[1].counted };
    let until = Day::from_ymd(2017, 10, 1);
    rows[0].stated = Some(StatedYear {
        until,
        volume: Some(1_000),
        digital: None,
        cost: Some(2.5),
        total_cost: Some(2_500.0),
        revised: false,
        counted: None,
    });
    rows[2].stated = Some(StatedYear {
        until,
        volume: Some(7),
        digital: None,
        cost: None,
        total_cost: None,
        revised: false,
        counted: None,
    });
    let totals = totals(&rows);
    let sum = |sum: Option<crate::figures::SumOf>| sum.map(|s| (s.value, s.services, s.of_services));
    assert_eq!(sum(totals.transactions), Some((400.0, 2, 3)));
    let digital = totals.digital.expect("both parts");
    assert_eq!((digital.part, digital.whole, digital.services, digital.of_services), (340, 400, 2, 3));
    let completion = totals.completion.expect("one sends starts");
    assert_eq!((completion.part, completion.whole, completion.services), (90, 150, 1));
    assert_eq!(sum(totals.satisfaction), Some((0.25, 2, 3)), "100 % of 100 and 0 % of 300");
    assert_eq!(sum(totals.stated), Some((1_007.0, 2, 3)));
    assert_eq!(sum(totals.cost), Some((2_500.0, 1, 3)));
    assert_eq!(super::totals(&[row("c", None)]).transactions, None, "missing is not 0");
}
