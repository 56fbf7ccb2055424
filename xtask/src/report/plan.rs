//! A plan as text or as the JSON of the contract.

use super::dags::{self, Marks, row, some};
use super::{Output, changes, markdown};
use crate::fail::screen;
use crate::model::change::StackPreview;
use crate::model::dags::DagDiff;
use crate::model::difference::Difference;
use crate::model::objects::ObjectsDiff;
use crate::plan::contents::Contents;
use crate::plan::deployment::Plan;
use crate::plan::gates::Gate;
use serde::{Serialize, Serializer};
use serde_json::{Value, json};
use std::fmt::Write as _;

/// Everything that is shown of a plan.
#[derive(Clone, Debug)]
pub struct Preview {
    pub environment: String,
    pub stack_name: String,
    pub plan: Plan,
    pub dags: DagDiff,
    pub contents: Contents,
    pub stack: StackPreview,
    pub gates: Vec<Gate>,
}

impl Serialize for Preview {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        json(self).serialize(serializer)
    }
}

impl Output for Preview {
    fn text(&self) -> String {
        text(self)
    }

    fn markdown(&self) -> String {
        markdown::plan(self)
    }

    fn summary(&self) -> Option<String> {
        Some(self.markdown())
    }
}

fn action(stack: &StackPreview) -> &'static str {
    match stack {
        StackPreview::None => "none",
        StackPreview::Create => "create",
        StackPreview::Update { .. } | StackPreview::Unsettled(_) => "update",
    }
}

fn json(preview: &Preview) -> Value {
    let (rows, unseen) = match &preview.stack {
        StackPreview::Update { changes, unseen } => (changes::rows(changes), unseen.as_deref()),
        _ => (Vec::new(), None),
    };
    let plan = &preview.plan;
    let upload = |needed: bool| if needed { "upload" } else { "present" };
    let problems: Vec<_> = preview.gates.iter().flat_map(|gate| &gate.problems).collect();
    json!({
        "environment": preview.environment,
        "release": plan.release.id(),
        "previous": plan.previous,
        "steps": plan.names(),
        "bundle": { "digest": plan.release.bundle, "action": upload(plan.has("bundle")) },
        "host": { "digest": plan.release.runtime.digest(), "action": upload(plan.rolls_out()) },
        "image": plan.release.image.map_or_else(
            || json!({}),
            |digest| json!({ "digest": digest, "action": upload(plan.has("image")) }),
        ),
        "stack": {
            "name": preview.stack_name,
            "action": action(&preview.stack),
            "changes": rows,
            "unseen": unseen,
        },
        "dags": preview.dags,
        "engine": preview.contents.engine,
        "secrets": plan.secrets,
        "migration": plan.migration,
        "env": preview.contents.env,
        "objects": preview.contents.objects,
        "git": preview.contents.git,
        "gates": preview.gates,
        "problems": problems,
    })
}

fn text(preview: &Preview) -> String {
    let plan = &preview.plan;
    let mut out = String::new();
    let id = plan.release.id();
    if plan.is_unchanged() {
        let _ = writeln!(out, "nothing to do: `{}` runs release {id}", preview.environment);
    } else {
        let from = plan.previous.as_deref().map(|id| format!(" (now {id})")).unwrap_or_default();
        let _ = writeln!(out, "release  {id}{from}");
        row(&mut out, "steps", &plan.names().join(", "));
        if let Some(change) = preview.contents.engine {
            row(&mut out, "engine", &change.text());
        }
        if let Some(migration) = &plan.migration {
            row(&mut out, "database", &migration.to_string());
        }
        dag_rows(&mut out, &preview.dags);
        contents(&mut out, &preview.contents);
        if !plan.secrets.is_empty() {
            row(
                &mut out,
                "secrets",
                &format!("changed, so components read them again: {}", some(&plan.secrets)),
            );
        }
        stack(&mut out, &preview.stack_name, &preview.stack);
    }
    for note in dags::notes(&preview.dags, &preview.environment) {
        row(&mut out, "note", &note);
    }
    gates(&mut out, &preview.gates, plan.is_unchanged());
    out
}

fn dag_rows(out: &mut String, diff: &DagDiff) {
    for (word, dags) in dags::rows(diff, Marks::Plain) {
        row(out, "DAGs", &format!("{word}: {dags}"));
    }
}

pub(super) fn contents(out: &mut String, contents: &Contents) {
    if let Some(git) = &contents.git {
        row(out, "git", &format!("{}; `dags/` of this project is not deployed", git.text()));
    }
    difference(out, "env", "", &contents.env);
    let ObjectsDiff { connections, variables, pools } = &contents.objects;
    for (kind, diff) in [("connections", connections), ("variables", variables), ("pools", pools)] {
        difference(out, "objects", &format!("{kind} "), diff);
    }
}

fn difference(out: &mut String, name: &str, of: &str, difference: &Difference) {
    let Difference { added, changed, removed } = difference;
    for (word, names) in [("added", added), ("changed", changed), ("removed", removed)] {
        if !names.is_empty() {
            row(out, name, &format!("{of}{word}: {}", some(names)));
        }
    }
}

fn stack(out: &mut String, name: &str, stack: &StackPreview) {
    match stack {
        StackPreview::None => {}
        StackPreview::Create => row(out, "stack", &format!("`{name}` is created")),
        StackPreview::Unsettled(why) => {
            let text = format!("cannot preview the changes of `{name}` in its present state: {why}");
            row(out, "stack", &text);
        }
        StackPreview::Update { changes, unseen } => {
            row(out, "stack", &format!("`{name}` is updated"));
            if let Some(why) = unseen {
                row(out, "stack", why);
            }
            let _ = writeln!(out, "\n{}\n", changes::text(changes).trim_end());
        }
    }
}

/// Every gate in one row, those that refuse with their problems. There is nothing to say of an unchanged
/// environment that passes.
fn gates(out: &mut String, gates: &[Gate], unchanged: bool) {
    if unchanged && gates.iter().all(|gate| gate.problems.is_empty() && gate.notes.is_empty()) {
        return;
    }
    for outcome in ["passed", "skipped", "refused"] {
        let of = gates.iter().filter(|gate| gate.outcome == outcome);
        let names: Vec<String> = of.map(name).collect();
        if !names.is_empty() {
            row(out, "gates", &format!("{outcome}: {}", names.join(", ")));
        }
    }
    for note in gates.iter().flat_map(|gate| &gate.notes) {
        row(out, "note", note);
    }
    let (groups, beyond) = screen(gates.iter().flat_map(|gate| &gate.problems));
    for group in groups {
        out.push('\n');
        row(out, "problem", &group.text());
        if !group.problem.hint.is_empty() {
            row(out, "", &format!("cure: {}", group.problem.hint));
        }
    }
    if beyond > 0 {
        let _ = writeln!(out, "\nand {beyond} more; all of them with --format json");
    }
}

fn name(gate: &Gate) -> String {
    gate.reason.map_or_else(|| gate.name.to_owned(), |reason| format!("{} ({reason})", gate.name))
}

#[cfg(test)]
#[path = "plan_tests.rs"]
pub(super) mod tests;
