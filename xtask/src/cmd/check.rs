//! `check`: everything that can be known without a cloud, all findings together.

use super::checks::{apart, load, parse, templates, timed};
use super::project::Project;
use super::ui::Ui;
use crate::apply::checks;
use crate::doors::fs;
use crate::fail::{Fail, Problem, Result};
use crate::model::text::count;
use crate::observe::{environment, host_revision};
use crate::report::check::{self as report, Checked};
use clap::Args;

/// Check the project without a cloud, and tell every finding at once.
///
/// Environment files; templates as each environment gets them, by the tool's own rules, cfn-lint and
/// checkov; DAGs, parsed by the locked Airflow; the host revision, its scripts by shellcheck; Python by
/// ruff. The linters are installed at the first use.
///
/// Example: cargo xtask check
#[derive(Args, Debug)]
pub struct Check {
    /// Only this environment's file and templates; without it those of all.
    #[arg(long, value_name = "NAME")]
    pub env: Option<String>,
}

pub async fn run(args: &Check, ui: &Ui) -> Result<()> {
    let project = Project::find()?;
    let (root, sink) = (&project.root, ui.sink());
    let names = match &args.env {
        Some(name) => vec![name.clone()],
        None => environment::names(root)?,
    };
    let scratch = fs::scratch_dir(&project.state().join("tmp"))?;
    let folder = scratch.path();
    let (environments, known) = timed("environments", || Ok(load(&project, &names)))?;
    let (templates, composed) = timed("templates", || templates(root, &known, folder))?;
    let (host, ()) = timed("host revision", || Ok((host_revision::problems(root), ())))?;
    let nothing = composed.is_empty();
    let (lint, security, python, shell, dags) = tokio::join!(
        apart("cfn-lint", root, &sink, {
            let composed = composed.clone();
            move |root, sink| checks::cfn_lint(root, &composed, sink)
        }),
        apart("checkov", root, &sink, move |root, sink| checks::checkov(root, &composed, sink)),
        apart("ruff", root, &sink, checks::ruff),
        apart("shellcheck", root, &sink, checks::shellcheck),
        parse(root, &known, &sink),
    );
    let of_templates = |checked: Checked| Checked { skipped: nothing, ..checked };
    let (lint, security) = (of_templates(lint?), of_templates(security?));
    let all = vec![environments, templates, host, dags?, lint, security, python?, shell?];
    ui.data(&report::text(&all), &report::json(&all));
    let problems: Vec<Problem> = all.into_iter().flat_map(|checked| checked.problems).collect();
    match problems.len() {
        0 => Ok(()),
        found => Err(Fail::problems(count(found, "finding"), problems)),
    }
}
