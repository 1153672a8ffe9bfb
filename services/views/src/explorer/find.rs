//! Search over the names of a service and its owners, with small typing errors forgiven.
//!
//! Invariant: pure; every word that is searched for must be found. The same query and words give the same score. It never
//! marks a word that was not a reason for the find.

use maud::{Markup, html};

/// Letters from which on one error is forgiven.
const ONE_ERROR: usize = 4;
/// Letters from which on two are.
const TWO_ERRORS: usize = 8;

/// What is searched for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    words: Vec<String>,
}

/// What can be found: words with their weight.
#[derive(Debug, Clone, Default)]
pub struct Words(Vec<(String, u32)>);

impl Words {
    /// Adds the words of a text.
    pub fn add(&mut self, text: &str, weight: u32) {
        self.0.extend(words(text).map(|word| (word, weight)));
    }
}

fn words(text: &str) -> impl Iterator<Item = String> {
    // An apostrophe belongs to its word: "Carer's" is found by "carers".
    let plain: String = text.chars().filter(|c| !matches!(c, '\'' | '’')).collect::<String>().to_lowercase();
    plain
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect::<Vec<_>>()
        .into_iter()
}

impl Query {
    /// The words of a text; words that say nothing are left out unless there is no other.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let all: Vec<String> = words(text).collect();
        let telling: Vec<String> = all
            .iter()
            .filter(|word| !matches!(word.as_str(), "a" | "an" | "and" | "for" | "of" | "the" | "to"))
            .cloned()
            .collect();
        Self { words: if telling.is_empty() { all } else { telling } }
    }

    /// Whether nothing is searched for.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// How well this fits; `None` = it is not found.
    #[must_use]
    pub fn score(&self, words: &Words) -> Option<u32> {
        self.words.iter().try_fold(0, |sum, asked| {
            let best = words.0.iter().map(|(word, weight)| fit(asked, word) * weight).max().unwrap_or(0);
            (best > 0).then_some(sum + best)
        })
    }

    /// A name with the words that fit marked.
    #[must_use]
    pub fn mark(&self, name: &str) -> Markup {
        html! {
            @for (text, is_word) in pieces(name) {
                @let fits = is_word && words(text).any(|word| self.words.iter().any(|asked| fit(asked, &word) > 0));
                @if fits { mark { (text) } } @else { (text) }
            }
        }
    }
}

/// A text in words and what stands between them.
fn pieces(text: &str) -> Vec<(&str, bool)> {
    let is_word = |c: char| c.is_alphanumeric() || matches!(c, '\'' | '’');
    let mut out = Vec::new();
    let mut from = 0;
    let mut last: Option<bool> = None;
    for (at, c) in text.char_indices() {
        if last.is_some_and(|last| last != is_word(c)) {
            out.push((&text[from..at], !is_word(c)));
            from = at;
        }
        last = Some(is_word(c));
    }
    if let Some(last) = last {
        out.push((&text[from..], last));
    }
    out
}

/// How well a word fits: 4 the same, 3 its beginning, 2 within it, 1 with a typing error, 0 not.
fn fit(asked: &str, word: &str) -> u32 {
    if asked == word {
        return 4;
    }
    let length = asked.chars().count();
    if word.starts_with(asked) {
        return 3;
    }
    if length >= 3 && word.contains(asked) {
        return 2;
    }
    let errors = match length {
        TWO_ERRORS.. => 2,
        ONE_ERROR.. => 1,
        _ => return 0,
    };
    let (asked, word): (Vec<char>, Vec<char>) = (asked.chars().collect(), word.chars().collect());
    // Digits are not mistyped: form 10 is not form 11. A first letter rarely is.
    if asked.iter().any(char::is_ascii_digit) || word.len() + errors < asked.len() {
        return 0;
    }
    // What is typed may be the beginning of a longer word.
    let whole = word.len().min(asked.len() + errors);
    let shortest = asked.len().saturating_sub(errors).max(1);
    let near = (shortest..=whole)
        .filter(|end| *end == word.len() || *end > ONE_ERROR)
        .any(|end| within(&asked, &word[..end], errors));
    u32::from(near)
}

/// Whether two words differ by at most so many letters left out, put in, changed or swapped.
fn within(a: &[char], b: &[char], most: usize) -> bool {
    if a.len().abs_diff(b.len()) > most {
        return false;
    }
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut now = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let change = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            now[j] = change.min(last[j] + 1).min(now[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                now[j] = now[j].min(before[j - 2] + 1);
            }
        }
        if now.iter().all(|errors| *errors > most) {
            return false;
        }
        before = std::mem::replace(&mut last, now);
    }
    last[b.len()] <= most
}

#[cfg(test)]
mod tests {
    use super::*;

    fn score(query: &str, text: &str) -> Option<u32> {
        let mut words = Words::default();
        words.add(text, 1);
        Query::new(query).score(&words)
    }

    #[test]
    fn small_typing_errors_are_forgiven_and_others_are_not() {
        let name = "Carer's Allowance: new claims for passports";
        for found in [
            "allowance",
            "ALLOW",
            "alowance",
            "allownace",
            "allowanse",
            "carers",
            "carer's",
            "pasport",
            "passprot",
            "claims new",
        ] {
            assert!(score(found, name).is_some(), "{found}");
        }
        for not in ["pension", "xyz", "allowance pension", "crs", "nwe"] {
            assert!(score(not, name).is_none(), "{not}");
        }
        assert!(score("form 10", "Form 11").is_none(), "numbers are not mistyped");
    }

    #[test]
    fn the_same_word_is_better_than_its_beginning_and_that_than_an_error() {
        let scores = ["tax", "taxes", "surtax"].map(|text| score("tax", text));
        assert_eq!(scores, [Some(4), Some(3), Some(2)]);
        assert_eq!(score("vehicel", "vehicle"), Some(1));
    }

    #[test]
    fn a_find_marks_its_words_and_escapes_the_rest() {
        let marked = Query::new("alowance").mark("Carer's Allowance <new>").into_string();
        assert_eq!(marked, "Carer's <mark>Allowance</mark> &lt;new&gt;");
        assert_eq!(Query::new("<b>").mark("a b").into_string(), "a <mark>b</mark>");
    }
}
