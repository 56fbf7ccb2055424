//! Checks of single values, each ending in a value or a noted problem.

use crate::config::document::Written;
use crate::config::problems::{Place, Problems, Wrong};
use std::fmt::Display;
use std::ops::RangeInclusive;

impl Problems {
    /// The value, if it is written and parses.
    pub fn text<T>(
        &mut self,
        written: Option<&Written<String>>,
        parse: impl Fn(&str) -> Result<T, Wrong>,
    ) -> Option<T> {
        let written = written?;
        parse(&written.value).map_err(|wrong| self.invalid(&written.place, wrong)).ok()
    }

    /// The value, or the default where none is written; nothing where one is written that is wrong, so
    /// that nothing is concluded from a default which was not meant.
    pub fn choice<T>(
        &mut self,
        written: Option<&Written<String>>,
        parse: impl Fn(&str) -> Result<T, Wrong>,
        default: T,
    ) -> Option<T> {
        if written.is_some() { self.text(written, parse) } else { Some(default) }
    }

    /// Those values of a list that parse. None may be there twice, and no more than `most`.
    pub fn texts<T: PartialEq + Display>(
        &mut self,
        written: Option<&Written<Vec<String>>>,
        most: usize,
        parse: impl Fn(&str) -> Result<T, Wrong>,
    ) -> Vec<T> {
        let mut found = Vec::new();
        let Some(written) = written else { return found };
        for text in &written.value {
            match parse(text) {
                Ok(value) if found.contains(&value) => {
                    let message = format!("`{value}` is listed twice");
                    self.invalid(&written.place, Wrong::new(message, "remove one of the two"));
                }
                Ok(value) => found.push(value),
                Err(wrong) => self.invalid(&written.place, wrong),
            }
        }
        if written.value.len() > most {
            let message = format!("lists {}, {most} at most", written.value.len());
            self.invalid(&written.place, Wrong::new(message, "remove some"));
        }
        found
    }

    /// The value, if it is written and within the range. `unit` completes the sentence, such as `days`.
    pub fn number(
        &mut self,
        written: Option<&Written<i64>>,
        range: RangeInclusive<u32>,
        unit: &str,
    ) -> Option<u32> {
        let written = written?;
        let within = u32::try_from(written.value).ok().filter(|number| range.contains(number));
        if within.is_none() {
            self.out_of_range(&written.place, written.value, range, unit);
        }
        within
    }

    /// The same for a number with a fraction.
    pub fn fraction(
        &mut self,
        written: Option<&Written<f64>>,
        range: RangeInclusive<f64>,
        unit: &str,
    ) -> Option<f64> {
        let written = written?;
        let within = range.contains(&written.value);
        if !within {
            self.out_of_range(&written.place, written.value, range, unit);
        }
        within.then_some(written.value)
    }

    fn out_of_range<T: Display>(
        &mut self,
        place: &Place,
        value: impl Display,
        range: RangeInclusive<T>,
        unit: &str,
    ) {
        let (least, most) = range.into_inner();
        let message = format!("`{value}` is out of range: {least} to {most} {unit}");
        self.invalid(place, Wrong::new(message.trim_end(), format!("write a number from {least} to {most}")));
    }

    pub fn invalid(&mut self, place: &Place, wrong: Wrong) {
        self.report("invalid_value", place, wrong);
    }

    /// Two keys that do not go together; told at the place of the one to change.
    pub fn conflict(&mut self, place: &Place, wrong: Wrong) {
        self.report("conflict", place, wrong);
    }

    /// Keys that have no effect beside another, if they are written.
    pub fn idle(&mut self, keys: &[(&str, Option<&Place>)], because: &str, hint: &str) {
        for (key, place) in keys {
            if let Some(place) = place {
                self.conflict(place, Wrong::new(format!("`{key}` has no effect {because}"), hint));
            }
        }
    }
}

/// Where the key is written, if it is.
pub fn at<T>(written: Option<&Written<T>>) -> Option<&Place> {
    written.map(|written| &written.place)
}

/// Where the key is written, unless with the value that it has by default.
pub fn at_unless<'w, T: PartialEq>(written: Option<&'w Written<T>>, default: &T) -> Option<&'w Place> {
    at(written.filter(|written| written.value != *default))
}

pub fn truth(written: Option<&Written<bool>>, default: bool) -> bool {
    written.map_or(default, |written| written.value)
}
