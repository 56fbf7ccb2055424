//! Checks of single values, each ending in a value or a noted problem.

use crate::config::document::Written;
use crate::config::problems::{Place, Problems, Wrong};
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
            let (least, most) = range.into_inner();
            let message = format!("`{}` is out of range: {least} to {most} {unit}", written.value);
            let hint = format!("write a number from {least} to {most}");
            self.invalid(&written.place, Wrong::new(message, hint));
        }
        within
    }

    pub fn invalid(&mut self, place: &Place, wrong: Wrong) {
        self.report("invalid_value", place, wrong);
    }

    /// Two keys that do not go together; told at the place of the one to change.
    pub fn conflict(&mut self, place: &Place, wrong: Wrong) {
        self.report("conflict", place, wrong);
    }
}
