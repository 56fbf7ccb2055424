//! `bundle-dags`: the DAG bundle of this tree, and with `--env` that of an environment, what it changes there, and its
//! upload.

use crate::doors::store::{Content, Sent};
use crate::fail::Result;
use crate::model::names;
use crate::observe;
use crate::report::bundle::Made;
use crate::session::project::Project;
use crate::session::{Session, dags};
use crate::ui::Ui;
use clap::Args;

/// Pack `dags/` into the bundle that is named by its content.
///
/// With `--env`, of an environment whose DAGs come from a git repository (`dags.git`), it packs those instead.
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
    let made = match &args.env {
        Some(env) => upload(project, env, ui).await?,
        None => {
            let bundle = observe::bundle::bundle(&project.root, &project.state().join("cache"))?;
            Made { bundle, environment: None, uploaded: None, dags: None }
        }
    };
    ui.show(&made);
    Ok(())
}

/// The bundle of the environment, what it changes there, and whether it had to be sent.
async fn upload(project: Project, env: &str, ui: &Ui) -> Result<Made> {
    let environment = project.environment(env)?;
    let session = Session::open_for_writing(project, environment, &ui.sink().step("setup")).await?;
    let git = dags::from_git(&session, &ui.sink()).await?;
    let bundle = dags::packed(&session.project.root, git.as_ref())?;
    let source = git.map(|git| git.source);
    let changes = session.changes_of(&bundle.path, source.as_ref(), &ui.sink().step("validate")).await?;
    let key = names::bundle_key(&bundle.digest);
    let sent = session.store.upload(&key, Content::File(&bundle.path), &bundle.digest).await?;
    let (environment, uploaded) = (Some(env.to_owned()), Some(sent == Sent::Yes));
    Ok(Made { bundle, environment, uploaded, dags: Some(changes) })
}
