//! `bundle-dags`: the DAG bundle of this tree, and with `--env` its upload.

use super::project::{EnvArg, Project};
use super::ui::Ui;
use crate::apply::upload::{self, Uploaded};
use crate::fail::Result;
use crate::model::bundle::Bundle;
use crate::model::names;
use crate::observe;
use crate::report::bundle;
use clap::Args;

/// Pack `dags/` into the bundle that is named by its content.
///
/// Left out are hidden files, `__pycache__`, what git ignores, and what a `.ductworkignore` names in
/// the syntax of `.gitignore`. What `.airflowignore` names is packed: Airflow itself obeys that file
/// when it looks for DAGs, and DAGs may import or read what it names.
///
/// Example: cargo xtask bundle-dags
#[derive(Args, Debug)]
pub struct BundleDags {
    /// Upload it to the artifact bucket of this environment; nothing points to it yet.
    #[arg(long, value_name = "NAME")]
    pub env: Option<String>,
}

pub async fn run(args: &BundleDags, ui: &Ui) -> Result<()> {
    let project = Project::find()?;
    let made = observe::bundle::bundle(&project.root, &project.state().join("cache"))?;
    let uploaded = match &args.env {
        Some(env) => Some(send(&project, &EnvArg { env: env.clone() }, &made, ui).await?),
        None => None,
    };
    ui.data(&bundle::text(&made, uploaded), &bundle::json(&made, uploaded));
    Ok(())
}

/// Whether it had to be sent.
async fn send(project: &Project, env: &EnvArg, made: &Bundle, ui: &Ui) -> Result<bool> {
    let environment = project.environment(env)?;
    let aws = project.connect_for_writing(&environment, &ui.sink(), "setup").await?;
    let key = names::bundle_key(&made.digest);
    let sent =
        upload::put_if_absent(&aws, &environment.artifact_bucket(), &key, &made.path, &made.digest).await?;
    Ok(sent == Uploaded::Yes)
}
