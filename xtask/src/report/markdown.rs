//! A plan, a result and an error in GitHub's Markdown: what a reviewer reads in a pull request or a run's summary.

use super::plan::Preview;
use super::{changes, dags, error, wrap};
use crate::fail::{Fail, Problem};
use crate::model::change::{Change, Replacement, StackPreview, flatten};
use crate::model::text::count;
use crate::plan::contents::Contents;
use crate::plan::gates::Gate;
use std::fmt::Write as _;

/// A plan under a headline that tells whether there is anything to do.
#[must_use]
pub fn plan(preview: &Preview) -> String {
    let plan = &preview.plan;
    let mut out = String::new();
    if plan.is_unchanged() {
        let _ = writeln!(out, "### `{}`: nothing to do\n", preview.environment);
    } else {
        let from = plan.previous.as_deref().map(|id| format!(", now `{id}`")).unwrap_or_default();
        let _ = writeln!(out, "### `{}`: release `{}`{from}\n", preview.environment, plan.release.id());
        rows(&mut out, &preview_rows(preview));
        stack(&mut out, &preview.stack_name, &preview.stack);
    }
    out.push_str(&dags::markdown(&preview.dags, &preview.environment).1);
    gates(&mut out, &preview.gates);
    out
}

fn preview_rows(preview: &Preview) -> Vec<(String, String)> {
    let plan = &preview.plan;
    let mut rows = vec![("steps".to_owned(), plan.names().join(", "))];
    rows.extend(preview.contents.engine.map(|change| ("engine".to_owned(), change.text())));
    rows.extend(plan.migration.iter().map(|migration| ("database".to_owned(), migration.to_string())));
    rows.extend(dags::markdown(&preview.dags, &preview.environment).0);
    rows.extend(preview.contents.git.as_ref().map(|git| ("git".to_owned(), format!("`{}`", git.text()))));
    rows.extend(contents(&preview.contents));
    if plan.rolls_out() {
        rows.push(("host revision".to_owned(), format!("`{}`", plan.release.runtime.digest().short())));
    }
    if let Some(image) = plan.release.image.filter(|_| plan.has("image")) {
        rows.push(("image".to_owned(), format!("`{}`", image.short())));
    }
    if !plan.secrets.is_empty() {
        rows.push(("secrets changed".to_owned(), codes(&plan.secrets)));
    }
    rows
}

/// What a release gives to DAGs besides code.
pub(super) fn contents(contents: &Contents) -> Vec<(String, String)> {
    let objects = &contents.objects;
    let kinds = [
        ("variables of `[env]`", &contents.env),
        ("connections", &objects.connections),
        ("variables", &objects.variables),
        ("pools", &objects.pools),
    ];
    let mut rows = Vec::new();
    for (kind, difference) in kinds {
        for (word, names) in
            [("added", &difference.added), ("changed", &difference.changed), ("removed", &difference.removed)]
        {
            rows.extend((!names.is_empty()).then(|| (format!("{kind} {word}"), codes(names))));
        }
    }
    rows
}

pub(super) fn rows(out: &mut String, rows: &[(String, String)]) {
    out.push_str("| | |\n|---|---|\n");
    for (name, text) in rows {
        let _ = writeln!(out, "| {name} | {text} |");
    }
    out.push('\n');
}

fn codes(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

fn stack(out: &mut String, name: &str, preview: &StackPreview) {
    match preview {
        StackPreview::None => {}
        StackPreview::Create => {
            let _ = writeln!(out, "The stack `{name}` is created.\n");
        }
        StackPreview::Unsettled(why) => {
            let _ = writeln!(
                out,
                "The changes of the stack `{name}` cannot be seen in its present state: {why}\n"
            );
        }
        StackPreview::Update { changes, unseen } => {
            let _ = writeln!(out, "The stack `{name}` is updated.\n");
            if let Some(why) = unseen {
                let _ = writeln!(out, "{why}\n");
            }
            replaced(out, changes);
            let _ = writeln!(out, "```\n{}\n```\n", changes::text(changes).trim_end());
        }
    }
}

/// What nobody may overlook in a long tree.
fn replaced(out: &mut String, changes: &[Change]) {
    let all = flatten(changes);
    let of = |wanted: Replacement| {
        let found = all.iter().filter(|change| change.replacement == wanted && change.nested.is_empty());
        found.map(|change| format!("`{}` ({})", change.path, change.kind)).collect::<Vec<_>>()
    };
    for (wanted, words) in [(Replacement::Always, "is replaced"), (Replacement::Maybe, "may be replaced")] {
        for change in of(wanted) {
            let _ = writeln!(out, "- **{change} {words}**");
        }
    }
    if out.ends_with("**\n") {
        out.push('\n');
    }
}

fn gates(out: &mut String, gates: &[Gate]) {
    let of = |outcome: &str| {
        let names: Vec<&str> =
            gates.iter().filter(|gate| gate.outcome == outcome).map(|gate| gate.name).collect();
        (!names.is_empty()).then(|| format!("{outcome}: {}", names.join(", ")))
    };
    let outcomes: Vec<String> = ["refused", "passed", "skipped"].into_iter().filter_map(of).collect();
    let _ = writeln!(out, "Gates {}", outcomes.join("; "));
    for note in gates.iter().flat_map(|gate| &gate.notes) {
        let _ = writeln!(out, "\n> {note}");
    }
    let problems: Vec<&Problem> = gates.iter().flat_map(|gate| &gate.problems).collect();
    if !problems.is_empty() {
        let _ = writeln!(out, "\n**{}**\n", count(problems.len(), "problem"));
    }
    for Problem { location, message, hint, .. } in problems {
        let cure = if hint.is_empty() { String::new() } else { format!("<br>{hint}") };
        let _ = writeln!(out, "- `{location}`: {message}{cure}");
    }
}

/// An error with its causes, problems and cures.
#[must_use]
pub fn failure(fail: &Fail) -> String {
    format!("### Failed: {}\n\n{}", fail.message(), block(&error::text(fail)))
}

/// Text for a terminal, as it is.
#[must_use]
pub fn block(text: &str) -> String {
    if text.trim().is_empty() { String::new() } else { format!("```\n{}\n```\n", text.trim_end()) }
}

/// Workflow commands of GitHub Actions that put problems where they are
/// (<https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands>).
#[must_use]
pub fn annotations(fail: &Fail) -> String {
    if fail.all_problems().is_empty() {
        return format!("::error::{}\n", escaped(fail.message()));
    }
    let line = |problem: &Problem| {
        let (file, line) = place(&problem.location);
        let place = match (file, line) {
            (Some(file), Some(line)) => format!(" file={file},line={line}"),
            (Some(file), None) => format!(" file={file}"),
            _ => String::new(),
        };
        let cure = if problem.hint.is_empty() { String::new() } else { format!("\n{}", problem.hint) };
        let where_ = if place.is_empty() { format!("{}: ", problem.location) } else { String::new() };
        format!("::error{place}::{}\n", escaped(&format!("{where_}{}{cure}", problem.message)))
    };
    fail.all_problems().iter().map(line).collect()
}

/// The file and line of `dags/a.py:3` or of "environments/dev.toml:7 `key`".
fn place(location: &str) -> (Option<String>, Option<&str>) {
    let first = location.split(' ').next().unwrap_or_default();
    let (file, line) = match first.rsplit_once(':') {
        Some((file, line)) if !line.is_empty() && line.bytes().all(|b| b.is_ascii_digit()) => {
            (file, Some(line))
        }
        _ => (first, None),
    };
    let is_file = file.contains('.') && !file.contains("://") && !file.starts_with('`');
    (is_file.then(|| escaped(file).replace(':', "%3A").replace(',', "%2C")), line.filter(|_| is_file))
}

fn escaped(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// The lines that fold a step's own lines.
#[must_use]
pub fn group(step: &str) -> String {
    format!("::group::{}", wrap::lines(&escaped(step), wrap::WIDTH).first().map_or("", |line| line))
}

#[cfg(test)]
#[path = "markdown_tests.rs"]
mod tests;
