//! `upgrade-test`: another Airflow, tried on this machine.

use crate::fail::{Fail, Problem, Result};
use crate::model::text::count;
use crate::plan::upgrade::version;
use crate::report::lock::Locks;
use crate::report::upgrade_test::Report;
use crate::session::project::Project;
use crate::session::upgrade_test;
use crate::ui::{EnvArg, Ui};
use clap::Args;

/// Try another version of Airflow, before anything is upgraded to it.
///
/// Resolves a lock with it in a folder of its own, and says what is in the way; parses every DAG with it and
/// lists deprecations; has it migrate a copy of the local database there and back, and run the smoke DAG.
/// Stages do not wait for the success of others that they do not need. Neither the tree nor an environment is
/// touched. Ends with exit code 2 if something does not work.
///
/// Example: cargo xtask upgrade-test --airflow 3.4.0
#[derive(Args, Debug)]
pub struct UpgradeTest {
    /// The version, such as 3.4.0.
    #[arg(long, value_name = "VERSION", value_parser = version)]
    pub airflow: String,
    #[command(flatten)]
    pub env: EnvArg,
}

pub async fn run(args: &UpgradeTest, ui: &Ui) -> Result<()> {
    let project = Project::find()?;
    let environment = project.environment(&args.env.env)?;
    let tested = upgrade_test::run(&project, &environment, &args.airflow, &ui.sink()).await?;
    let problems: Vec<Problem> = tested.stages.iter().flat_map(|stage| stage.problems.clone()).collect();
    let locks = tested.locks.into_iter().map(|lock| (lock.file, lock.before, lock.after));
    ui.show(&Report {
        airflow: args.airflow.clone(),
        environment: args.env.env.clone(),
        folder: tested.folder,
        stages: tested.stages,
        deprecations: tested.deprecations,
        locks: Locks::new(locks),
    });
    match problems.len() {
        0 => Ok(()),
        found => Err(Fail::problems(
            format!("{} with Airflow {}, nothing was changed", count(found, "problem"), args.airflow),
            problems,
        )),
    }
}
