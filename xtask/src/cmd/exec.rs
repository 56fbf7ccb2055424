//! `exec`: a session in a running component.

use super::airflow;
use crate::fail::{Fail, Result};
use crate::observe::stack;
use crate::session::{Session, exec};
use crate::ui::EnvArg;
use clap::Args;

/// Open a session in a running component, with its settings and secrets.
///
/// On ECS it is in the container of a task, on EC2 on a host of the schedulers. On AWS it needs a terminal, and the plugin
/// of the Session Manager on this machine; what is missing is told with the cure. A session has no exit code of the
/// command: use `run` for that.
///
/// Example: cargo xtask exec --env dev scheduler
#[derive(Args, Debug)]
pub struct Exec {
    #[command(flatten)]
    pub env: EnvArg,
    /// Such as `scheduler`, `worker` or `worker-SET`.
    pub component: String,
    /// This task, not the first that runs.
    #[arg(long, value_name = "ID")]
    pub task: Option<String>,
    /// What to run instead of a shell, after `--`.
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}

pub async fn run(args: &Exec) -> Result<()> {
    let session = Session::open(&args.env.env).await?;
    let environment = &session.environment.name;
    if session.environment.engine.is_ecs() {
        let name = session.environment.stack_name();
        let stack = stack::existing(&session.aws.cloudformation, &name, environment.as_str()).await?;
        return Err(
            exec::in_task(&session, &stack, &args.component, args.task.as_deref(), &args.command).await
        );
    }
    if args.component != "scheduler" || args.task.is_some() || !args.command.is_empty() {
        return Err(Fail::usage("on EC2 a session is a shell on a host of the schedulers")
            .hint(format!("open it: cargo xtask exec --env {environment} scheduler"))
            .hint(format!("run one command: cargo xtask run --env {environment} -- airflow info")));
    }
    let host = airflow::host(&session).await?;
    if session.environment.is_local() {
        let shell = ["--run", "sh"].map(str::to_owned);
        return Err(airflow::on_this_machine(&session, &host, &shell));
    }
    Err(exec::on_host(&session, &host).await)
}
