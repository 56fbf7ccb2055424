//! `doctor`: whether the account has what an environment needs.

use crate::fail::{Fail, Result};
use crate::plan::gates::{Outcome, findings};
use crate::report::doctor::Diagnosis;
use crate::session::{Session, account, dags};
use crate::ui::{EnvArg, Ui};
use clap::Args;

/// Check whether the AWS account has what an environment needs.
///
/// Looks at quotas and their use, instance types and zones, elastic IP addresses and VPCs, subnets,
/// certificate, hosted zone, secrets, the image of the hosts, service-linked roles, whether you may make the
/// calls of this tool, and whether the git repository of the DAGs can be read, if they come from one. Only
/// reads. Ends with exit code 2 if something is missing; what AWS does not let you ask is
/// listed and is no error. `plan` and `deploy` check the same before they change anything, as far as the
/// deployment depends on it; rights and roles are checked here only.
///
/// Example: cargo xtask doctor --env dev
#[derive(Args, Debug)]
pub struct Doctor {
    #[command(flatten)]
    pub env: EnvArg,
}

pub async fn run(args: &Doctor, ui: &Ui) -> Result<()> {
    let session = Session::open(&args.env.env).await?;
    let account = account::examine(&session).await?;
    let mut findings = findings(&session.file(), &account);
    findings.extend(dags::reachable(&session).await?);
    let is_missing = findings.iter().any(|one| one.outcome == Outcome::Missing);
    ui.show(&Diagnosis { environment: args.env.env.clone(), findings });
    if is_missing {
        return Err(Fail::usage("the account lacks what the environment needs")
            .hint("fix the problems above, then run the same command again"));
    }
    Ok(())
}
