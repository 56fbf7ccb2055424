//! `check`: everything that can be known without a cloud, all findings together.

mod parts;
mod templates;

use crate::doors::fs;
use crate::fail::{Fail, Problem, Result};
use crate::model::text::count;
use crate::observe::{environment, host_revision, lint};
use crate::report::check::{Checked, Checks, Ran};
use crate::session::project::Project;
use crate::ui::Ui;
use clap::Args;
use parts::{apart, load, parse, timed};
use templates::{composed, linted};

/// Check the project without a cloud, and tell every finding at once.
///
/// Environment files; connections, variables and pools; templates as each environment gets them, by the tool's own rules, cfn-lint and
/// checkov; DAGs, parsed by the locked Airflow; the host revision, its scripts by shellcheck; Python by
/// ruff. The linters are installed at the first use. cfn-lint and checkov read only what has changed since
/// they last found it clean.
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
    let (root, sink) = (&project.root, ui.sink().step("check"));
    let names = match &args.env {
        Some(name) => vec![name.clone()],
        None => environment::names(root)?,
    };
    let scratch = fs::scratch_dir(&project.state().join("tmp"))?;
    let folder = scratch.path();
    let (environments, known) = timed("environments", || Ok(load(&project, &names)))?;
    let (objects, objects_of) = timed("objects", || Ok(parts::objects(root, &known)))?;
    let (templates, composed) = timed("templates", || composed(root, &known, folder))?;
    let (host, ()) = timed("host revision", || Ok((host_revision::problems(root), ())))?;
    let (for_lint, for_security) = (composed.clone(), composed);
    let (cfn_lint, security, python, shell, dags) = tokio::join!(
        apart("cfn-lint", root, &sink, move |root, sink| {
            linted(&for_lint, |folders| lint::cfn_lint(root, folders, sink))
        }),
        apart("checkov", root, &sink, move |root, sink| {
            linted(&for_security, |folders| lint::checkov(root, folders, sink))
        }),
        apart("ruff", root, &sink, |root, sink| Ok((lint::ruff(root, sink)?, Ran::Everything))),
        apart("shellcheck", root, &sink, |root, sink| Ok((lint::shellcheck(root, sink)?, Ran::Everything))),
        parse(root, &known, &objects_of, &sink),
    );
    let all = vec![environments, objects, templates, host, dags?, cfn_lint?, security?, python?, shell?];
    told(all, ui)
}

/// The table of what was checked, and all findings as one failure.
pub(super) fn told(all: Vec<Checked>, ui: &Ui) -> Result<()> {
    let problems: Vec<Problem> = all.iter().flat_map(|checked| checked.problems.clone()).collect();
    ui.show(&Checks(all));
    match problems.len() {
        0 => Ok(()),
        found => Err(Fail::problems(count(found, "finding"), problems)),
    }
}
