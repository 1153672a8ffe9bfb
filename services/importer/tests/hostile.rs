//! Files that nobody meant: whatever stands in one, it is read or refused line by line.

use domain::catalogue::Catalogue;
use domain::statement::Metrics;
use domain::time::Day;
use importer::forms::Reader;
use proptest::prelude::*;

const HEADS: [&str; 4] = [
    "service,metric,first_day,last_day,value\n",
    "\u{feff}Abbr,Name of service,Slug,2012-Q4 Vol.,2012-Q4 CPT (£),2013-Q1 Vol.\n",
    "Department,Name of service,January 2014 to December 2015: volume,April 2014 to March 2015: cost per transaction (£)\n",
    "",
];

/// Reads a file; every refusal is a line with words of bounded length.
fn read(bytes: &[u8]) -> Result<(), TestCaseError> {
    let (catalogue, metrics) = (Catalogue::embedded(), Metrics::embedded());
    let reader = Reader { catalogue: &catalogue, metrics: &metrics, today: Day::from_ymd(2026, 11, 24) };
    if let Err(broken) = reader.read(bytes) {
        prop_assert!(!broken.is_empty());
        for one in broken {
            prop_assert!(!one.to_string().is_empty());
        }
    }
    Ok(())
}

/// A field: good ones, and what spreadsheets, people and enemies write.
fn field() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("hmrc-self-assessment".to_owned()),
        Just("volume".to_owned()),
        "[0-9]{4}-[0-9]{2}-[0-9]{2}",
        "-?[0-9]{1,30}(\\.[0-9]{0,30})?",
        Just("9".repeat(400)),
        "[=+@\"',;\\t\\r\\n\\x00]{0,5}",
        "\\PC{0,20}",
        Just("'; DROP TABLE cells; --".to_owned()),
    ]
}

proptest! {
    #[test]
    fn no_bytes_break_the_reader(head in 0_usize..4, bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        read(&[HEADS[head].as_bytes(), &bytes].concat())?;
    }

    #[test]
    fn no_fields_break_the_reader(head in 0_usize..4, rows in prop::collection::vec(prop::collection::vec(field(), 0..8), 0..6)) {
        let rows: Vec<_> = rows.iter().map(|row| row.join(",")).collect();
        read(format!("{}{}", HEADS[head], rows.join("\n")).as_bytes())?;
    }

    #[test]
    fn no_heading_breaks_the_reader(names in prop::collection::vec("\\PC{0,30}|20[0-9]{2}-Q[0-9] (Vol.|CPT.*)|[A-Z][a-z]{2,8} [0-9]{4} to [A-Z][a-z]{2,8} [0-9]{1,6}: volume", 0..8)) {
        read(format!("Abbr,Name of service,Slug,{}\nAGO,a,b,1,2,3\n", names.join(",")).as_bytes())?;
        read(format!("Department,Name of service,{}\nAGO,a,1,2,3\n", names.join(",")).as_bytes())?;
    }
}
