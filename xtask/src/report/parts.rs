//! What runs where, in rows: all that say the same are one row, so that a thousand workers are a line.

use super::table::table;
use crate::model::receipt::{Part, Parts, short};
use crate::model::status::{Drift, Load};
use crate::model::watched::Alarm;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Longest title, and id, in a table of 80 columns.
const TITLE: usize = 20;
const WIDTH: usize = 80;

/// What parts of one row have in common, in the order in which rows come.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Row {
    place: usize,
    title: String,
    odd: bool,
    word: String,
    revision: String,
    bundle: String,
}

/// The order of start; whatever is unknown comes last.
fn place(component: &str) -> usize {
    let components = &crate::model::contract::CONTRACT.components;
    components.iter().position(|one| one == component).unwrap_or(components.len())
}

fn title(part: &Part) -> String {
    match &part.receipt.worker_set {
        Some(set) => format!("{} {set}", part.receipt.component),
        None => part.receipt.component.clone(),
    }
}

/// What is to be said of a part that is not as it should be, or will not be for long.
fn word(part: &Part, runtime: Option<&str>) -> &'static str {
    match part {
        _ if part.silent => "SILENT",
        _ if part.draining => "draining",
        _ if part.current => "",
        _ if runtime.is_some_and(|runtime| runtime != part.receipt.revision) => "ANOTHER REVISION",
        _ => "ANOTHER BUNDLE",
    }
}

fn row(part: &Part, runtime: Option<&str>) -> Row {
    let word = word(part, runtime).to_owned();
    Row {
        place: place(&part.receipt.component),
        title: title(part),
        odd: !word.is_empty(),
        word,
        revision: short(&part.receipt.revision),
        bundle: part.receipt.bundle.as_ref().map_or_else(String::new, |parsed| short(&parsed.version)),
    }
}

/// The table, and below it which hosts or tasks are meant where something is odd.
pub(super) fn text(parts: &Parts, runtime: Option<&str>) -> String {
    let mut rows: BTreeMap<Row, Vec<&Part>> = BTreeMap::new();
    for part in &parts.parts {
        rows.entry(row(part, runtime)).or_default().push(part);
    }
    let cells = |(row, parts): (&Row, &Vec<&Part>)| {
        let oldest = parts.iter().map(|part| part.heartbeat_age_s).max().unwrap_or_default();
        vec![
            cut(&row.title, TITLE),
            parts.len().to_string(),
            row.revision.clone(),
            row.bundle.clone(),
            age(oldest.cast_signed()),
            row.word.clone(),
        ]
    };
    let mut out = String::new();
    if !rows.is_empty() {
        let cells: Vec<Vec<String>> = rows.iter().map(cells).collect();
        out += &table(&["component", "on", "runs", "bundle", "heard", ""], &cells);
    }
    for (row, parts) in rows.iter().filter(|(row, _)| row.odd) {
        let ids: Vec<&str> = parts.iter().map(|part| part.receipt.id.as_str()).collect();
        out += &some(&format!("{}, {}", row.word, cut(&row.title, TITLE)), &ids);
    }
    let mut unheard: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
    for one in &parts.unheard {
        unheard.entry((&one.title, &one.state)).or_default().push(&one.id);
    }
    for ((title, state), ids) in unheard {
        out += &some(&format!("no word yet, {} ({state})", cut(title, TITLE)), &ids);
    }
    out
}

/// `what: i-1, i-2 and 3 more`, two of them or one, as there is room.
fn some(what: &str, ids: &[&str]) -> String {
    let line = |named: usize| {
        let told: Vec<String> = ids.iter().take(named).map(|id| cut(id, TITLE)).collect();
        let more = ids.len().saturating_sub(named);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        format!("{what}: {}{more}\n", told.join(", "))
    };
    let two = line(2);
    if two.chars().count() <= WIDTH { two } else { line(1) }
}

pub(super) fn cut(text: &str, most: usize) -> String {
    match text.chars().count() <= most {
        true => text.to_owned(),
        false => text.chars().take(most - 1).chain(['…']).collect(),
    }
}

/// The digests of what a component runs, as Airflow calls it; none if no host or task has said so.
pub(super) fn revisions(parts: &Parts, component: &str) -> Option<String> {
    let is_it = |part: &&Part| part.receipt.component.replace('-', "_") == component.replace('-', "_");
    let found = parts.parts.iter().filter(is_it).map(|part| short(&part.receipt.revision));
    let found: std::collections::BTreeSet<String> = found.collect();
    (!found.is_empty()).then(|| found.into_iter().collect::<Vec<_>>().join(", "))
}

/// The load of each queue.
pub(super) fn loads(loads: &[Load]) -> String {
    let number = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.0}"));
    let row = |load: &Load| {
        vec![
            cut(&load.queue, TITLE),
            number(load.in_service),
            number(load.wanted),
            number(load.queued),
            number(load.running),
        ]
    };
    let rows: Vec<Vec<String>> = loads.iter().map(row).collect();
    if rows.is_empty() {
        return String::new();
    }
    table(&["queue", "workers", "wanted", "queued", "running"], &rows)
}

/// `none`, or which.
pub(super) fn alarms(stack: Option<&str>, alarms: &[Alarm]) -> String {
    if alarms.is_empty() {
        return "none".to_owned();
    }
    let prefix = stack.map(|stack| format!("{stack}-")).unwrap_or_default();
    let names = alarms.iter().map(|alarm| alarm.name.strip_prefix(&prefix).unwrap_or(&alarm.name));
    let names: Vec<&str> = names.collect();
    format!("{} RING: {}", alarms.len(), cut(&names.join(", "), 55))
}

/// `none, looked for 2 h ago`.
pub(super) fn drift(stack: Option<&str>, drift: &Drift) -> String {
    let Some(age_s) = drift.age_s else { return "never looked for: --drift".to_owned() };
    let ago = format!("looked for {} ago", age(age_s));
    let unchecked = match drift.unchecked {
        0 => String::new(),
        number => format!(", not in {number} of {} stacks", drift.stacks),
    };
    if drift.drifted.is_empty() {
        return format!("none, {ago}{unchecked}");
    }
    let prefix = stack.map(|stack| format!("{stack}-")).unwrap_or_default();
    let logical = |name: &String| {
        let name = name.strip_prefix(&prefix).unwrap_or(name);
        name.split('-').next().unwrap_or(name).to_owned()
    };
    let names: Vec<String> = drift.drifted.iter().map(logical).collect();
    format!("IN {}, {ago}{unchecked}", cut(&names.join(", "), 30))
}

/// What differs, resource by resource.
pub(super) fn drifted(drift: &Drift) -> String {
    let mut out = String::new();
    for one in &drift.resources {
        let _ = writeln!(out, "{} {} {} in {}", one.status, one.kind, one.resource, one.stack);
        for property in &one.properties {
            let _ = writeln!(out, "  {property}");
        }
    }
    out
}

/// `12 s`, `3 min`, `2 h`, `5 d`.
pub(super) fn age(seconds: i64) -> String {
    match seconds {
        ..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86400),
    }
}
