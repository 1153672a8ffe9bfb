//! Reads the comma-separated files of `config/`: `#` lines are comments, the first other line is the header, a field
//! with a comma stands in double quotes, and a record is one line.
//!
//! Invariant: every error names file, line, column and rule. It never guesses, trims or skips a record.

use std::borrow::Cow;
use std::str::FromStr;

use crate::time::Day;

/// What is wrong with a file of the catalogue.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}, line {line}, column {column}: {rule}")]
pub struct Error {
    /// Name of the file.
    pub file: &'static str,
    /// From 1.
    pub line: usize,
    /// Name of the column, or the number of the field where there is no such column.
    pub column: String,
    /// The rule that is broken.
    pub rule: Rule,
}

/// A rule that a file of the catalogue keeps.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rule {
    /// The file has no header.
    #[error("the header is missing")]
    HeaderMissing,
    /// The header differs.
    #[error("the header says {found:?} where {expected:?} is expected")]
    Header {
        /// What belongs there.
        expected: &'static str,
        /// What stands there.
        found: String,
    },
    /// A record is too short or too long.
    #[error("the record has {found} fields and needs {expected}")]
    Fields {
        /// By the header.
        expected: usize,
        /// In the record.
        found: usize,
    },
    /// A quote does not open at the start of a field, or does not close at its end.
    #[error("a quoted field opens at its start and closes at its end, on one line")]
    Quote,
    /// A field that must say something is empty.
    #[error("must not be empty")]
    Empty,
    /// Not a number, or too large.
    #[error("{0:?} is not a number of the right size")]
    Number(String),
    /// Not in the closed list.
    #[error("{found:?} is not one of {allowed}")]
    Unknown {
        /// What stands there.
        found: String,
        /// The list.
        allowed: String,
    },
    /// Points to nothing.
    #[error("{0:?} stands in no other file")]
    Dangling(String),
    /// Stands twice.
    #[error("{0:?} stands here a second time")]
    Duplicate(String),
    /// Not ascending.
    #[error("{0:?} is out of order: numbers ascend")]
    Order(String),
    /// Not a slug.
    #[error("{0:?} is not an id: a to z, 0 to 9 and hyphens")]
    Id(String),
    /// Belongs to what the program makes itself.
    #[error("{0:?} is an id of a sandbox, which every department has without being listed")]
    SandboxId(String),
    /// Ends before it begins, or overlaps another.
    #[error("{0:?}: a period ends after it begins, and the owners of a service follow one another")]
    Period(String),
    /// Longer than a tile of the wallboard holds.
    #[error("{0:?} is longer than {1} characters")]
    TooLong(String, usize),
    /// Outside the range of its kind of number.
    #[error("{0} is reserved or out of range")]
    Reserved(u64),
    /// Not a date, or not a month.
    #[error("{0:?} is not a date of the form {1}")]
    Date(String, &'static str),
    /// Not a path.
    #[error("{0:?} is not a path: it starts with a slash and has no query")]
    Path(String),
}

/// One record of a file.
#[derive(Debug)]
pub(crate) struct Row<'a> {
    file: &'static str,
    line: usize,
    columns: &'static [&'static str],
    fields: Vec<Cow<'a, str>>,
}

impl Row<'_> {
    /// The field as it stands, perhaps empty.
    pub(crate) fn text(&self, column: usize) -> &str {
        &self.fields[column]
    }

    /// The field, which must say something.
    pub(crate) fn filled(&self, column: usize) -> Result<&str, Error> {
        let text = self.text(column);
        if text.is_empty() { Err(self.breaks(column, Rule::Empty)) } else { Ok(text) }
    }

    /// The field as a slug.
    pub(crate) fn id(&self, column: usize) -> Result<&str, Error> {
        let text = self.filled(column)?;
        let is_slug = text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if is_slug { Ok(text) } else { Err(self.breaks(column, Rule::Id(text.to_owned()))) }
    }

    /// The field as a number.
    pub(crate) fn number<T: FromStr>(&self, column: usize) -> Result<T, Error> {
        let text = self.filled(column)?;
        text.parse().map_err(|_| self.breaks(column, Rule::Number(text.to_owned())))
    }

    /// The field as a number, if it says anything.
    pub(crate) fn number_if_any<T: FromStr>(&self, column: usize) -> Result<Option<T>, Error> {
        if self.text(column).is_empty() { Ok(None) } else { self.number(column).map(Some) }
    }

    /// The field as a date, if it says anything.
    pub(crate) fn day_if_any(&self, column: usize) -> Result<Option<Day>, Error> {
        if self.text(column).is_empty() { Ok(None) } else { self.day(column).map(Some) }
    }

    /// The field as one word of a closed list, if it says anything.
    pub(crate) fn word<T: Copy>(&self, column: usize, list: &[(&'static str, T)]) -> Result<Option<T>, Error> {
        let text = self.text(column);
        if text.is_empty() {
            return Ok(None);
        }
        let found = list.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        found.map(Some).ok_or_else(|| {
            let allowed = list.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(", ");
            self.breaks(column, Rule::Unknown { found: text.to_owned(), allowed })
        })
    }

    /// The field as a date written `2014-04-01`.
    pub(crate) fn day(&self, column: usize) -> Result<Day, Error> {
        let text = self.filled(column)?;
        Day::parse(text).ok_or_else(|| self.breaks(column, Rule::Date(text.to_owned(), "2014-04-01")))
    }

    /// The field as the first day of a month written `2014-04`.
    pub(crate) fn month(&self, column: usize) -> Result<Day, Error> {
        let text = self.filled(column)?;
        let first = if text.len() == 7 { Day::parse(&format!("{text}-01")) } else { None };
        first.ok_or_else(|| self.breaks(column, Rule::Date(text.to_owned(), "2014-04")))
    }

    /// The error that says that this field breaks a rule.
    pub(crate) fn breaks(&self, column: usize, rule: Rule) -> Error {
        Error { file: self.file, line: self.line, column: self.columns[column].to_owned(), rule }
    }
}

/// Reads the records of a file whose header is `columns`.
pub(crate) fn read<'a>(
    file: &'static str,
    text: &'a str,
    columns: &'static [&'static str],
) -> Result<Vec<Row<'a>>, Error> {
    let at = |line, column: String, rule| Error { file, line, column, rule };
    let mut lines = text
        .lines()
        .enumerate()
        .map(|(index, line)| (index + 1, line))
        .filter(|(_, line)| !line.starts_with('#') && !line.is_empty());
    let Some((line, header)) = lines.next() else {
        return Err(at(1, columns[0].to_owned(), Rule::HeaderMissing));
    };
    let header = split(header).map_err(|field| at(line, field.to_string(), Rule::Quote))?;
    if header.len() != columns.len() {
        let rule = Rule::Fields { expected: columns.len(), found: header.len() };
        return Err(at(line, header.len().to_string(), rule));
    }
    for (expected, found) in columns.iter().zip(&header) {
        if expected != found {
            let rule = Rule::Header { expected, found: found.clone().into_owned() };
            return Err(at(line, (*expected).to_owned(), rule));
        }
    }
    lines
        .map(|(line, record)| {
            let fields = split(record).map_err(|field| {
                let column = columns.get(field - 1).map_or_else(|| field.to_string(), |name| (*name).to_owned());
                at(line, column, Rule::Quote)
            })?;
            if fields.len() != columns.len() {
                let rule = Rule::Fields { expected: columns.len(), found: fields.len() };
                return Err(at(line, fields.len().to_string(), rule));
            }
            Ok(Row { file, line, columns, fields })
        })
        .collect()
}

/// Splits a record; the error is the number (from 1) of the field whose quotes are wrong.
fn split(record: &str) -> Result<Vec<Cow<'_, str>>, usize> {
    let mut fields = Vec::with_capacity(12);
    let mut rest = record;
    loop {
        let field = fields.len() + 1;
        let (text, after) = match rest.strip_prefix('"') {
            Some(quoted) => split_quoted(quoted).ok_or(field)?,
            None => {
                let end = rest.find(',').unwrap_or(rest.len());
                (Cow::Borrowed(&rest[..end]), &rest[end..])
            }
        };
        if text.contains('"') && !rest.starts_with('"') {
            return Err(field);
        }
        fields.push(text);
        match after.strip_prefix(',') {
            Some(next) => rest = next,
            None if after.is_empty() => return Ok(fields),
            None => return Err(field),
        }
    }
}

/// The text up to the closing quote, and what follows it; a doubled quote stands for one.
fn split_quoted(quoted: &str) -> Option<(Cow<'_, str>, &str)> {
    let mut from = 0;
    loop {
        let close = from + quoted[from..].find('"')?;
        if !quoted[close + 1..].starts_with('"') {
            let text = &quoted[..close];
            let text = if from == 0 { Cow::Borrowed(text) } else { Cow::Owned(text.replace("\"\"", "\"")) };
            return Some((text, &quoted[close + 1..]));
        }
        from = close + 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: &[&str] = &["number", "name"];

    fn names(text: &str) -> Result<Vec<String>, Error> {
        read("f.csv", text, COLUMNS)?.iter().map(|row| row.filled(1).map(str::to_owned)).collect()
    }

    #[test]
    fn quoted_fields_keep_their_commas_and_quotes() {
        let text = "# note\nnumber,name\n1,plain\n2,\"a, b\"\r\n\n3,\"say \"\"yes\"\"\"\n4,\"\"\"x\"\n";
        assert_eq!(names(text).unwrap(), ["plain", "a, b", "say \"yes\"", "\"x"]);
    }

    #[test]
    fn errors_name_file_line_column_and_rule() {
        let says = |text| names(text).unwrap_err().to_string();
        assert_eq!(says("number,name\n1,\n"), "f.csv, line 2, column name: must not be empty");
        assert_eq!(says("# x\n"), "f.csv, line 1, column number: the header is missing");
        assert!(says("number,nom\n").starts_with("f.csv, line 1, column name: the header says \"nom\""));
        assert!(says("number,name\n# x\n1,a,b\n").starts_with("f.csv, line 3, column 3: the record has 3 fields"));
        assert!(says("number,name\n1,\"a\n").starts_with("f.csv, line 2, column name: a quoted field"));
        assert!(says("number,name\n1,\"a\"b\n").starts_with("f.csv, line 2, column name: a quoted field"));
        assert!(says("number,name\n1,a\"b\n").starts_with("f.csv, line 2, column name: a quoted field"));
    }

    #[test]
    fn a_number_that_does_not_fit_is_refused() {
        let rows = read("f.csv", "number,name\n256,x\n,y\n", COLUMNS).unwrap();
        assert_eq!(rows[0].number::<u8>(0).unwrap_err().rule, Rule::Number("256".into()));
        assert_eq!(rows[0].number::<u16>(0), Ok(256));
        assert_eq!(rows[1].number_if_any::<u8>(0), Ok(None));
        assert_eq!(rows[1].number::<u8>(0).unwrap_err().rule, Rule::Empty);
    }
}
