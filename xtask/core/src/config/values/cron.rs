//! Recurring times in the cron format of Auto Scaling, and time zones.

use super::checked::checked_text;
use crate::config::problems::Refusal;
use std::collections::BTreeSet;
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
        text.split(',').all(|part| self.values(part).is_some())
    }

    /// The values that one part of a list stands for.
    fn values(&self, part: &str) -> Option<Vec<u8>> {
        let (values, step) = part.split_once('/').unwrap_or((part, "1"));
        let (first, last) = match values.split_once('-') {
            Some((first, last)) => (self.value(first)?, self.value(last)?),
            None if values == "*" => (*self.range.start(), *self.range.end()),
            None => (self.value(values)?, self.value(values)?),
        };
        let step = number(step).filter(|step| *step > 0 && step <= self.range.end())?;
        (first <= last).then(|| (first..=last).step_by(step.into()).collect())
    }

    /// All values of a list one by one, or `*` for each that there is.
    fn listed(&self, text: &str) -> String {
        let is_weekday = self.words.len() == DAYS.len();
        // Sunday is both 0 and 7.
        let plain = |value: u8| if is_weekday { value % 7 } else { value };
        let given: BTreeSet<u8> =
            text.split(',').filter_map(|part| self.values(part)).flatten().map(plain).collect();
        if self.range.clone().all(|value| given.contains(&plain(value))) {
            return "*".to_owned();
        }
        let word = |value: &u8| match DAYS.get(usize::from(*value)) {
            Some(day) if is_weekday => (*day).to_owned(),
            _ => value.to_string(),
        };
        given.iter().map(word).collect::<Vec<_>>().join(",")
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

impl Cron {
    /// The same for Application Auto Scaling: six fields, in which days of the week have other numbers. It takes
    /// days of the month or of the week, but not both at once.
    #[must_use]
    pub fn application_auto_scaling(&self) -> Option<String> {
        let fields = FIELDS.iter().zip(self.0.split(' '));
        let listed: Vec<String> = fields.map(|(field, text)| field.listed(text)).collect();
        let [minute, hour, day, month, weekday] = listed.as_slice() else { return None };
        let (day, weekday) = match (day.as_str(), weekday.as_str()) {
            (day, "*") => (day, "?"),
            ("*", weekday) => ("?", weekday),
            _ => return None,
        };
        Some(format!("cron({minute} {hour} {day} {month} {weekday} *)"))
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
    fn schedules_for_services() {
        let written = |text: &str| Cron::parse(text).unwrap().application_auto_scaling();
        for (ours, theirs) in [
            ("0 20 * * *", "cron(0 20 * * ? *)"),
            ("0 20 * * MON-FRI", "cron(0 20 ? * MON,TUE,WED,THU,FRI *)"),
            ("0 7 * * 1-5", "cron(0 7 ? * MON,TUE,WED,THU,FRI *)"),
            ("0 7 * * 5-7", "cron(0 7 ? * SUN,FRI,SAT *)"),
            ("0 7 * * 0-6", "cron(0 7 * * ? *)"),
            ("*/20 0-6/3 1,15 JAN,JUL *", "cron(0,20,40 0,3,6 1,15 1,7 ? *)"),
        ] {
            assert_eq!(written(ours).as_deref(), Some(theirs), "{ours}");
        }
        assert_eq!(written("0 7 1 * MON"), None, "the first of a month, and every Monday");
    }

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
