//! A plan as text or as the JSON of the contract.

use super::changes;
use crate::fail::Problem;
use crate::model::change::StackPreview;
use crate::model::dags::DagDiff;
use crate::model::release::Release;
use crate::plan::deploy::{Plan, Step};
use serde_json::{Value, json};
use std::fmt::Write as _;

/// Everything that is shown of a plan.
#[derive(Clone, Debug)]
pub struct Preview {
    pub environment: String,
    pub stack_name: String,
    pub target: Release,
    pub previous: Option<String>,
    pub steps: Vec<Step>,
    pub dags: DagDiff,
    pub stack: StackPreview,
    pub problems: Vec<Problem>,
}

impl Preview {
    /// The parts that the plan alone tells.
    #[must_use]
    pub fn of(plan: &Plan, environment: &str, stack: &str) -> Self {
        Self {
            environment: environment.to_owned(),
            stack_name: stack.to_owned(),
            target: plan.target.clone(),
            previous: plan.previous.clone(),
            steps: plan.steps.clone(),
            dags: DagDiff::default(),
            stack: StackPreview::None,
            problems: Vec::new(),
        }
    }

    fn is_unchanged(&self) -> bool {
        self.steps == [Step::Health]
    }

    fn action(&self) -> &'static str {
        match self.stack {
            StackPreview::None => "none",
            StackPreview::Create => "create",
            StackPreview::Update(_) | StackPreview::Unsettled(_) => "update",
        }
    }
}

#[must_use]
pub fn json(preview: &Preview) -> Value {
    let rows = match &preview.stack {
        StackPreview::Update(changes) => changes::rows(changes),
        _ => Vec::new(),
    };
    let upload = |step: Step| if preview.steps.contains(&step) { "upload" } else { "present" };
    json!({
        "environment": preview.environment,
        "release": preview.target.id(),
        "previous": preview.previous,
        "steps": preview.steps,
        "bundle": { "digest": preview.target.bundle, "action": upload(Step::Bundle) },
        "host": { "digest": preview.target.host, "action": upload(Step::Hosts) },
        "image": {},
        "stack": { "name": preview.stack_name, "action": preview.action(), "changes": rows },
        "dags": preview.dags,
        "problems": preview.problems,
    })
}

#[must_use]
pub fn text(preview: &Preview) -> String {
    let mut out = String::new();
    let id = preview.target.id();
    if preview.is_unchanged() {
        return format!("nothing to do: `{}` runs release {id}\n", preview.environment);
    }
    let from = preview.previous.as_deref().map(|id| format!(" (now {id})")).unwrap_or_default();
    let steps: Vec<&str> = preview.steps.iter().map(|step| step.name()).collect();
    let _ = writeln!(out, "release  {id}{from}");
    row(&mut out, "steps", &steps.join(", "));
    for (word, ids) in [
        ("added", &preview.dags.added),
        ("removed", &preview.dags.removed),
        ("moved", &preview.dags.moved),
        ("changed", &preview.dags.changed),
    ] {
        if !ids.is_empty() {
            row(&mut out, "DAGs", &format!("{word}: {}", some(ids)));
        }
    }
    match &preview.stack {
        StackPreview::None => {}
        StackPreview::Create => {
            row(&mut out, "stack", &format!("`{}` is created", preview.stack_name));
        }
        StackPreview::Unsettled(why) => {
            let name = &preview.stack_name;
            row(
                &mut out,
                "stack",
                &format!("`{name}` has to come to rest first, its changes show then: {why}"),
            );
        }
        StackPreview::Update(changes) => {
            let _ = writeln!(
                out,
                "stack    `{}` is updated\n\n{}",
                preview.stack_name,
                changes::text(changes).trim_end()
            );
        }
    }
    for problem in &preview.problems {
        out.push('\n');
        row(&mut out, "problem", &format!("{}: {}", problem.location, problem.message));
        if !problem.hint.is_empty() {
            row(&mut out, "", &format!("cure: {}", problem.hint));
        }
    }
    out
}

/// More names than this are counted; the JSON form has them all.
const NAMES: usize = 20;

fn some(ids: &[String]) -> String {
    match ids.len().checked_sub(NAMES) {
        None | Some(0) => ids.join(", "),
        Some(more) => format!("{} and {more} more", ids[..NAMES].join(", ")),
    }
}

/// A name in front, the text beside it within 80 columns.
fn row(out: &mut String, name: &str, text: &str) {
    let lines = text.lines().flat_map(|line| changes::wrap(line, 71));
    for (number, line) in lines.enumerate() {
        let name = if number == 0 { name } else { "" };
        let _ = writeln!(out, "{}", format!("{name:9}{line}").trim_end());
    }
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
