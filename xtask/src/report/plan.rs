//! A plan as text or as the JSON of the contract.

use super::changes;
use crate::model::change::StackPreview;
use crate::model::dags::DagDiff;
use crate::model::problem::Problem;
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
            StackPreview::Update(_) => "update",
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
    let _ = writeln!(out, "steps    {}", steps.join(", "));
    for (word, ids) in [
        ("added", &preview.dags.added),
        ("removed", &preview.dags.removed),
        ("moved", &preview.dags.moved),
        ("changed", &preview.dags.changed),
    ] {
        if !ids.is_empty() {
            let _ = writeln!(out, "DAGs     {word}: {}", ids.join(", "));
        }
    }
    match &preview.stack {
        StackPreview::None => {}
        StackPreview::Create => {
            let _ = writeln!(out, "stack    `{}` is created", preview.stack_name);
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
        let _ = writeln!(
            out,
            "\nproblem  {}: {}\n         cure: {}",
            problem.place, problem.message, problem.hint
        );
    }
    out
}
