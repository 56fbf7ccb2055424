//! `plan`: what `deploy` would do, without doing it.

use super::project::EnvArg;
use super::{connect, preflight, target, ui::Ui};
use crate::apply::{preview, validate};
use crate::fail::{Fail, Kind, Result};
use crate::model::dags::DagDiff;
use crate::plan::deploy::{Source, Step};
use crate::report::plan::{self, Preview};
use clap::Args;

/// Show what a deployment would do: steps, DAGs, and every change to the stacks.
///
/// The changes come from a change set, which is deleted again; templates go to the artifact bucket
/// for it, nothing else is written.
///
/// Example: cargo xtask plan --env local
#[derive(Args, Debug)]
pub struct Plan {
    #[command(flatten)]
    pub env: EnvArg,
    /// End with exit code 3 where there is something to deploy.
    #[arg(long)]
    pub check: bool,
}

pub async fn run(args: &Plan, ui: &Ui) -> Result<()> {
    let (project, environment) = preflight::ready(&args.env)?;
    let desk = connect::desk(project, environment, ui).await?;
    let parse = desk.environment.dags.parse_timeout;
    let (root, sink) = (desk.project.root.clone(), desk.sink.clone());
    let tree = desk.tree()?;
    let artifacts = target::artifacts(&tree);
    let ready = desk.ready(ui, tree.release, Source::Tree, artifacts).await?;
    let mut preview = Preview::of(&ready.plan, &ready.context.environment, &ready.context.stack);
    if ready.plan.steps.contains(&Step::Validate) {
        match validate::validate(&root, &tree.bundle.path, parse, &sink, "plan").await {
            Ok(dags) => {
                let live = preview::live_dags(&ready.context, &ready.facts).await?;
                preview.dags = DagDiff::between(&live, &dags);
            }
            Err(fail) if fail.all_problems().is_empty() => return Err(fail),
            Err(fail) => preview.problems = fail.all_problems().to_vec(),
        }
    }
    if ready.plan.steps.contains(&Step::Stack) {
        preview.stack = preview::stack(&ready.context, &ready.plan).await?;
    }
    ui.data(&plan::text(&preview), &plan::json(&preview));
    if !preview.problems.is_empty() {
        return Err(
            Fail::usage("a deployment would be refused").hint("cure the problems above, then plan again")
        );
    }
    if args.check && !ready.plan.is_unchanged() {
        return Err(Fail::new(Kind::Changes, "there are changes to deploy")
            .hint(format!("deploy them: cargo xtask deploy --env {}", args.env.env)));
    }
    Ok(())
}
