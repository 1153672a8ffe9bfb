//! Tables as CSV (RFC 4180): a head, then rows.
//!
//! Invariant: a field that a spreadsheet would take for a formula is kept text; a missing figure is an empty field,
//! never 0. It never rounds.

/// A table under way.
#[derive(Debug, Default)]
pub struct Csv(String);

impl Csv {
    /// A table with this head.
    #[must_use]
    pub fn new(head: &[&str]) -> Self {
        let mut csv = Self::default();
        csv.row(head);
        csv
    }

    /// One row.
    pub fn row<T: AsRef<str>>(&mut self, fields: &[T]) {
        for (i, field) in fields.iter().enumerate() {
            if i > 0 {
                self.0.push(',');
            }
            self.field(field.as_ref());
        }
        self.0.push_str("\r\n");
    }

    fn field(&mut self, text: &str) {
        let formula = text.starts_with(['=', '+', '@', '\t', '\r'])
            || text.starts_with('-') && text[1..].parse::<f64>().is_err() && text.len() > 1;
        if !formula && !text.contains([',', '"', '\r', '\n']) {
            self.0.push_str(text);
            return;
        }
        self.0.push('"');
        if formula {
            self.0.push('\'');
        }
        self.0.push_str(&text.replace('"', "\"\""));
        self.0.push('"');
    }

    /// The whole text.
    #[must_use]
    pub fn into_text(self) -> String {
        self.0
    }
}

/// A figure, or nothing.
#[must_use]
pub fn figure(n: Option<impl ToString>) -> String {
    n.map_or_else(String::new, |n| n.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_survive_commas_quotes_and_spreadsheets() {
        let mut csv = Csv::new(&["name", "n"]);
        csv.row(&["a, \"b\"\nc", &figure(Some(-5))]);
        csv.row(&["=1+1", &figure(None::<u64>)]);
        assert_eq!(csv.into_text(), "name,n\r\n\"a, \"\"b\"\"\nc\",-5\r\n\"'=1+1\",\r\n");
    }
}
