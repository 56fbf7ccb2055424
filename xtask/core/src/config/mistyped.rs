//! Describes a TOML value of the wrong type, and the line as it should be written.

use super::problems::Refusal;
use serde_json::{Number, Value};
use toml::Spanned;
use toml::de::{DeString, DeValue};

/// What a key may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    Text,
    TextOrInteger,
    Integer,
    Number,
    Boolean,
    Texts,
    /// In a table of the user's own keys.
    Scalar,
    /// Whatever JSON can hold.
    Json,
}

impl Expected {
    fn phrase(self) -> &'static str {
        match self {
            Self::Text => "a string",
            Self::TextOrInteger => "a string or an integer",
            Self::Integer => "an integer",
            Self::Number => "a number",
            Self::Boolean => "true or false",
            Self::Texts => "an array of strings",
            Self::Scalar => "a string, number or boolean",
            Self::Json => "a string, number, boolean, array or table",
        }
    }
}

/// Why `value` cannot be what `key` holds, which `guide` explains.
pub fn refuse(key: &str, value: &DeValue, expected: Expected, guide: &str) -> Refusal {
    let message = match (value, expected) {
        (DeValue::Integer(_), Expected::Integer | Expected::Number) => {
            "number out of range: it does not fit in 64 bits".to_owned()
        }
        (DeValue::Array(_), Expected::Texts) => {
            "expected an array of strings, found an array with other values".to_owned()
        }
        _ => format!("expected {}, found {}", expected.phrase(), phrase(value)),
    };
    Refusal::new(message, cure(key, value, expected, guide))
}

/// Why `value` cannot be the table `path`.
pub fn not_a_table(value: &DeValue, cure: String) -> Refusal {
    Refusal::new(format!("expected a table, found {}", phrase(value)), cure)
}

fn phrase(value: &DeValue) -> String {
    let name = value.type_str();
    let article = if name.starts_with(['a', 'i']) { "an" } else { "a" };
    format!("{article} {name}")
}

/// A string, a number or a boolean as text; nothing for a date, an array or a table.
pub fn scalar(value: &DeValue) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) => Some(number.to_string()),
        DeValue::Float(number) => Some(number.to_string()),
        DeValue::Boolean(flag) => Some(flag.to_string()),
        DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => None,
    }
}

/// The value as JSON; nothing for a date or a number that JSON cannot hold.
pub fn json(value: &DeValue) -> Option<Value> {
    Some(match value {
        DeValue::String(text) => Value::from(text.as_ref()),
        DeValue::Integer(number) => Value::from(i64::from_str_radix(number.as_str(), number.radix()).ok()?),
        DeValue::Float(number) => Value::from(Number::from_f64(number.as_str().parse().ok()?)?),
        DeValue::Boolean(flag) => Value::from(*flag),
        DeValue::Datetime(_) => return None,
        DeValue::Array(list) => list.iter().map(|item| json(item.get_ref())).collect::<Option<_>>()?,
        DeValue::Table(entries) => {
            let pair = |(key, value): (&Spanned<DeString>, &Spanned<DeValue>)| {
                Some((key.get_ref().to_string(), json(value.get_ref())?))
            };
            Value::Object(entries.iter().map(pair).collect::<Option<_>>()?)
        }
    })
}

/// The corrected line if only quotes or brackets are missing or too many.
fn cure(key: &str, value: &DeValue, expected: Expected, guide: &str) -> String {
    let text = match value {
        DeValue::Datetime(date) => Some(date.to_string()),
        _ => scalar(value),
    };
    let is_text = value.is_str();
    match (expected, text) {
        (Expected::Text | Expected::TextOrInteger | Expected::Scalar | Expected::Json, Some(text)) => {
            format!("put it in quotes: `{key} = \"{text}\"`")
        }
        (Expected::Texts, Some(text)) if is_text => format!("put it in brackets: `{key} = [\"{text}\"]`"),
        (_, Some(text)) if is_text && parses(&text, expected) => {
            format!("remove the quotes: `{key} = {text}`")
        }
        _ => format!("write {}; `{guide}` explains `{key}`", expected.phrase()),
    }
}

fn parses(text: &str, expected: Expected) -> bool {
    match expected {
        Expected::Integer => text.parse::<i64>().is_ok(),
        Expected::Number => text.parse::<f64>().is_ok(),
        Expected::Boolean => text.parse::<bool>().is_ok(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(value: &str, expected: Expected) -> String {
        let value = DeValue::parse(value).unwrap();
        let refusal = refuse("key", value.get_ref(), expected, "environments/dev.toml");
        format!("{} | {}", refusal.message, refusal.hint)
    }

    #[test]
    fn the_cure_is_the_line_as_it_should_be() {
        for (value, expected, told) in [
            ("7", Expected::Text, "expected a string, found an integer | put it in quotes: `key = \"7\"`"),
            ("'7'", Expected::Integer, "expected an integer, found a string | remove the quotes: `key = 7`"),
            (
                "'yes'",
                Expected::Boolean,
                "expected true or false, found a string | write true or false; `environments/dev.toml` explains `key`",
            ),
            (
                "'a'",
                Expected::Texts,
                "expected an array of strings, found a string | put it in brackets: `key = [\"a\"]`",
            ),
            (
                "[1]",
                Expected::Texts,
                "expected an array of strings, found an array with other values | \
                 write an array of strings; `environments/dev.toml` explains `key`",
            ),
            (
                "2026-01-01",
                Expected::Scalar,
                "expected a string, number or boolean, found a datetime | put it in quotes: `key = \"2026-01-01\"`",
            ),
            (
                "99999999999999999999",
                Expected::Integer,
                "number out of range: it does not fit in 64 bits | write an integer; `environments/dev.toml` explains `key`",
            ),
        ] {
            assert_eq!(said(value, expected), told);
        }
    }
}
