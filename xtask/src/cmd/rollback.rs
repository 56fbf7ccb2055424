//! `rollback`: an earlier release again, all of it.

use crate::apply::context::Artifacts;
use crate::fail::{Fail, Result};
use crate::model::release::{Outcome, Release};
use crate::observe::release;
use crate::plan::compose::MASTER;
use crate::plan::deployment::Source;
use crate::plan::gates::Runs;
use crate::plan::templates::Packaged;
use crate::session::observed::Observed;
use crate::session::prepare::Prepared;
use crate::session::project::Project;
use crate::session::tree::Candidate;
use crate::session::waiting::Patience;
use crate::session::{Session, Setup, deployment};
use crate::ui::{EnvArg, Ui, WaitArg};
use clap::Args;

/// Bring an environment back to an earlier release: bundle, hosts, templates and parameters.
///
/// Example: cargo xtask rollback --env local
#[derive(Args, Debug)]
pub struct Rollback {
    #[command(flatten)]
    pub env: EnvArg,
    /// The release to go back to; by default the one that ran before the current one.
    #[arg(value_name = "RELEASE")]
    pub release: Option<String>,
    #[command(flatten)]
    pub wait: WaitArg,
}

pub async fn run(args: &Rollback, ui: &Ui) -> Result<()> {
    let patience = Patience::of(args.wait.wait);
    loop {
        match Box::pin(begin(args, ui, &patience)).await {
            Err(fail) if patience.outlasts(&fail) => {}
            prepared => return deployment::carry_out(prepared?, ui).await,
        }
    }
}

async fn begin(args: &Rollback, ui: &Ui, patience: &Patience) -> Result<Prepared> {
    let project = Project::find()?;
    let environment = project.environment(&args.env.env)?;
    let setup = Setup::begin(project, environment, ui.sink()).await?;
    setup.wait(patience).await?;
    let observed = setup.session.observe().await?;
    let id = match &args.release {
        Some(id) => id.clone(),
        None => before_current(&setup.session, &observed).await?,
    };
    let target = recorded(&setup.session, release::release(&setup.session.store, &id).await?).await?;
    observed.nobody_else(&setup.session)?;
    let mut prepared = setup.prepare(ui, observed, target, Source::Record, Runs::Protect).await?;
    prepared.passes()?;
    prepared.say_dags(ui);
    patience.begin(&mut prepared).await?;
    Ok(prepared)
}

/// A recorded release, all of which is in the bucket.
async fn recorded(session: &Session, release: Release) -> Result<Candidate> {
    let body = release::whole(&session.store, &release).await?;
    let root = Packaged { path: MASTER.to_owned(), digest: release.stack.template, body };
    Ok(Candidate { release, root, artifacts: Artifacts::default(), promoted: None })
}

/// The last release that was deployed successfully before the current one.
async fn before_current(session: &Session, observed: &Observed) -> Result<String> {
    let name = session.store.environment();
    let current = observed.current.pointer.as_ref().map(|found| &found.value.release);
    let all = release::deployments(&session.store, 50).await?;
    let earlier = all.iter().find(|d| d.outcome == Outcome::Deployed && Some(&d.release) != current);
    earlier.map(|deployment| deployment.release.clone()).ok_or_else(|| {
        Fail::usage(format!("`{name}` has no earlier release to roll back to"))
            .hint(format!("list the releases: cargo xtask history --env {name}"))
    })
}
