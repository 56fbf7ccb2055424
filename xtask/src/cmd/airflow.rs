//! `airflow`: Airflow's own command line, with the settings and secrets of an environment.
//!
//! Both belong to a host or a task. So the command is run as on a host, by the host's own wrapper, or as a task; nothing
//! of them passes through this process.

use super::run;
use crate::apply::task::Changes;
use crate::doors::aws::Aws;
use crate::doors::proc::Cmd;
use crate::doors::{env, fs, local_cloud};
use crate::fail::{Fail, Result};
use crate::model::names::outputs;
use crate::observe::{stack, workers};
use crate::session::Session;
use crate::session::run::Way;
use crate::ui::{EnvArg, Ui};
use clap::Args;
use std::path::Path;

/// Run Airflow's own command line with the settings and secrets of an environment.
///
/// On ECS it runs as a task of its own, as `run` does. On hosts of the local cloud it runs on this machine: standard
/// input, output and the exit code are the command's own. For hosts on AWS, whose database only they can reach, this
/// prints how to open a session on a host and what to type there, and ends with exit code 2.
///
/// Example: cargo xtask airflow --env local -- dags list
#[derive(Args, Debug)]
pub struct Airflow {
    #[command(flatten)]
    pub env: EnvArg,
    /// The arguments of `airflow`, after `--`.
    #[arg(last = true, required = true, value_name = "ARGS")]
    pub args: Vec<String>,
}

pub async fn run(args: &Airflow, ui: &Ui) -> Result<()> {
    let session = Session::open(&args.env.env).await?;
    if session.environment.engine.is_ecs() {
        let command = std::iter::once("airflow".to_owned()).chain(args.args.clone()).collect();
        let changes = Changes { command: Some(command), ..Changes::default() };
        return run::as_task(&session, &changes, &Way::default(), ui).await;
    }
    let host = host(&session).await?;
    Err(if session.environment.is_local() {
        on_this_machine(&session, &host, &args.args)
    } else {
        by_session(&session, &host, &args.args)
    })
}

/// A host of the schedulers: it parses DAGs, so it may read their connections and variables.
pub(super) async fn host(session: &Session) -> Result<String> {
    let (name, environment) = (session.environment.stack_name(), &session.environment.name);
    let stack = stack::existing(&session.aws.cloudformation, &name, environment.as_str()).await?;
    let group = stack.output(outputs::SCHEDULER_GROUP)?;
    let hosts = workers::read(&session.aws, group).await?.in_service();
    hosts.into_iter().next().ok_or_else(|| {
        Fail::failed(format!("no host of `{group}` is in service"))
            .hint(format!("see what runs: cargo xtask status --env {environment}"))
    })
}

/// Only returns if it cannot start.
pub(super) fn on_this_machine(session: &Session, host: &str, args: &[String]) -> Fail {
    let root = local_cloud::instance(&session.project.root, host);
    let wrapper = root.join("opt/ductwork/revision/bin/airflow");
    if !fs::exists(&wrapper) {
        let environment = &session.environment.name;
        return Fail::usage(format!("no release with this command runs in `{environment}`"))
            .hint(format!("deploy it: cargo xtask deploy --env {environment}"));
    }
    local(&session.aws, &root, &wrapper).args(args).replace_this_process()
}

/// What hooks and components of the local cloud have in their environment.
fn local(aws: &Aws, root: &Path, wrapper: &Path) -> Cmd {
    Cmd::new("bash", Path::new("."))
        .arg(wrapper)
        .envs(env::for_people())
        .env("DUCTWORK_HOST_ROOT", root)
        .env("DUCTWORK_INIT", "supervisord")
        .env("AWS_ENDPOINT_URL", aws.endpoint.as_deref().unwrap_or_default())
        .env("AWS_REGION", &aws.region)
        .env("AWS_DEFAULT_REGION", &aws.region)
        .env("AWS_ACCESS_KEY_ID", "local")
        .env("AWS_SECRET_ACCESS_KEY", "local")
}

fn by_session(session: &Session, host: &str, args: &[String]) -> Fail {
    let command = Cmd::new("ductwork-airflow", Path::new(".")).args(args);
    Fail::usage(format!("the database of `{}` can only be reached from its hosts", session.environment.name))
        .hint(format!(
            "open a session: aws ssm start-session --target {host} --region {}",
            session.aws.region
        ))
        .hint(format!("type there: sudo {command}"))
}
