//! Budgets of files and functions, as a ratchet: what is over today is listed with its size and may only shrink.

use std::collections::BTreeMap;

use crate::{files, is_test, none, without_tests};

/// Lines of a file without its tests.
const FILE_MAX: usize = 400;
/// Files over the budget today.
const LARGE_FILES: [(&str, usize); 0] = [];
/// Lines of a function, from its name to its closing brace.
const FUNCTION_MAX: usize = 70;
/// Functions over the budget today.
const LONG_FUNCTIONS: [(&str, usize); 0] = [];
/// Lines of the README.
const README_MAX: usize = 200;

/// Compares sizes with a budget and the list of exceptions.
fn over(budget: usize, listed: &[(&str, usize)], sizes: &BTreeMap<String, usize>) -> Vec<String> {
    let listed: BTreeMap<_, _> = listed.iter().copied().collect();
    let mut found = Vec::new();
    for (name, size) in sizes {
        let most = listed.get(name.as_str()).copied().unwrap_or(budget);
        if *size > most {
            found.push(format!("{name} has {size} lines of at most {most}"));
        }
    }
    for (name, most) in listed {
        match sizes.get(name) {
            None => found.push(format!("{name} is listed and is not there: take it out of the list")),
            Some(size) if *size <= budget => {
                found.push(format!("{name} keeps the budget now: take it out of the list"));
            }
            Some(size) if size + most / 10 < most => {
                found.push(format!("{name} has shrunk to {size}: say so in the list"));
            }
            Some(_) => {}
        }
    }
    found
}

#[test]
fn files_keep_their_budget() {
    let mut sizes = BTreeMap::new();
    for (path, text) in files(&[".rs", ".js", ".css", ".sql"]) {
        if !is_test(&path) {
            let own = if path.ends_with(".rs") { without_tests(&text) } else { &text };
            sizes.insert(path, own.lines().count());
        }
    }
    none("files over their budget", &over(FILE_MAX, &LARGE_FILES, &sizes));
}

#[test]
fn functions_keep_their_budget() {
    let mut sizes = BTreeMap::new();
    for (path, text) in files(&[".rs"]) {
        if !is_test(&path) {
            for (name, lines) in functions(without_tests(&text)) {
                sizes.insert(format!("{path} {name}"), lines);
            }
        }
    }
    assert!(sizes.len() > 500, "only {} functions were found", sizes.len());
    none("functions over their budget", &over(FUNCTION_MAX, &LONG_FUNCTIONS, &sizes));
}

/// Names and lines of the functions of a formatted file: from the line of the name to the brace in the same column.
fn functions(text: &str) -> Vec<(String, usize)> {
    let lines: Vec<_> = text.lines().collect();
    let mut found = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let bare = line.trim_start();
        let column = line.len() - bare.len();
        let start = bare.strip_prefix("pub ").or_else(|| bare.strip_prefix("pub(crate) ")).unwrap_or(bare);
        let start = start.strip_prefix("pub(super) ").unwrap_or(start);
        let start = start.trim_start_matches("const ").trim_start_matches("async ");
        let Some(name) = start.strip_prefix("fn ") else { continue };
        let closing = format!("{}}}", " ".repeat(column));
        let is_one_line = line.ends_with('}') || line.ends_with(';');
        let end = if is_one_line { None } else { lines[at..].iter().position(|line| *line == closing) };
        let name = name.split(['(', '<']).next().unwrap_or(name).to_owned();
        found.push((name, end.map_or(1, |end| end + 1)));
    }
    found
}

#[test]
fn the_readme_keeps_its_budget() {
    for (path, text) in files(&["README.md"]).into_iter().filter(|(path, _)| path == "README.md") {
        let lines = text.lines().count();
        assert!(lines <= README_MAX, "{path} has {lines} lines of at most {README_MAX}");
    }
}

#[test]
fn the_ratchet_turns_one_way_only() {
    let sizes = |pairs: &[(&str, usize)]| pairs.iter().map(|(name, n)| ((*name).to_owned(), *n)).collect();
    assert!(over(10, &[("b", 20)], &sizes(&[("a", 10), ("b", 20)])).is_empty());
    assert_eq!(over(10, &[], &sizes(&[("a", 11)])), ["a has 11 lines of at most 10"]);
    assert_eq!(over(10, &[("b", 20)], &sizes(&[("b", 21)])), ["b has 21 lines of at most 20"]);
    assert_eq!(over(10, &[("b", 20)], &sizes(&[("b", 9)])), ["b keeps the budget now: take it out of the list"]);
    assert_eq!(over(10, &[("b", 20)], &sizes(&[])), ["b is listed and is not there: take it out of the list"]);
    assert_eq!(over(10, &[("b", 20)], &sizes(&[("b", 12)])), ["b has shrunk to 12: say so in the list"]);
}

#[test]
fn functions_are_measured_from_name_to_brace() {
    let text = "fn a() {}\nimpl X {\n    pub fn b(\n        c: u8,\n    ) {\n        1\n    }\n}\npub async fn d() {\n    2\n}\n";
    let lines = |name: &str, lines| (name.to_owned(), lines);
    assert_eq!(functions(text), [lines("a", 1), lines("b", 5), lines("d", 3)]);
}
