//! What an address asks for: its parameters, each checked once, with the field and the rule where one is broken.
//!
//! Invariant: every parameter is one of a closed list, an id, or text of bounded length; given twice it is refused; empty
//! is absent, as a form without script sends it. Parameters that nobody reads are left alone. What reads an address also
//! describes it: [`parameters`] is the list of what was looked for, so a description cannot say anything else.

use std::borrow::Cow;
use std::ops::RangeInclusive;

use schemars::JsonSchema;
use serde::Serialize;

/// A rule that a field breaks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Broken {
    /// Name of the parameter.
    pub field: &'static str,
    /// What it must be: "is …".
    pub rule: Cow<'static, str>,
}

impl Broken {
    /// A broken rule.
    #[must_use]
    pub fn new(field: &'static str, rule: impl Into<Cow<'static, str>>) -> Self {
        Self { field, rule: rule.into() }
    }
}

/// A parameter that an address may have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    /// Its name.
    pub name: &'static str,
    /// What it must be.
    pub rule: Rule,
}

/// What a parameter must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rule {
    /// Text of at most so many characters.
    Text(usize),
    /// One of these words.
    Choice(Vec<String>),
    /// An id: a slug.
    Slug,
    /// A whole number within bounds; the usual one.
    Number(RangeInclusive<usize>, usize),
    /// What a sentence says: "is …".
    Said(&'static str),
}

/// What an address asks for, as `read` reads it.
///
/// # Errors
/// The broken rules in the order in which the fields were read.
pub fn parse<T>(pairs: &[(String, String)], read: impl FnOnce(&mut Asked<'_>) -> T) -> Result<T, Vec<Broken>> {
    let mut asked = Asked { pairs, broken: Vec::new(), looked_for: None };
    let value = read(&mut asked);
    if asked.broken.is_empty() { Ok(value) } else { Err(asked.broken) }
}

/// The parameters that `read` looks for, each once.
#[must_use]
pub fn parameters<T>(read: impl FnOnce(&mut Asked<'_>) -> T) -> Vec<Parameter> {
    let mut asked = Asked { pairs: &[], broken: Vec::new(), looked_for: Some(Vec::new()) };
    read(&mut asked);
    asked.looked_for.unwrap_or_default()
}

/// The parameters of an address, read one after the other.
#[derive(Debug)]
pub struct Asked<'a> {
    pairs: &'a [(String, String)],
    broken: Vec<Broken>,
    looked_for: Option<Vec<Parameter>>,
}

impl<'a> Asked<'a> {
    fn look_for(&mut self, name: &'static str, rule: impl FnOnce() -> Rule) {
        if let Some(all) = &mut self.looked_for
            && !all.iter().any(|one| one.name == name)
        {
            all.push(Parameter { name, rule: rule() });
        }
    }

    /// A parameter that is given at most once; `None` if it is absent or empty.
    fn one(&mut self, field: &'static str) -> Option<&'a str> {
        let mut values = self.pairs.iter().filter(|(name, _)| name == field).map(|(_, value)| value.trim());
        let value = values.next();
        if values.next().is_some() {
            self.refuse(field, "is given once");
        }
        value.filter(|value| !value.is_empty())
    }

    /// What `read` makes of a text, where the rule is a sentence; `None` if it is absent, empty or breaks the rule.
    pub fn said<T>(
        &mut self,
        field: &'static str,
        rule: &'static str,
        read: impl FnOnce(&'a str) -> Option<T>,
    ) -> Option<T> {
        self.look_for(field, || Rule::Said(rule));
        let value = read(self.one(field)?);
        if value.is_none() {
            self.refuse(field, rule);
        }
        value
    }

    /// Text of at most so many characters.
    pub fn text(&mut self, field: &'static str, most: usize) -> String {
        self.look_for(field, || Rule::Text(most));
        let text = self.one(field).unwrap_or_default();
        if text.chars().count() > most {
            self.refuse(field, format!("is at most {most} characters"));
            return String::new();
        }
        text.to_owned()
    }

    /// One of the given words, or the usual one.
    pub fn choice<T: Copy>(&mut self, field: &'static str, choices: &[(&str, T)], usual: T) -> T {
        self.look_for(field, || Rule::Choice(choices.iter().map(|(name, _)| (*name).to_owned()).collect()));
        let Some(word) = self.one(field) else { return usual };
        match choices.iter().find(|(name, _)| *name == word) {
            Some((_, value)) => *value,
            None => {
                let words: Vec<_> = choices.iter().map(|(name, _)| *name).collect();
                self.refuse(field, format!("is one of {}", words.join(", ")));
                usual
            }
        }
    }

    /// The id of a department, agency or service: a slug.
    pub fn slug(&mut self, field: &'static str) -> Option<String> {
        self.look_for(field, || Rule::Slug);
        let id = self.one(field)?;
        if is_slug(id) {
            return Some(id.to_owned());
        }
        self.refuse(field, "is an id: small letters, digits and hyphens");
        None
    }

    /// A whole number within bounds, or the usual one.
    pub fn number(&mut self, field: &'static str, bounds: RangeInclusive<usize>, usual: usize) -> usize {
        self.look_for(field, || Rule::Number(bounds.clone(), usual));
        let Some(text) = self.one(field) else { return usual };
        match text.parse() {
            Ok(n) if bounds.contains(&n) => n,
            _ => {
                self.refuse(field, format!("is a whole number from {} to {}", bounds.start(), bounds.end()));
                usual
            }
        }
    }

    /// Whether a rule of this field was broken already.
    #[must_use]
    pub fn has_refused(&self, field: &str) -> bool {
        self.broken.iter().any(|one| one.field == field)
    }

    /// Notes a broken rule.
    pub fn refuse(&mut self, field: &'static str, rule: impl Into<Cow<'static, str>>) {
        self.broken.push(Broken::new(field, rule));
    }
}

/// Bytes of an id at most: names of services are sentences.
pub const SLUG_MAX: usize = 250;

/// Whether a text can be an id.
#[must_use]
pub fn is_slug(text: &str) -> bool {
    let byte = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (1..=SLUG_MAX).contains(&text.len()) && text.bytes().all(byte)
}

/// An address with parameters, those without a value left out, percent-encoded.
#[must_use]
pub fn address(path: &str, pairs: &[(&str, &str)]) -> String {
    let mut out = path.to_owned();
    for (i, (name, value)) in pairs.iter().filter(|(_, value)| !value.is_empty()).enumerate() {
        out.push(if i == 0 { '?' } else { '&' });
        out.push_str(name);
        out.push('=');
        for byte in value.bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b',' => out.push(byte.into()),
                _ => out.push_str(&format!("%{byte:02X}")),
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(all: &[(&str, &str)]) -> Vec<(String, String)> {
        all.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn each_broken_rule_names_its_field() {
        let long = "x".repeat(101);
        let given = pairs(&[
            ("sort", "size"),
            ("q", &long),
            ("limit", "-1"),
            ("department", "'; DROP TABLE"),
            ("order", "asc"),
            ("order", "desc"),
        ]);
        let read = |asked: &mut Asked<'_>| {
            assert_eq!(asked.choice("sort", &[("name", 1), ("cost", 2)], 1), 1);
            asked.text("q", 100);
            asked.number("limit", 1..=1_000, 100);
            asked.slug("department");
            asked.said("order", "is a word", |word| Some(word.to_owned()));
        };
        let broken = parse(&given, read).unwrap_err();
        let fields: Vec<_> = broken.iter().map(|broken| broken.field).collect();
        assert_eq!(fields, ["sort", "q", "limit", "department", "order"]);
        assert_eq!(broken[0].rule, "is one of name, cost");
        let described: Vec<_> = parameters(read).into_iter().map(|one| one.name).collect();
        assert_eq!(described, fields, "what is read is described");
    }

    #[test]
    fn empty_is_absent() {
        let given = pairs(&[("q", "  "), ("limit", "")]);
        let read = parse(&given, |asked| (asked.text("q", 10), asked.number("limit", 1..=9, 4), asked.slug("none")));
        assert_eq!(read, Ok((String::new(), 4, None)));
    }

    #[test]
    fn every_id_of_the_catalogue_can_be_asked_for() {
        let catalogue = domain::catalogue::Catalogue::embedded();
        let services = catalogue.services().iter().map(|service| &service.id);
        let departments = catalogue.departments().iter().map(|department| &department.id);
        let agencies = catalogue.agencies().iter().map(|agency| &agency.id);
        services.chain(departments).chain(agencies).for_each(|id| assert!(is_slug(id), "{id}"));
        assert!(!is_slug("") && !is_slug(&"x".repeat(SLUG_MAX + 1)) && !is_slug("A"));
    }

    #[test]
    fn an_address_holds_any_text() {
        let text = "a&b=c \"<é";
        assert_eq!(address("/services", &[("q", text), ("sort", "")]), "/services?q=a%26b%3Dc%20%22%3C%C3%A9");
        assert_eq!(address("/services", &[]), "/services");
    }
}
