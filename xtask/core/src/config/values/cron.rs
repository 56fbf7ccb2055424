//! Recurring times in the cron format of Auto Scaling, and time zones.

use super::checked::checked_text;
use crate::config::problems::Refusal;
use std::ops::RangeInclusive;

checked_text! {
    /// Five fields: minute, hour, day of the month, month, day of the week.
    Cron
}

checked_text! {
    /// A name in the form of the IANA time zone database.
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
    /// Accepts `*`, values, ranges, and lists of these, each with an optional step.
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
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        let hint = "write minute, hour, day of the month, month and day of the week, \
                    such as `0 20 * * MON-FRI`";
        let fields: Vec<&str> = text.split(' ').filter(|field| !field.is_empty()).collect();
        if fields.len() != FIELDS.len() {
            let message = format!("expected five fields, found {}: `{text}`", fields.len());
            return Err(Refusal::new(message, hint));
        }
        match FIELDS.iter().zip(&fields).find(|(field, text)| !field.takes(text)) {
            None => Ok(Self(fields.join(" "))),
            Some((field, part)) => Err(Refusal::new(format!("invalid {}: `{part}`", field.name), hint)),
        }
    }
}

impl TimeZone {
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "_+-".contains(c);
        let part = |part: &str| part.starts_with(|c: char| c.is_ascii_uppercase()) && part.chars().all(plain);
        let parts = text.split('/').count();
        // Abbreviations such as CEST are not in the database; UTC and GMT are.
        if text.len() <= 64 && text.split('/').all(part) && (parts > 1 || text == "UTC" || text == "GMT") {
            return Ok(Self(text.to_owned()));
        }
        let hint = "use `UTC` or a name like `Europe/Berlin` from \
                    https://en.wikipedia.org/wiki/List_of_tz_database_time_zones";
        Err(Refusal::new(format!("invalid time zone: `{text}`"), hint))
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
        assert!(Cron::parse("0 25 * * *").unwrap_err().message.contains("invalid hour: `25`"));
    }

    #[test]
    fn time_zones() {
        for good in ["UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires", "Etc/GMT+5"] {
            assert!(TimeZone::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "CEST", "europe/berlin", "Europe/", "+01:00", "Berlin"] {
            assert!(TimeZone::parse(bad).is_err(), "{bad}");
        }
    }
}
