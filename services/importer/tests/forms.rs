//! Small files in the published forms and in our own, made up.

use domain::catalogue::Catalogue;
use domain::statement::{Metrics, Value};
use domain::time::Day;
use importer::forms::{Form, Read, Reader};

fn read(text: &str) -> Result<Read, Vec<String>> {
    let (catalogue, metrics) = (Catalogue::embedded(), Metrics::embedded());
    let reader = Reader { catalogue: &catalogue, metrics: &metrics, today: Day::from_ymd(2026, 11, 24) };
    reader.read(text.as_bytes()).map_err(|broken| broken.iter().map(ToString::to_string).collect())
}

fn figures(read: &Read) -> Vec<(u16, u16, String, String)> {
    let value = |value: Value| value.amount().map_or_else(|| value.words().to_owned(), |amount| amount.to_string());
    read.figures.iter().map(|f| (f.service.0, f.metric.0, f.window.words(), value(f.value))).collect()
}

const SERVICES: &str = "\u{feff}Abbr,Name of service,Slug,2012-Q4 Vol.,2012-Q4 CPT (£),2013-Q1 Vol.,2013-Q1 Digital vol.,Hi-vol,\"Total transactions
Jul - Sep 2012\",\"Totals check Oct-Sep\"
AGO,\"Trusts, estates\",ago-bona-vacantia-referrals-of-estates-company-assets,\"40,000\",8.08,***,-,#REF!,\" 4,159 \",#REF!
AGO,Witness,ago-reimbursing-witness-expenses,,,\"1,234,567\",0,yes,,
";

#[test]
fn the_published_services_are_read_as_they_are() {
    let read = read(SERVICES).expect("keeps the rules");
    assert_eq!((read.form, read.lines), (Form::Services, 2));
    let want = [
        (1, 1, "Apr 2011 to Mar 2012", "40000"),
        (1, 3, "Apr 2011 to Mar 2012", "8.08"),
        (1, 1, "Jan 2012 to Dec 2012", "not requested"),
        (1, 2, "Jan 2012 to Dec 2012", "not provided"),
        (1, 1, "Jul 2012 to Sep 2012", "4159"),
        (2, 1, "Jan 2012 to Dec 2012", "1234567"),
        (2, 2, "Jan 2012 to Dec 2012", "0"),
    ];
    let found = figures(&read);
    let found: Vec<_> = found.iter().map(|(s, m, w, v)| (*s, *m, w.as_str(), v.as_str())).collect();
    assert_eq!(found, want);
}

#[test]
fn the_published_volumes_are_read_by_the_names_of_services_and_an_odd_heading_is_told() {
    let text = "Department,Name of service,January 2014 to December 2015: volume,April 2014 to March 2015: cost per transaction (£)\n\
                AGO,witness  expenses: Reimbursements,47041,8.10\n";
    let read = read(text).expect("keeps the rules");
    assert_eq!(read.form, Form::Volumes);
    let want = [
        (2, 1, "Jan 2014 to Dec 2014".to_owned(), "47041".to_owned()),
        (2, 3, "Apr 2014 to Mar 2015".to_owned(), "8.1".to_owned()),
    ];
    assert_eq!(figures(&read), want);
    assert_eq!(
        read.warnings,
        ["the heading “January 2014 to December 2015” is not of twelve months; taken as Jan 2014 to Dec 2014"]
    );
}

const OWN: &str = "service,metric,first_day,last_day,value\n";

#[test]
fn our_own_form_takes_any_period_and_any_metric() {
    let lines = "# A remark.\nhmrc-self-assessment,completion-rate,2026-01-05,2026-01-11,87.5\n\
                 hmrc-self-assessment,volume,2026-01-01,2026-01-31,not applicable\n";
    let read = read(&format!("{OWN}{lines}")).expect("keeps the rules");
    let found: Vec<_> = figures(&read).into_iter().map(|(_, m, w, v)| (m, w, v)).collect();
    let want = [
        (5, "5 Jan 2026 to 11 Jan 2026".to_owned(), "87.5".to_owned()),
        (1, "Jan 2026".to_owned(), "not applicable".to_owned()),
    ];
    assert_eq!(found, want);
}

#[test]
fn every_broken_line_is_named_with_its_column_and_rule_and_nothing_is_read() {
    let lines = [
        "nobody,volume,2016-01-01,2016-12-31,1",
        "hmrc-self-assessment,volumes,2016-01-01,2016-12-31,1",
        "hmrc-self-assessment,volume,2016-02-30,2016-12-31,1",
        "hmrc-self-assessment,volume,2016-01-01,2015-12-31,1",
        "hmrc-self-assessment,volume,2026-01-01,2026-11-24,1",
        "hmrc-self-assessment,volume,2016-01-01,2016-12-31,many",
        "hmrc-self-assessment,volume,2016-01-01,2016-12-31,",
        "hmrc-self-assessment,volume,2016-01-01,2016-12-31",
        "hmrc-self-assessment,volume,2015-01-01,2015-12-31,1",
        "hmrc-self-assessment,volume,2015-01-01,2015-12-31,2",
    ];
    let broken = read(&format!("{OWN}{}\n", lines.join("\n"))).expect_err("refused");
    let want = [
        "line 2, column “service”: \"nobody\" is not a service of the catalogue",
        "line 3, column “metric”: \"volumes\" is not one of volume",
        "line 4, column “first_day”: \"2016-02-30\" is not a date",
        "line 5, column “last_day”: is not before the first day",
        "line 6, column “last_day”: is in the past",
        "line 7, column “value”: \"many\": a figure is a number",
        "line 8, column “value”: \"\": a figure must not be empty",
        "line 9, column “last_day”: the line has 4 fields and needs 5",
        "line 11, column “service”: says again what line 10 says",
    ];
    assert_eq!(broken.len(), want.len(), "{broken:#?}");
    for (found, want) in broken.iter().zip(want) {
        assert!(found.starts_with(want), "{found}");
    }
}

#[test]
fn a_published_cell_that_is_no_figure_is_named() {
    let broken = read(&SERVICES.replace("8.08", "#REF!").replace("1,234,567", "12,34")).expect_err("refused");
    assert_eq!(broken.len(), 2);
    assert!(broken[0].starts_with("line 3, column “2012-Q4 CPT (£)”: \"#REF!\": a figure is a number"), "{broken:?}");
    assert!(broken[1].starts_with("line 4, column “2013-Q1 Vol.”: \"12,34\""), "{broken:?}");
}

#[test]
fn hostile_files_are_refused_in_words() {
    for text in ["", "\n\n", "a,b\n1,2\n", "\"", OWN, "Slug,2013-Q1 Vol.\n", "Slug\n\u{0}\u{0}\n"] {
        assert!(read(text).is_err(), "{text:?}");
    }
    let (catalogue, metrics) = (Catalogue::embedded(), Metrics::embedded());
    let reader = Reader { catalogue: &catalogue, metrics: &metrics, today: Day::from_ymd(2026, 11, 24) };
    let not_text =
        reader.read(b"service,metric,first_day,last_day,value\n\xff\xfe,volume,a,b,c\n").expect_err("refused");
    assert!(not_text[0].to_string().contains("not UTF-8"), "{not_text:?}");
}

#[test]
fn the_repository_holds_twelve_versions_that_the_collector_would_take() {
    let imports = importer::published();
    assert_eq!(imports.len(), 12);
    assert_eq!(imports.last().expect("some").title, "Transactions Explorer, version of 19 September 2018");
    assert!(imports.iter().all(|import| import.figures.len() < 100_000 && import.title.len() < 200));
}
