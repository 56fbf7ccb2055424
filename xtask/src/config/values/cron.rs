//! Times that come again, in the five fields of Auto Scaling, and zones of time.

use super::super::problems::Wrong;
use super::checked_text;
use std::ops::RangeInclusive;

checked_text! {
    /// Minute, hour, day of the month, month, day of the week.
    Cron
}

checked_text! {
    /// A zone of the IANA database, by the form of its name.
    TimeZone
}

struct Field {
    name: &'static str,
    range: RangeInclusive<u8>,
    words: &'static [&'static str],
}

const MONTHS: [&str; 12] =
    ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
const DAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

const FIELDS: [Field; 5] = [
    Field { name: "minute", range: 0..=59, words: &[] },
    Field { name: "hour", range: 0..=23, words: &[] },
    Field { name: "day of the month", range: 1..=31, words: &[] },
    Field { name: "month", range: 1..=12, words: &MONTHS },
    Field { name: "day of the week", range: 0..=7, words: &DAYS },
];

impl Field {
    /// `*`, a value, a range, a list of these, each perhaps with a step.
    fn takes(&self, text: &str) -> bool {
        text.split(',').all(|part| {
            let (values, step) = part.split_once('/').unwrap_or((part, "1"));
            let ends = match values.split_once('-') {
                Some((first, last)) => (self.value(first), self.value(last)),
                None if values == "*" => (Some(*self.range.start()), Some(*self.range.end())),
                None => (self.value(values), self.value(values)),
            };
            let step = number(step).is_some_and(|step| step > 0 && step <= *self.range.end());
            step && matches!(ends, (Some(first), Some(last)) if first <= last)
        })
    }

    fn value(&self, text: &str) -> Option<u8> {
        let word = self.words.iter().position(|word| word.eq_ignore_ascii_case(text));
        let word = word.and_then(|at| u8::try_from(at).ok()).map(|at| at + self.range.start());
        word.or_else(|| number(text)).filter(|value| self.range.contains(value))
    }
}

fn number(text: &str) -> Option<u8> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok())?
}

impl Cron {
    pub fn parse(text: &str) -> Result<Self, Wrong> {
        let hint = "write five fields, like `0 20 * * MON-FRI`: \
                    minute, hour, day of the month, month, day of the week";
        let fields: Vec<&str> = text.split(' ').filter(|field| !field.is_empty()).collect();
        if fields.len() != FIELDS.len() {
            let message = format!("`{text}` has not five fields but {}", fields.len());
            return Err(Wrong::new(message, hint));
        }
        match FIELDS.iter().zip(&fields).find(|(field, text)| !field.takes(text)) {
            None => Ok(Self(fields.join(" "))),
            Some((field, part)) => {
                Err(Wrong::new(format!("`{part}` is no {} of a schedule", field.name), hint))
            }
        }
    }
}

impl TimeZone {
    pub fn parse(text: &str) -> Result<Self, Wrong> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "_+-".contains(c);
        let part = |part: &str| part.starts_with(|c: char| c.is_ascii_uppercase()) && part.chars().all(plain);
        let parts = text.split('/').count();
        // Abbreviations such as CEST are no zones; UTC and a few three letters of IANA's are.
        if text.len() <= 64 && text.split('/').all(part) && (parts > 1 || text == "UTC" || text == "GMT") {
            return Ok(Self(text.to_owned()));
        }
        let hint = "write `UTC` or a name like `Europe/Berlin`; https://en.wikipedia.org/wiki/List_of_tz_database_time_zones";
        Err(Wrong::new(format!("`{text}` is no zone of the IANA database"), hint))
    }
}

impl Default for TimeZone {
    fn default() -> Self {
        Self("UTC".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedules() {
        for good in
            ["0 20 * * *", "0 6 * * MON-FRI", "*/15 0-6 1,15 JAN,JUL 1-5", "0  7 * * 7", "59 23 31 12 sun"]
        {
            assert!(Cron::parse(good).is_ok(), "{good}");
        }
        assert_eq!(Cron::parse("0  7 * *  1").unwrap().as_str(), "0 7 * * 1");
        for bad in [
            "",
            "@daily",
            "0 20 * *",
            "0 20 * * * *",
            "60 1 * * *",
            "0 24 * * *",
            "0 0 0 * *",
            "0 0 * * FUN",
            "5-1 * * * *",
            "*/0 * * * *",
            "+1 * * * *",
            "1, * * * *",
        ] {
            assert!(Cron::parse(bad).is_err(), "{bad}");
        }
        assert!(Cron::parse("0 25 * * *").unwrap_err().message.contains("`25` is no hour"));
    }

    #[test]
    fn zones_of_time() {
        for good in ["UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires", "Etc/GMT+5"] {
            assert!(TimeZone::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "CEST", "europe/berlin", "Europe/", "+01:00", "Berlin"] {
            assert!(TimeZone::parse(bad).is_err(), "{bad}");
        }
    }
}
