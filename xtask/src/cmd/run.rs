//! `run`: a command once, with the settings and secrets of an environment.

use super::airflow;
use crate::apply::task::Changes;
use crate::doors::time;
use crate::fail::{Fail, Result};
use crate::observe::stack;
use crate::session::Session;
use crate::session::run::{self as once, Way};
use crate::ui::{EnvArg, Ui};
use clap::Args;
use std::time::Duration;

/// Run a command once, with the settings and secrets of an environment.
///
/// On ECS it runs as a task of its own, on EC2 on a host of the schedulers, and on the local cloud on this machine.
/// Nothing goes through a shell. What it prints is shown while it runs, its exit code is this command's, and Ctrl-C stops
/// it.
///
/// Example: cargo xtask run --env dev -- airflow db check
#[derive(Args, Debug)]
pub struct Run {
    #[command(flatten)]
    pub env: EnvArg,
    /// Another size of the task: `cpu=2048,memory=4096`, or `spot` for Fargate Spot.
    #[arg(long, value_name = "CHANGES", value_delimiter = ',')]
    pub set: Vec<String>,
    /// Do not wait for its end.
    #[arg(long, conflicts_with = "timeout")]
    pub detach: bool,
    /// Stop it after this time, such as `90s` or `1h 30m`.
    #[arg(long, value_name = "TIME", value_parser = time::duration)]
    pub timeout: Option<Duration>,
    /// The command and its arguments, after `--`.
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}

pub async fn run(args: &Run, ui: &Ui) -> Result<()> {
    let changes = once::changes(&args.set)?;
    let way = Way { detach: args.detach, timeout: args.timeout };
    let session = Session::open(&args.env.env).await?;
    if session.environment.engine.is_ecs() {
        let changes = Changes { command: Some(args.command.clone()), ..changes };
        return as_task(&session, &changes, &way, ui).await;
    }
    if !args.set.is_empty() {
        return Err(
            Fail::usage("a host has the size that it has").hint("leave `--set` out: it is for tasks of ECS")
        );
    }
    let host = airflow::host(&session).await?;
    if !session.environment.is_local() {
        return once::on_host(&session, &host, &args.command, &way, ui).await;
    }
    if way.detach || way.timeout.is_some() {
        let fail = Fail::usage("the command becomes a process of this machine, in place of this one");
        return Err(fail.hint("leave `--detach` and `--timeout` out, and use what your shell has for them"));
    }
    let words: Vec<String> = std::iter::once("--run".to_owned()).chain(args.command.clone()).collect();
    Err(airflow::on_this_machine(&session, &host, &words))
}

pub(super) async fn as_task(session: &Session, changes: &Changes, way: &Way, ui: &Ui) -> Result<()> {
    let (name, environment) = (session.environment.stack_name(), &session.environment.name);
    let stack = stack::existing(&session.aws.cloudformation, &name, environment.as_str()).await?;
    once::as_task(session, &stack, changes, way, ui).await
}
