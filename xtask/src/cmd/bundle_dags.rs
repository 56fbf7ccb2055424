//! `bundle-dags`: the DAG bundle of this tree, and with `--env` what it changes there, and its upload.

use crate::doors::store::{Content, Sent};
use crate::fail::Result;
use crate::model::bundle::Bundle;
use crate::model::names;
use crate::observe;
use crate::report::bundle::Made;
use crate::session::Session;
use crate::session::project::Project;
use crate::ui::Ui;
use clap::Args;

/// Pack `dags/` into the bundle that is named by its content.
///
/// Hidden files, `__pycache__`, whatever git ignores, and whatever a `.ductworkignore` lists (in the
/// syntax of `.gitignore`) are left out. Files listed in `.airflowignore` are packed: Airflow itself
/// obeys that file when it looks for DAGs, and DAGs may import or read those files.
///
/// Example: cargo xtask bundle-dags
#[derive(Args, Debug)]
pub struct BundleDags {
    /// Parse its DAGs, show what they change in this environment, and upload it to the artifact bucket there; nothing
    /// points to it yet.
    #[arg(long, value_name = "NAME")]
    pub env: Option<String>,
}

pub async fn run(args: &BundleDags, ui: &Ui) -> Result<()> {
    let project = Project::find()?;
    let made = observe::bundle::bundle(&project.root, &project.state().join("cache"))?;
    let mut shown = Made { bundle: made, environment: args.env.clone(), uploaded: None, dags: None };
    if let Some(env) = &args.env {
        let environment = project.environment(env)?;
        let session = Session::open_for_writing(project, environment, &ui.sink().step("setup")).await?;
        shown.dags = Some(session.changes_of(&shown.bundle.path, &ui.sink().step("validate")).await?);
        shown.uploaded = Some(upload(&session, &shown.bundle).await?);
    }
    ui.show(&shown);
    Ok(())
}

/// Whether it had to be sent.
async fn upload(session: &Session, made: &Bundle) -> Result<bool> {
    let key = names::bundle_key(&made.digest);
    let sent = session.store.upload(&key, Content::File(&made.path), &made.digest).await?;
    Ok(sent == Sent::Yes)
}
