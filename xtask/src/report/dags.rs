//! What becomes of DAGs: rows for a plan, a comment or a terminal.

use super::wrap;
use crate::model::dags::{DagChange, DagDiff, DagFate, Need, Turn};
use crate::model::difference::Difference;
use crate::model::text::count;
use std::fmt::Write as _;

/// More names than this are counted; the JSON form has them all.
pub(super) const NAMES: usize = 20;

/// How names stand in the text.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Marks {
    Plain,
    Markdown,
}

impl Marks {
    fn name(self, text: &str) -> String {
        match self {
            Self::Plain => text.to_owned(),
            Self::Markdown => format!("`{}`", text.replace('|', "\\|")),
        }
    }

    fn names(self, names: &[String]) -> String {
        let marked: Vec<String> = names.iter().map(|name| self.name(name)).collect();
        some(&marked)
    }
}

/// `added`, `moved` and so on, each with the DAGs and what is worth knowing of them.
pub(super) fn rows(diff: &DagDiff, marks: Marks) -> Vec<(&'static str, String)> {
    let those = |wanted: &dyn Fn(&DagChange) -> bool, of: &dyn Fn(&DagChange) -> Vec<String>| {
        let told = |one: &DagChange| {
            let mut words = of(one);
            words.extend(state(one).map(str::to_owned));
            let name = marks.name(&one.dag_id);
            if words.is_empty() { name } else { format!("{name} ({})", words.join("; ")) }
        };
        let wanted = diff.details.iter().filter(|one| wanted(one));
        some(&wanted.map(told).collect::<Vec<String>>())
    };
    let schedule = |one: &DagChange| vec![turn(one.schedule.as_ref(), marks, "no schedule")];
    let changes = |one: &DagChange| matches!(one.change, DagFate::Moved | DagFate::Changed);
    let rows = [
        ("added", those(&|one| one.change == DagFate::Added, &|one| vec![first(one, marks)])),
        ("removed", those(&|one| one.change == DagFate::Removed, &|_| Vec::new())),
        (
            "moved",
            those(&|one| one.change == DagFate::Moved, &|one| vec![turn(one.file.as_ref(), marks, "")]),
        ),
        ("rescheduled", those(&DagChange::is_rescheduled, &schedule)),
        ("changed", those(&|one| changes(one) && !parts(one, marks).is_empty(), &|one| parts(one, marks))),
    ];
    rows.into_iter().filter(|(_, text)| !text.is_empty()).collect()
}

/// What people would wonder about when a DAG does not run.
fn state(change: &DagChange) -> Option<&'static str> {
    (change.paused == Some(true) && change.change != DagFate::Removed).then_some("paused")
}

/// The schedule of a new one.
fn first(change: &DagChange, marks: Marks) -> String {
    let schedule = change.schedule.as_ref().and_then(|turn| turn.after.as_deref());
    schedule.map_or_else(|| "no schedule".to_owned(), |text| marks.name(text))
}

fn turn(turn: Option<&Turn>, marks: Marks, none: &str) -> String {
    let side = |text: Option<&String>| text.map_or_else(|| none.to_owned(), |text| marks.name(text));
    let (before, after) = turn.map_or((None, None), |turn| (turn.before.as_ref(), turn.after.as_ref()));
    format!("{} → {}", side(before), side(after))
}

/// Tasks and the like.
fn parts(change: &DagChange, marks: Marks) -> Vec<String> {
    let kinds = [
        ("tasks", &change.tasks),
        ("owners", &change.owners),
        ("tags", &change.tags),
        ("params", &change.params),
    ];
    let told = |(kind, Difference { added, changed, removed }): (&str, &Difference)| {
        let words = [("added", added), ("changed", changed), ("removed", removed)];
        let words = words.into_iter().filter(|(_, names)| !names.is_empty());
        let words: Vec<String> =
            words.map(|(word, names)| format!("{word} {}", marks.names(names))).collect();
        (!words.is_empty()).then(|| format!("{kind} {}", words.join(", ")))
    };
    kinds.into_iter().filter_map(told).collect()
}

/// What the environment lacks, a sentence each.
pub(super) fn notes(diff: &DagDiff, environment: &str) -> Vec<String> {
    let who = |need: &Need| {
        let first = need.dags.first().map_or("", String::as_str);
        match need.dags.len() {
            0 | 1 => format!("DAG `{first}` names"),
            more => format!("DAG `{first}` and {} more name", more - 1),
        }
    };
    let what = |need: &Need| format!("{} the {} `{}`", who(need), need.kind.word(), need.name);
    let lacking = diff.lacking.iter().map(|need| {
        format!(
            "{}, which `{environment}` does not have: declare it in airflow/objects.toml, or create it in Airflow",
            what(need)
        )
    });
    let unsure = diff.unsure.iter().map(|need| {
        format!("{}; whether `{environment}` has it cannot be told, as it gave no answer", what(need))
    });
    let mut notes: Vec<String> = lacking.chain(unsure).collect();
    if let Some(more) = notes.len().checked_sub(NAMES).filter(|more| *more > 0) {
        notes.truncate(NAMES);
        notes.push(format!(
            "{} that DAGs name; all of them with --format json",
            count(more, "further object")
        ));
    }
    notes
}

/// Rows and notes for a terminal; empty if there are none.
#[must_use]
pub fn text(diff: &DagDiff, environment: &str) -> String {
    let mut out = String::new();
    for (word, dags) in rows(diff, Marks::Plain) {
        row(&mut out, "DAGs", &format!("{word}: {dags}"));
    }
    for note in notes(diff, environment) {
        row(&mut out, "note", &note);
    }
    out
}

/// A name in front, the text beside it within 80 columns.
pub(super) fn row(out: &mut String, name: &str, text: &str) {
    let lines = text.lines().flat_map(|line| wrap::lines(line, 71));
    for (number, line) in lines.enumerate() {
        let name = if number == 0 { name } else { "" };
        let _ = writeln!(out, "{}", format!("{name:9}{line}").trim_end());
    }
}

pub(super) fn some(ids: &[String]) -> String {
    match ids.len().checked_sub(NAMES) {
        None | Some(0) => ids.join(", "),
        Some(more) => format!("{} and {more} more", ids[..NAMES].join(", ")),
    }
}

/// The rows and notes of a table in Markdown and below it.
pub(super) fn markdown(diff: &DagDiff, environment: &str) -> (Vec<(String, String)>, String) {
    let rows = rows(diff, Marks::Markdown).into_iter().map(|(word, dags)| (format!("DAGs {word}"), dags));
    let notes = notes(diff, environment).into_iter().map(|note| format!("> {note}\n\n"));
    (rows.collect(), notes.collect())
}

#[cfg(test)]
#[path = "dags_tests.rs"]
pub(super) mod tests;
