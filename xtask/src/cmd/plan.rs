//! `plan`: what `deploy` would do, without doing it.

use crate::apply::stack::preview;
use crate::doors::github::PullRequest;
use crate::fail::{Fail, Kind, Result};
use crate::model::change::StackPreview;
use crate::plan::contents::Contents;
use crate::plan::gates::Runs;
use crate::report::Output as _;
use crate::report::plan::Preview;
use crate::session::prepare::Prepared;
use crate::session::promotion::Origin;
use crate::session::{Setup, preflight};
use crate::ui::{EnvArg, Ui};
use clap::Args;

/// Show what a deployment would do: steps, DAGs, every change to the stacks, and what each gate says.
///
/// The changes come from a change set, which is deleted again; templates are uploaded to the artifact
/// bucket for it, and nothing else is written. If a gate would refuse the deployment, so does this verb
/// (exit code 2).
///
/// Example: cargo xtask plan --env local
#[derive(Args, Debug)]
pub struct Plan {
    #[command(flatten)]
    pub env: EnvArg,
    /// Plan the promotion of what this environment runs, or of a release of it.
    #[arg(long, value_name = "ENV[@RELEASE]")]
    pub from: Option<Origin>,
    /// End with exit code 3 if there is something to deploy.
    #[arg(long)]
    pub check: bool,
    /// Plan `deploy --force`: unfinished runs may fail because their DAG is moved or removed, or because their
    /// host is cut off.
    #[arg(long)]
    pub force: bool,
    /// In a job of GitHub Actions that runs for a pull request: put the plan there as a comment, in place of the one
    /// before.
    #[arg(long)]
    pub comment: bool,
}

pub async fn run(args: &Plan, ui: &Ui) -> Result<()> {
    let request = args.comment.then(PullRequest::of_this_job).transpose()?;
    let (project, environment) = preflight::ready(&args.env.env)?;
    let setup = Setup::begin(project, environment, ui.sink()).await?;
    let (target, observed, source) = setup.look_at(args.from.as_ref()).await?;
    let runs = if args.force { Runs::Sacrifice } else { Runs::Protect };
    let prepared = setup.prepare(ui, observed, target, source, runs).await?;
    let stack = stack(&prepared).await?;
    let refusal = prepared.passes();
    let unchanged = prepared.plan.is_unchanged();
    let contents = Contents::between(prepared.facts.previous.as_ref(), &prepared.plan.release);
    let preview = Preview {
        environment: prepared.context.environment().to_owned(),
        stack_name: prepared.context.stack.clone(),
        plan: prepared.plan,
        dags: prepared.dags,
        contents,
        stack,
        gates: prepared.gates,
    };
    ui.show(&preview);
    if let Some(request) = request {
        request.comment(&format!("<!-- ductwork: plan {} -->", args.env.env), &preview.markdown())?;
    }
    match refusal {
        Err(refused) => {
            ui.annotate(&refused);
            Err(Fail::usage("a deployment would be refused").hint("fix the problems above, then plan again"))
        }
        Ok(()) if args.check && !unchanged => Err(Fail::new(Kind::Changes, "there are changes to deploy")
            .hint(format!("deploy them: cargo xtask deploy --env {}", args.env.env))),
        Ok(()) => Ok(()),
    }
}

/// What the stack step would do, if there is one.
async fn stack(prepared: &Prepared) -> Result<StackPreview> {
    match &prepared.decision {
        Some(decision) if prepared.plan.has("stack") => {
            preview::preview(&prepared.context, &prepared.plan.release, decision).await
        }
        _ => Ok(StackPreview::None),
    }
}
