//! `deploy`: from the tree to an environment that runs it.

use crate::fail::{Fail, Result};
use crate::plan::gates::{Runs, unconfirmed};
use crate::session::prepare::Prepared;
use crate::session::promotion::Origin;
use crate::session::waiting::Patience;
use crate::session::{Setup, deployment, preflight};
use crate::ui::{EnvArg, Ui, WaitArg};
use clap::Args;

/// Bring an environment to what this tree says: stacks, hosts and DAGs.
///
/// Only what differs is touched; if nothing does, nothing happens. If a gate refuses, nothing is touched
/// either (exit code 2). A deployment that fails later on brings the previous release back.
///
/// Example: cargo xtask deploy --env local
#[derive(Args, Debug)]
pub struct Deploy {
    #[command(flatten)]
    pub env: EnvArg,
    /// Promote what this environment runs, or a release of it: the same artifacts, and the environment file of this tree.
    #[arg(long, value_name = "ENV[@RELEASE]")]
    pub from: Option<Origin>,
    /// What `release.confirm` in the environment file asks for.
    #[arg(long, value_name = "PHRASE")]
    pub confirm: Option<String>,
    /// Deploy even if unfinished runs would fail because their DAG is moved or removed, or because their host is
    /// cut off.
    #[arg(long)]
    pub force: bool,
    #[command(flatten)]
    pub wait: WaitArg,
}

pub async fn run(args: &Deploy, ui: &Ui) -> Result<()> {
    let patience = Patience::of(args.wait.wait);
    loop {
        match Box::pin(begin(args, ui, &patience)).await {
            Err(fail) if patience.outlasts(&fail) => {}
            prepared => return deployment::carry_out(prepared?, ui).await,
        }
    }
}

async fn begin(args: &Deploy, ui: &Ui, patience: &Patience) -> Result<Prepared> {
    let (project, environment) = preflight::ready(&args.env.env)?;
    let rules = (&environment.release.rules.confirm, format!("environments/{}.toml", environment.name));
    if let Some(problem) = unconfirmed(&rules.1, rules.0.as_deref(), args.confirm.as_deref()) {
        return Err(Fail::problems("the deployment is not confirmed", vec![problem]));
    }
    let setup = Setup::begin(project, environment, ui.sink()).await?;
    setup.wait(patience).await?;
    let (target, observed, source) = setup.look_at(args.from.as_ref()).await?;
    let runs = if args.force { Runs::Sacrifice } else { Runs::Protect };
    observed.nobody_else(&setup.session)?;
    let mut prepared = setup.prepare(ui, observed, target, source, runs).await?;
    prepared.passes()?;
    prepared.say_dags(ui);
    patience.begin(&mut prepared).await?;
    Ok(prepared)
}
