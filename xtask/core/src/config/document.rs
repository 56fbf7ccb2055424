//! Reads a TOML document key by key and reports everything that does not fit; serde would stop at the first.
//!
//! The known keys are those the reader asks for: there is no second list of them.

use super::mistyped::{self, Expected};
use super::problems::{Location, Problems, Refusal, Reported};
use super::words::{list, nearest};
use serde_json::Value;
use toml::Spanned;
use toml::de::{DeInteger, DeString, DeTable, DeValue};

/// A value together with its location in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written<T> {
    pub value: T,
    pub location: Location,
}

/// Reads `text`. `read` asks for every key it knows and gets those that fit.
///
/// # Errors
/// The document is not TOML: every syntax error has been reported with its line, and nothing was read.
pub fn read<T>(
    text: &str,
    problems: &mut Problems,
    read: impl FnOnce(&mut Table) -> T,
) -> Result<T, Reported> {
    let (root, errors) = DeTable::parse_recoverable(text);
    let report = |error: &toml::de::Error| {
        let line = error.span().map(|span| line_at(text, span.start));
        let hint = "correct the line; the syntax is described at https://toml.io";
        let refusal = Refusal::new(format!("invalid TOML: {}", error.message()), hint);
        problems.report("invalid_toml", &Location { key: String::new(), line }, refusal)
    };
    if let Some(reported) = errors.iter().map(report).last() {
        return Err(reported);
    }
    let mut reading = Reading { text, problems, asked: Vec::new(), unknown: Vec::new() };
    let value = Table::new(&mut reading, String::new(), Some(root.get_ref())).read(read);
    reading.report_unknown();
    Ok(value)
}

/// Every key that `read` asks for, without the tables themselves.
#[must_use]
pub fn keys_of<T>(read: impl FnOnce(&mut Table) -> T) -> Vec<String> {
    let mut problems = Problems::new("");
    let mut reading = Reading { text: "", problems: &mut problems, asked: Vec::new(), unknown: Vec::new() };
    Table::new(&mut reading, String::new(), None).read(read);
    reading.asked
}

struct Reading<'d> {
    text: &'d str,
    problems: &'d mut Problems,
    /// Every key that was asked for, dotted.
    asked: Vec<String>,
    /// Keys that nobody asked for, each with the known keys of its table.
    unknown: Vec<(Location, Vec<String>)>,
}

impl Reading<'_> {
    fn report_unknown(&mut self) {
        for (location, siblings) in std::mem::take(&mut self.unknown) {
            let name = location.key.rsplit('.').next().unwrap_or_default().to_owned();
            let hint = match (nearest(&name, &siblings), self.other_tables_with(&name).as_slice()) {
                (Some(near), _) => format!("rename it to `{near}`, or remove it"),
                (None, []) => format!("remove it; the keys here are {}", list(&siblings)),
                (None, others) => format!("write it as {}, or remove it", list(others)),
            };
            self.problems.report("unknown_key", &location, Refusal::new("unknown key", hint));
        }
    }

    /// The dotted keys of other tables that end in this name.
    fn other_tables_with(&self, name: &str) -> Vec<String> {
        let ends = |key: &&String| key.rsplit('.').next() == Some(name);
        self.asked.iter().filter(ends).cloned().collect()
    }
}

/// One table of the document; one that is not written is read as if it were empty.
pub struct Table<'a, 'd> {
    reading: &'a mut Reading<'d>,
    path: String,
    entries: Option<&'d DeTable<'d>>,
    keys: Vec<String>,
    moved: Vec<&'static str>,
}

impl<'a, 'd> Table<'a, 'd> {
    fn new(reading: &'a mut Reading<'d>, path: String, entries: Option<&'d DeTable<'d>>) -> Self {
        Self { reading, path, entries, keys: Vec::new(), moved: Vec::new() }
    }

    fn read<T>(mut self, read: impl FnOnce(&mut Table) -> T) -> T {
        let value = read(&mut self);
        for (key, _) in self.entries.into_iter().flatten() {
            let name = key.get_ref().as_ref();
            if !self.keys.iter().any(|known| known == name) && !self.moved.contains(&name) {
                self.reading.unknown.push((self.location(key), self.keys.clone()));
            }
        }
        value
    }

    pub fn string(&mut self, key: &str) -> Option<Written<String>> {
        self.scalar(key, Expected::Text, |value| value.as_str().map(str::to_owned))
    }

    pub fn boolean(&mut self, key: &str) -> Option<Written<bool>> {
        self.scalar(key, Expected::Boolean, |value| match value {
            DeValue::Boolean(flag) => Some(*flag),
            _ => None,
        })
    }

    /// An integer that fits in 64 bits.
    pub fn integer(&mut self, key: &str) -> Option<Written<i64>> {
        self.scalar(key, Expected::Integer, |value| whole(value.as_integer()?))
    }

    /// A float or an integer.
    pub fn fraction(&mut self, key: &str) -> Option<Written<f64>> {
        self.scalar(key, Expected::Number, |value| match value {
            DeValue::Float(number) => number.as_str().parse().ok(),
            DeValue::Integer(number) => whole(number).map(|number| number as f64),
            _ => None,
        })
    }

    /// A name that may look like a number, such as a version: `17` is `"17"`.
    pub fn word(&mut self, key: &str) -> Option<Written<String>> {
        self.scalar(key, Expected::TextOrInteger, |value| match value {
            DeValue::String(_) | DeValue::Integer(_) => mistyped::scalar(value),
            _ => None,
        })
    }

    pub fn strings(&mut self, key: &str) -> Option<Written<Vec<String>>> {
        self.scalar(key, Expected::Texts, |value| {
            let list = value.as_array()?;
            list.iter().map(|item| item.get_ref().as_str().map(str::to_owned)).collect()
        })
    }

    /// Whatever JSON can hold.
    pub fn json(&mut self, key: &str) -> Option<Written<Value>> {
        self.scalar(key, Expected::Json, mistyped::json)
    }

    /// A table of values that the user names.
    pub fn values(&mut self, key: &str) -> Vec<(String, Written<Value>)> {
        self.table(key, |table| {
            let names = table.names();
            names.into_iter().filter_map(|name| table.json(&name).map(|value| (name, value))).collect()
        })
    }

    /// A table of tables that the user names, each read alike.
    pub fn each<T>(&mut self, key: &str, read: impl Fn(&mut Table) -> T) -> Vec<(Written<String>, T)> {
        self.table(key, |table| {
            let names = table.names();
            names.iter().filter_map(|name| table.one_of(name, name, &read)).collect()
        })
    }

    fn names(&self) -> Vec<String> {
        self.entries.into_iter().flatten().map(|(name, _)| name.get_ref().to_string()).collect()
    }

    pub fn table<T>(&mut self, key: &str, read: impl FnOnce(&mut Table) -> T) -> T {
        let entries = self.entries_of(key, key);
        Table::new(self.reading, self.dotted(key), entries).read(read)
    }

    /// A table of tables that the user names, each read alike. `always` is read even if it is not written,
    /// and stands for all of them where keys are listed.
    pub fn named<T>(
        &mut self,
        key: &str,
        always: &str,
        read: impl Fn(&mut Table) -> T,
    ) -> Vec<(Written<String>, T)> {
        self.table(key, |table| {
            let written = table.entries.into_iter().flatten().map(|(name, _)| name.get_ref().as_ref());
            let mut names: Vec<&str> = written.filter(|name| *name != always).collect();
            names.push(always);
            names.into_iter().filter_map(|name| table.one_of(name, always, &read)).collect()
        })
    }

    fn one_of<T>(
        &mut self,
        name: &str,
        always: &str,
        read: impl Fn(&mut Table) -> T,
    ) -> Option<(Written<String>, T)> {
        let asked = self.reading.asked.len();
        let entries = self.entries_of(name, always);
        let found = self.find(name);
        if found.is_some() && entries.is_none() {
            return None;
        }
        let missing = || Location::missing(&self.dotted(name));
        let location = found.map_or_else(missing, |(location, _)| location);
        let value = Table::new(self.reading, self.dotted(name), entries).read(read);
        if name != always {
            self.reading.asked.truncate(asked);
        }
        Some((Written { value: name.to_owned(), location }, value))
    }

    /// A key or table of an earlier version, and the key that replaces it.
    pub fn moved(&mut self, key: &'static str, to: &str, cure: &str) {
        self.moved.push(key);
        if let Some((location, _)) = self.find(key) {
            let refusal = Refusal::new(format!("moved to `{to}`"), cure);
            self.reading.problems.report("moved_key", &location, refusal);
        }
    }

    /// A key that another tool's file has under another name.
    pub fn renamed(&mut self, key: &'static str, to: &str) {
        self.moved(key, to, &format!("rename it to `{to}`"));
    }

    /// A table of keys that the user chooses, its values as text. Nested tables are read as dotted keys,
    /// since TOML makes one of an unquoted `core.parallelism = 32`.
    pub fn free(&mut self, key: &str) -> Vec<(String, Written<String>)> {
        self.reading.asked.push(self.dotted(key));
        let mut found = Vec::new();
        if let Some(entries) = self.entries_of(key, key) {
            let path = self.dotted(key);
            Table::new(self.reading, path, Some(entries)).flatten("", entries, &mut found);
        }
        found
    }

    fn flatten(&mut self, prefix: &str, entries: &DeTable, found: &mut Vec<(String, Written<String>)>) {
        for (key, value) in entries {
            let name = format!("{prefix}{}", key.get_ref());
            let line = Some(line_at(self.reading.text, key.span().start));
            let location = Location { key: self.dotted(&name), line };
            match (value.get_ref(), mistyped::scalar(value.get_ref())) {
                (DeValue::Table(inner), _) => self.flatten(&format!("{name}."), inner, found),
                (_, Some(value)) => found.push((name, Written { value, location })),
                (other, None) => {
                    let refusal =
                        mistyped::refuse(&format!("\"{name}\""), other, Expected::Scalar, self.guide());
                    self.reading.problems.report("wrong_type", &location, refusal);
                }
            }
        }
    }

    /// The entries of the table `key`, if it is one; a table `example` is the cure if it is something else.
    fn entries_of(&mut self, key: &str, example: &str) -> Option<&'d DeTable<'d>> {
        self.keys.push(key.to_owned());
        let (location, value) = self.find(key)?;
        let DeValue::Table(entries) = value else {
            let name = self.dotted(example);
            let cure = format!("start a table with the line `[{name}]` and put its keys below");
            self.reading.problems.report("wrong_type", &location, mistyped::not_a_table(value, cure));
            return None;
        };
        Some(entries)
    }

    fn scalar<T>(
        &mut self,
        key: &str,
        expected: Expected,
        take: impl Fn(&DeValue) -> Option<T>,
    ) -> Option<Written<T>> {
        self.reading.asked.push(self.dotted(key));
        self.keys.push(key.to_owned());
        let (location, value) = self.find(key)?;
        if let Some(value) = take(value) {
            return Some(Written { value, location });
        }
        let refusal = mistyped::refuse(key, value, expected, self.guide());
        self.reading.problems.report("wrong_type", &location, refusal);
        None
    }

    /// The file that explains the keys of this one.
    fn guide(&self) -> &'static str {
        self.reading.problems.guide()
    }

    fn find(&self, key: &str) -> Option<(Location, &'d DeValue<'d>)> {
        let (name, value) = self.entries?.get_key_value(key)?;
        Some((self.location(name), value.get_ref()))
    }

    fn location(&self, key: &Spanned<DeString>) -> Location {
        let line = line_at(self.reading.text, key.span().start);
        Location { key: self.dotted(key.get_ref()), line: Some(line) }
    }

    fn dotted(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }
}

fn whole(number: &DeInteger) -> Option<i64> {
    i64::from_str_radix(number.as_str(), number.radix()).ok()
}

fn line_at(text: &str, offset: usize) -> usize {
    1 + text.bytes().take(offset).filter(|byte| *byte == b'\n').count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keys_are_those_asked_for() {
        let keys = keys_of(|table| {
            table.string("name");
            table.table("inner", |inner| drop(inner.integer("count")));
            table.free("tags");
        });
        assert_eq!(keys, ["name", "inner.count", "tags"]);
    }

    #[test]
    fn dotted_and_quoted_keys_of_a_free_table_are_one() {
        let mut problems = Problems::new("f.toml");
        let text = "[c]\n\"core.a\" = \"1\"\ncore.b = 2\n[c.core.deep]\nc = true\n";
        let found = read(text, &mut problems, |table| table.free("c")).unwrap();
        let found: Vec<_> = found.into_iter().map(|(k, w)| (k, w.value, w.location.line)).collect();
        let expected = [("core.b", "2", 3), ("core.deep.c", "true", 5), ("core.a", "1", 2)];
        let expected = expected.map(|(k, v, line)| (k.to_owned(), v.to_owned(), Some(line)));
        assert_eq!(found, expected);
        assert_eq!(problems.finish(Ok(())), Ok(()));
    }

    #[test]
    fn every_syntax_error_has_its_line() {
        let mut problems = Problems::new("f.toml");
        let value = read("a = \n[b\nc = 'x'\nd = = 2\n", &mut problems, |_| ());
        let found = problems.finish(value).unwrap_err();
        let locations: Vec<String> = found.into_iter().map(|problem| problem.location).collect();
        assert!(locations.contains(&"f.toml:1".to_owned()), "{locations:?}");
        assert!(locations.contains(&"f.toml:2".to_owned()), "{locations:?}");
        assert!(locations.contains(&"f.toml:4".to_owned()), "{locations:?}");
    }
}
