//! Checks of single values: each gives the value, or reports a problem.

use crate::config::document::Written;
use crate::config::file::{Boolean, Fraction, Number, Text, Texts};
use crate::config::problems::{Location, Problems, Refusal, Reported};
use std::fmt::Display;
use std::ops::RangeInclusive;

impl Problems {
    /// The value, or what is wrong with it reported as invalid.
    pub fn valid<T>(&mut self, location: &Location, checked: Result<T, Refusal>) -> Result<T, Reported> {
        checked.map_err(|refusal| self.invalid(location, refusal))
    }

    /// The value, if there is one.
    pub fn text<T>(
        &mut self,
        written: &Text,
        parse: impl Fn(&str) -> Result<T, Refusal>,
    ) -> Result<Option<T>, Reported> {
        let checked = written.as_ref().map(|written| self.valid(&written.location, parse(&written.value)));
        checked.transpose()
    }

    /// The value, or the default if there is none.
    pub fn choice<T>(
        &mut self,
        written: &Text,
        parse: impl Fn(&str) -> Result<T, Refusal>,
        default: T,
    ) -> Result<T, Reported> {
        self.text(written, parse).map(|value| value.unwrap_or(default))
    }

    /// The value, which must not be missing.
    pub fn required<T>(
        &mut self,
        value: Result<Option<T>, Reported>,
        key: &str,
        hint: impl FnOnce() -> &'static str,
    ) -> Result<T, Reported> {
        value?.ok_or_else(|| self.missing(key, hint()))
    }

    /// The valid values of a list, without duplicates; the others are reported. No more than `most` are
    /// allowed.
    pub fn texts<T: PartialEq + Display>(
        &mut self,
        written: &Texts,
        most: usize,
        parse: impl Fn(&str) -> Result<T, Refusal>,
    ) -> Vec<T> {
        let mut found = Vec::new();
        let Some(written) = written else { return found };
        for text in &written.value {
            match self.valid(&written.location, parse(text)) {
                Ok(value) if found.contains(&value) => {
                    let refusal = Refusal::new(format!("`{value}` is listed twice"), "remove one of the two");
                    self.invalid(&written.location, refusal);
                }
                Ok(value) => found.push(value),
                Err(Reported { .. }) => {}
            }
        }
        if written.value.len() > most {
            let message = format!("too many values: {}, the limit is {most}", written.value.len());
            self.invalid(&written.location, Refusal::new(message, "remove some of them"));
        }
        found
    }

    /// The number, if there is one. `unit` completes the sentence, as in `1 to 35 days`.
    pub fn number(
        &mut self,
        written: &Number,
        range: RangeInclusive<u32>,
        unit: &str,
    ) -> Result<Option<u32>, Reported> {
        let within = |number: i64| u32::try_from(number).ok().filter(|number| range.contains(number));
        let check = |written: &Written<i64>| {
            within(written.value).ok_or_else(|| out_of_range(written.value, &range, unit))
        };
        let checked = written.as_ref().map(|written| self.valid(&written.location, check(written)));
        checked.transpose()
    }

    /// The number, or the default if there is none.
    pub fn number_or(
        &mut self,
        written: &Number,
        default: u32,
        range: RangeInclusive<u32>,
        unit: &str,
    ) -> Result<u32, Reported> {
        self.number(written, range, unit).map(|number| number.unwrap_or(default))
    }

    /// The fraction, if there is one.
    pub fn fraction(
        &mut self,
        written: &Fraction,
        range: RangeInclusive<f64>,
        unit: &str,
    ) -> Result<Option<f64>, Reported> {
        let check = |written: &Written<f64>| {
            let within = range.contains(&written.value).then_some(written.value);
            within.ok_or_else(|| out_of_range(written.value, &range, unit))
        };
        let checked = written.as_ref().map(|written| self.valid(&written.location, check(written)));
        checked.transpose()
    }

    pub fn invalid(&mut self, location: &Location, refusal: Refusal) -> Reported {
        self.report("invalid_value", location, refusal)
    }

    /// Reports two keys that contradict each other, at the location of the one to change.
    pub fn conflict(
        &mut self,
        location: &Location,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> Reported {
        self.report("conflict", location, Refusal::new(message, hint))
    }

    /// Reports those of the keys that are written although they have no effect. `when` completes the
    /// sentence, as in `without a load balancer`.
    pub fn no_effect(&mut self, keys: &[(&str, Option<&Location>)], when: &str, hint: &str) {
        for (key, location) in keys {
            if let Some(location) = location {
                self.conflict(location, format!("`{key}` has no effect {when}"), hint);
            }
        }
    }
}

fn out_of_range<T: Display>(value: impl Display, range: &RangeInclusive<T>, unit: &str) -> Refusal {
    let (least, most) = (range.start(), range.end());
    let message = format!("`{value}` is out of range: {least} to {most} {unit}");
    Refusal::new(message.trim_end(), format!("use a number from {least} to {most}"))
}

/// The location of the key, if it is written.
pub fn at<T>(written: &Option<Written<T>>) -> Option<&Location> {
    written.as_ref().map(|written| &written.location)
}

/// The location of the key, if it is written with another value than the default.
pub fn at_unless<'w, T: PartialEq>(written: &'w Option<Written<T>>, default: &T) -> Option<&'w Location> {
    written.as_ref().filter(|written| written.value != *default).map(|written| &written.location)
}

pub fn flag(written: &Boolean, default: bool) -> bool {
    written.as_ref().map_or(default, |written| written.value)
}
