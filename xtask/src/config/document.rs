//! Reads a TOML document key by key and notes everything that does not fit, where serde stops at the first.
//!
//! Which keys there are is known from what the reader asked for: there is no second list of them.

use super::problems::{Place, Problems, Wrong};
use toml::de::{DeTable, DeValue};

/// A value as it stands in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written<T> {
    pub value: T,
    pub place: Place,
}

/// Reads `text`, the content of `file`. `read` asks for every key it knows and gets what fits.
/// A document that is not TOML is reported line by line and not read any further.
pub fn read<T>(text: &str, problems: &mut Problems, read: impl FnOnce(&mut Table) -> T) -> Option<T> {
    let (root, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        let line = error.span().map(|span| line_of(text, span.start));
        let place = Place { key: String::new(), line };
        let hint = "correct the line; https://toml.io shows the syntax in one page";
        problems.report("invalid_toml", &place, Wrong::new(format!("not TOML: {}", error.message()), hint));
    }
    if !errors.is_empty() {
        return None;
    }
    let mut reading = Reading { text, problems, asked: Vec::new(), unknown: Vec::new() };
    let value = Table::new(&mut reading, String::new(), Some(root.get_ref())).read(read);
    reading.report_unknown();
    Some(value)
}

/// Every key that `read` asks for, tables left out.
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
    asked: Vec<String>,
    unknown: Vec<(Place, Vec<String>)>,
}

impl Reading<'_> {
    fn report_unknown(&mut self) {
        for (place, siblings) in std::mem::take(&mut self.unknown) {
            let name = place.key.rsplit('.').next().unwrap_or_default().to_owned();
            let hint = match (nearest(&name, &siblings), self.homes(&name).as_slice()) {
                (Some(near), _) => format!("write `{near}` if that is what you mean"),
                (None, []) => format!("remove it; the keys here are {}", list(&siblings)),
                (None, homes) => format!("write it as {} if that is what you mean", list(homes)),
            };
            self.problems.report("unknown_key", &place, Wrong::new("unknown key", hint));
        }
    }

    /// Other tables in which this very key is known.
    fn homes(&self, name: &str) -> Vec<String> {
        let ends = |key: &&String| key.rsplit('.').next() == Some(name);
        self.asked.iter().filter(ends).cloned().collect()
    }
}

/// One table of the document; absent ones are read as well, as empty.
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
                let place = self.place(name, key.span().start);
                self.reading.unknown.push((place, self.keys.clone()));
            }
        }
        value
    }

    pub fn string(&mut self, key: &str) -> Option<Written<String>> {
        self.scalar(key, "a string", |value| value.as_str().map(str::to_owned))
    }

    pub fn boolean(&mut self, key: &str) -> Option<Written<bool>> {
        self.scalar(key, "true or false", |value| match value {
            DeValue::Boolean(truth) => Some(*truth),
            _ => None,
        })
    }

    /// Refuses numbers beyond 64 bits as no whole number at all.
    pub fn integer(&mut self, key: &str) -> Option<Written<i64>> {
        self.scalar(key, "a whole number", |value| {
            let number = value.as_integer()?;
            i64::from_str_radix(number.as_str(), number.radix()).ok()
        })
    }

    /// Takes whole numbers as well.
    pub fn fraction(&mut self, key: &str) -> Option<Written<f64>> {
        self.scalar(key, "a number", |value| match value {
            DeValue::Float(number) => number.as_str().parse().ok(),
            DeValue::Integer(number) => number.as_str().parse().ok(),
            _ => None,
        })
    }

    /// A name that may look like a number, such as a version: `17` is `"17"`.
    pub fn word(&mut self, key: &str) -> Option<Written<String>> {
        self.scalar(key, "a string or a whole number", |value| match value {
            DeValue::String(text) => Some(text.to_string()),
            DeValue::Integer(number) => Some(number.to_string()),
            _ => None,
        })
    }

    pub fn strings(&mut self, key: &str) -> Option<Written<Vec<String>>> {
        self.scalar(key, "a list of strings", |value| {
            let list = value.as_array()?;
            list.iter().map(|item| item.get_ref().as_str().map(str::to_owned)).collect()
        })
    }

    pub fn table<T>(&mut self, key: &str, read: impl FnOnce(&mut Table) -> T) -> T {
        let entries = match self.find(key) {
            Some((_, DeValue::Table(entries))) => Some(entries),
            Some((place, other)) => {
                let name = self.child(key);
                let hint = format!("write a line `[{name}]` and the keys of `{name}` below it");
                self.reading.problems.report("wrong_type", &place, wrong_type(other, "a table", hint));
                None
            }
            None => None,
        };
        let path = self.child(key);
        self.keys.push(key.to_owned());
        Table::new(self.reading, path, entries).read(read)
    }

    /// A table of tables with names of the user's own, each read alike; `always` is there even if it is
    /// not written, and the one that stands for all where keys are listed.
    pub fn named<T>(
        &mut self,
        key: &str,
        always: &str,
        read: impl Fn(&mut Table) -> T,
    ) -> Vec<(Written<String>, T)> {
        self.table(key, |table| {
            let written = table.entries.into_iter().flatten().map(|(name, _)| name.get_ref().to_string());
            let mut names: Vec<String> = written.filter(|name| name != always).collect();
            names.push(always.to_owned());
            names.into_iter().filter_map(|name| table.one_of(name, always, &read)).collect()
        })
    }

    fn one_of<T>(
        &mut self,
        name: String,
        always: &str,
        read: impl Fn(&mut Table) -> T,
    ) -> Option<(Written<String>, T)> {
        let found = self.find(&name);
        if let Some((place, other)) = found.as_ref().filter(|(_, value)| value.as_table().is_none()) {
            let path = &self.path;
            let hint = format!("write a line `[{path}.{always}]`, or another name, and its keys below it");
            self.reading.problems.report("wrong_type", place, wrong_type(other, "a table", hint));
            self.keys.push(name);
            return None;
        }
        let nowhere = Place { key: self.child(&name), line: None };
        let place = found.map_or(nowhere, |(place, _)| place);
        let asked = self.reading.asked.len();
        let value = self.table(&name, read);
        if name != always {
            self.reading.asked.truncate(asked);
        }
        Some((Written { value: name, place }, value))
    }

    /// A key or table of earlier versions, and the one that has taken its place.
    pub fn moved(&mut self, key: &'static str, to: &str, cure: &str) {
        self.moved.push(key);
        if let Some((place, _)) = self.find(key) {
            let wrong = Wrong::new(format!("moved to `{to}`"), cure);
            self.reading.problems.report("moved_key", &place, wrong);
        }
    }

    /// A table with keys of the user's own and plain values, as text. Tables within it are read as
    /// dotted keys, since an unquoted `core.parallelism = 32` is one in TOML.
    pub fn free(&mut self, key: &str) -> Vec<(String, Written<String>)> {
        let mut found = Vec::new();
        let path = self.child(key);
        self.reading.asked.push(path.clone());
        let Some((place, value)) = self.find(key) else {
            self.keys.push(key.to_owned());
            return found;
        };
        self.keys.push(key.to_owned());
        match value {
            DeValue::Table(entries) => self.flatten("", &path, entries, &mut found),
            other => {
                let hint = format!("write a line `[{path}]` and the keys of `{path}` below it");
                self.reading.problems.report("wrong_type", &place, wrong_type(other, "a table", hint));
            }
        }
        found
    }

    fn flatten(
        &mut self,
        prefix: &str,
        path: &str,
        entries: &DeTable,
        found: &mut Vec<(String, Written<String>)>,
    ) {
        for (key, value) in entries {
            let name = format!("{prefix}{}", key.get_ref());
            let line = line_of(self.reading.text, key.span().start);
            let place = Place { key: format!("{path}.{name}"), line: Some(line) };
            let text = match value.get_ref() {
                DeValue::Table(inner) => {
                    self.flatten(&format!("{name}."), path, inner, found);
                    continue;
                }
                DeValue::String(text) => text.to_string(),
                DeValue::Integer(number) => number.to_string(),
                DeValue::Float(number) => number.to_string(),
                DeValue::Boolean(truth) => truth.to_string(),
                other => {
                    let wrong = wrong_type(other, "a string, a number, true or false", "put it in quotes");
                    self.reading.problems.report("wrong_type", &place, wrong);
                    continue;
                }
            };
            found.push((name, Written { value: text, place }));
        }
    }

    fn scalar<T>(
        &mut self,
        key: &str,
        wanted: &str,
        take: impl Fn(&DeValue) -> Option<T>,
    ) -> Option<Written<T>> {
        let path = self.child(key);
        self.reading.asked.push(path);
        let found = self.find(key);
        self.keys.push(key.to_owned());
        let (place, value) = found?;
        if let Some(value) = take(value) {
            return Some(Written { value, place });
        }
        let wrong = wrong_type(value, wanted, cure(key, value, wanted));
        self.reading.problems.report("wrong_type", &place, wrong);
        None
    }

    fn find(&self, key: &str) -> Option<(Place, &'d DeValue<'d>)> {
        let (name, value) = self.entries?.get_key_value(key)?;
        Some((self.place(key, name.span().start), value.get_ref()))
    }

    fn child(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    fn place(&self, key: &str, offset: usize) -> Place {
        Place { key: self.child(key), line: Some(line_of(self.reading.text, offset)) }
    }
}

fn wrong_type(value: &DeValue, wanted: &str, hint: impl Into<String>) -> Wrong {
    let is = match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    };
    // A number that does not fit into 64 bits is of the right type and yet no value.
    let is = if is == wanted { "a number out of range" } else { is };
    Wrong::new(format!("is {is}, must be {wanted}"), hint)
}

/// The line as it should be, where the value only has too many or too few marks around it.
fn cure(key: &str, value: &DeValue, wanted: &str) -> String {
    let text = match value {
        DeValue::String(text) => text.to_string(),
        DeValue::Integer(number) => number.to_string(),
        DeValue::Float(number) => number.to_string(),
        DeValue::Boolean(truth) => truth.to_string(),
        DeValue::Datetime(date) => date.to_string(),
        DeValue::Array(_) | DeValue::Table(_) => String::new(),
    };
    match (value, wanted) {
        (DeValue::Array(_) | DeValue::Table(_), _) => {}
        (_, "a string" | "a string or a whole number") => {
            return format!("write it in quotes: `{key} = \"{text}\"`");
        }
        (DeValue::String(_), "a list of strings") => {
            return format!("write it in brackets: `{key} = [\"{text}\"]`");
        }
        (DeValue::String(_), "a whole number") if text.parse::<i64>().is_ok() => {
            return format!("write it without quotes: `{key} = {text}`");
        }
        (DeValue::String(_), "a number") if text.parse::<f64>().is_ok() => {
            return format!("write it without quotes: `{key} = {text}`");
        }
        (DeValue::String(_), "true or false") if text.parse::<bool>().is_ok() => {
            return format!("write it without quotes: `{key} = {text}`");
        }
        _ => {}
    }
    format!("write {wanted}; `environments/dev.toml` explains `{key}`")
}

fn line_of(text: &str, offset: usize) -> usize {
    1 + text.bytes().take(offset).filter(|byte| *byte == b'\n').count()
}

/// Words as they are said: `a`, `b` or `c`.
#[must_use]
pub fn list(words: &[String]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    match quoted.as_slice() {
        [] => "none".to_owned(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

/// The known word that differs from `word` by at most a third of its letters.
#[must_use]
pub fn nearest<'k>(word: &str, known: impl IntoIterator<Item = &'k String>) -> Option<&'k String> {
    let allowed = 1 + word.chars().count() / 4;
    known
        .into_iter()
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Insertions, deletions, replacements and swaps of neighbours that lead from `a` to `b`.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows: Vec<Vec<usize>> = vec![(0..=b.len()).collect()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replaced.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_count_a_swap_once() {
        for (a, b, steps) in [("", "ab", 2), ("region", "regoin", 1), ("port", "sport", 1), ("a", "b", 1)] {
            assert_eq!(distance(a, b), steps, "{a} {b}");
        }
    }

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
        let found: Vec<_> = found.into_iter().map(|(k, w)| (k, w.value, w.place.line)).collect();
        let expected = [("core.b", "2", 3), ("core.deep.c", "true", 5), ("core.a", "1", 2)];
        let expected = expected.map(|(k, v, line)| (k.to_owned(), v.to_owned(), Some(line)));
        assert_eq!(found, expected);
        assert!(problems.is_empty());
    }

    #[test]
    fn every_syntax_error_has_its_line() {
        let mut problems = Problems::new("f.toml");
        read("a = \n[b\nc = 'x'\nd = = 2\n", &mut problems, |_| ());
        let places: Vec<String> = problems.into_vec().into_iter().map(|p| p.location).collect();
        assert!(places.contains(&"f.toml:1".to_owned()), "{places:?}");
        assert!(places.contains(&"f.toml:2".to_owned()), "{places:?}");
        assert!(places.contains(&"f.toml:4".to_owned()), "{places:?}");
    }
}
