//! Words that must not stand in what is committed.

use crate::{files, is_test, none, without_tests};

/// Every kind of text that we write by hand.
const TEXTS: [&str; 14] = [
    ".rs", ".js", ".css", ".sql", ".toml", ".md", ".proto", ".py", ".sh", ".yml", ".yaml", ".xml", ".html", "Makefile",
];

fn holding(parts: &[String], endings: &[&str], only: impl Fn(&str) -> bool) -> Vec<String> {
    let mut found = Vec::new();
    for (path, text) in files(endings).into_iter().filter(|(path, _)| only(path)) {
        for (number, line) in text.lines().enumerate() {
            found.extend(
                parts.iter().filter(|part| line.contains(*part)).map(|part| format!("{path}:{}: {part}", number + 1)),
            );
        }
    }
    found
}

/// Put together here, so that this file does not hold them.
fn joined(parts: &[(&str, &str)]) -> Vec<String> {
    parts.iter().map(|(a, b)| format!("{a}{b}")).collect()
}

#[test]
fn nothing_is_left_to_do_and_nothing_is_printed_for_debugging() {
    let parts = joined(&[("todo", "!("), ("unimplemented", "!("), ("dbg", "!("), ("FIX", "ME"), ("XX", "X ")]);
    none("left over", &holding(&parts, &TEXTS, |_| true));
    none("left over", &holding(&joined(&[("console", ".log(")]), &[".js"], |_| true));
}

#[test]
fn no_path_of_a_machine_is_named() {
    let parts = joined(&[
        ("/wo", "rk/"),
        ("/ro", "ot/"),
        ("/home", "/"),
        ("/tmp/", "spec"),
        ("/Use", "rs/"),
        ("../sha", "red"),
    ]);
    none("paths of a machine", &holding(&parts, &TEXTS, |_| true));
}

#[test]
fn there_are_no_macros_and_no_globals() {
    let mut found = holding(&joined(&[("macro_", "rules!")]), &[".rs"], |_| true);
    for (path, text) in files(&[".rs"]).into_iter().filter(|(path, _)| !is_test(path)) {
        for (number, line) in without_tests(&text).lines().enumerate() {
            let bare = line.trim_start().trim_start_matches("pub ").trim_start_matches("pub(crate) ");
            if bare.starts_with("static ") || bare.starts_with("thread_local!") {
                found.push(format!("{path}:{}: {bare}", number + 1));
            }
        }
    }
    none("macros and globals", &found);
}

#[test]
fn every_file_says_what_it_is() {
    let says = |text: &str| text.starts_with("//!") || text.starts_with("#![doc = include_str!");
    // The tests of a file in a file of their own are told by its head.
    let own = files(&[".rs"]).into_iter().filter(|(path, _)| !path.ends_with("/tests.rs"));
    let found: Vec<_> = own.filter(|(_, text)| !says(text)).map(|(path, _)| path).collect();
    none("files without a head", &found);
    let says = |text: &str| text.starts_with("--") || text.starts_with("/*") || text.starts_with("//");
    let found: Vec<_> =
        files(&[".sql", ".js", ".css"]).into_iter().filter(|(_, text)| !says(text)).map(|(path, _)| path).collect();
    none("files without a head", &found);
}

#[test]
fn unsafe_code_stands_in_one_place() {
    let parts = joined(&[("unsafe", " {"), ("unsafe", " fn"), ("unsafe", " impl"), ("allow(unsafe", "_code")]);
    none("unsafe code", &holding(&parts, &[".rs"], |path| path != "services/dev/src/engine.rs"));
}
