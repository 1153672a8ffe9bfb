//! `config/*.toml` are the reference of every setting: each key is explained where it stands.

use crate::{files, none};

#[test]
fn every_key_has_a_comment() {
    let mut found = Vec::new();
    let mut keys = 0;
    for (path, text) in files(&[".toml"]).into_iter().filter(|(path, _)| path.starts_with("config/")) {
        for (number, key) in uncommented(&text, &mut keys) {
            found.push(format!("{path}:{number}: {key}"));
        }
    }
    assert!(keys > 100, "only {keys} keys were found");
    none("keys without a comment above them", &found);
}

/// Line and name of each key that has no comment: neither above itself nor above the keys that it stands among.
fn uncommented(text: &str, keys: &mut usize) -> Vec<(usize, String)> {
    let (mut found, mut is_explained, mut in_list) = (Vec::new(), false, false);
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if in_list {
            in_list = !line.starts_with(']');
        } else if line.starts_with('#') {
            is_explained = true;
        } else if line.is_empty() || line.starts_with('[') {
            is_explained = false;
        } else if let Some((key, value)) = line.split_once('=') {
            *keys += 1;
            if !is_explained && !value.contains('#') {
                found.push((number + 1, key.trim().to_owned()));
            }
            in_list = value.trim() == "[";
        }
    }
    found
}

#[test]
fn an_uncommented_key_is_found() {
    let text = "# Of the file.\n\n[a]\nb = 1\n\n# Both.\nc = 2\nd = [\n  \"x = y\",\n]\n\ne = 3\nf = 4 # four\n";
    let found: Vec<_> = uncommented(text, &mut 0).into_iter().map(|(_, key)| key).collect();
    assert_eq!(found, ["b", "e"]);
}
