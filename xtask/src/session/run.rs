//! A command that is run once where the environment runs: as a task of ECS, or on a host of the schedulers.

use super::Session;
use crate::apply::stopping;
use crate::apply::task::{self, Changes, MISSES, Place, Running};
use crate::doors::aws::{self, Aws};
use crate::doors::backoff::Backoff;
use crate::doors::ecs::Cluster;
use crate::doors::{ssm, term, time};
use crate::fail::{Fail, Kind, Problem, Result};
use crate::model::names::outputs;
use crate::model::stack::StackFacts;
use crate::report::run::Ran;
use crate::ui::{Format, Ui};
use std::time::Duration;

/// How it is to run.
#[derive(Clone, Debug, Default)]
pub struct Way {
    pub detach: bool,
    pub timeout: Option<Duration>,
}

/// `cpu=2048`, `memory=4096`, `spot`: what differs from the task definition. All problems together.
pub fn changes(words: &[String]) -> Result<Changes> {
    let (mut changes, mut problems) = (Changes::default(), Vec::new());
    for word in words {
        let (key, value) = word.split_once('=').unwrap_or((word, ""));
        let number = value.parse::<u32>().ok().filter(|number| *number > 0);
        match (key, number) {
            ("cpu", Some(units)) => changes.cpu = Some(units),
            ("memory", Some(mib)) => changes.memory = Some(mib),
            ("spot", None) if value.is_empty() => changes.spot = true,
            _ => problems.push(Problem::new(
                "invalid_value",
                "--set",
                format!("`{word}` changes nothing of a task"),
                "use `cpu=UNITS` (1024 are one CPU), `memory=MIB` or `spot`",
            )),
        }
    }
    if problems.is_empty() { Ok(changes) } else { Err(Fail::problems("the command line is wrong", problems)) }
}

/// As a task of its own, on the image and with the settings of the environment.
pub async fn as_task(
    session: &Session,
    stack: &StackFacts,
    changes: &Changes,
    way: &Way,
    ui: &Ui,
) -> Result<()> {
    let (place, aws) = (Place::of(&stack.outputs)?, &session.aws);
    let definition = stack.output(outputs::MIGRATE)?;
    let running = task::start(&place, aws, definition, "ductwork/run", changes).await?;
    let id = running.task.id().to_owned();
    if way.detach {
        ui.show(&Ran { look: shown(&place, aws, &id), id, exit_code: None });
        return Ok(());
    }
    ui.say(&format!("task {id} of cluster `{}`", place.cluster));
    at_stop(aws, &place, &running);
    let ended = in_time(way.timeout, running.end(|_| (), |line| tell(ui, line))).await;
    stopping::over();
    let Some(end) = ended else {
        running.stop("its time was up").await?;
        return Err(late(way));
    };
    let end = end?;
    match end.code {
        Some(code) => ended_with(id, code, ui),
        None => Err(task::failed(&running, &end, "the command never ran").await),
    }
}

fn shown(place: &Place, aws: &Aws, id: &str) -> String {
    format!("aws ecs describe-tasks --cluster {} --tasks {id} --region {}", place.cluster, aws.region)
}

/// Ctrl-C ends the task, too.
fn at_stop(aws: &Aws, place: &Place, running: &Running<'_>) {
    let (aws, cluster, task) = (aws.clone(), place.cluster.clone(), running.task.task_arn.clone());
    stopping::at_stop(async move {
        let _ = Cluster { aws: &aws, name: &cluster }.stop(&task, "interrupted").await;
    });
}

/// Through Systems Manager, by the host's own wrapper.
pub async fn on_host(session: &Session, host: &str, words: &[String], way: &Way, ui: &Ui) -> Result<()> {
    let aws = &session.aws;
    let wrapped: Vec<String> =
        ["ductwork-airflow", "--run"].map(str::to_owned).into_iter().chain(words.to_vec()).collect();
    let sent = ssm::send(aws, host, &wrapped).await?;
    if way.detach {
        let look = format!(
            "aws ssm get-command-invocation --command-id {} --instance-id {host} --region {}",
            sent.id, aws.region
        );
        ui.show(&Ran { id: sent.id, exit_code: None, look });
        return Ok(());
    }
    ui.say(&format!("command {} on host {host}", sent.id));
    let (own, stopped) = (aws.clone(), sent.clone());
    stopping::at_stop(async move { drop(ssm::cancel(&own, &stopped).await) });
    let ended = in_time(way.timeout, follow(aws, &sent, ui)).await;
    stopping::over();
    let Some(state) = ended else {
        let cancelled = ssm::cancel(aws, &sent).await;
        cancelled.map_err(|refused| aws::refused("Systems Manager", "cannot stop the command", &refused))?;
        return Err(late(way));
    };
    let state = state?;
    match state.code {
        Some(code) => ended_with(sent.id, code, ui),
        None => Err(Fail::failed("the command did not end by itself").cause(state.why)),
    }
}

/// Tells what comes, as far as it has not been told.
async fn follow(aws: &Aws, sent: &ssm::Sent, ui: &Ui) -> Result<ssm::State> {
    let mut backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(3));
    let (mut told, mut misses) = (0, 0);
    loop {
        aws.pace.turn("ssm").await;
        match ssm::state(aws, sent).await {
            Ok(state) => {
                misses = 0;
                out(ui, state.out.get(told..).unwrap_or_default());
                told = state.out.len().max(told);
                if state.over {
                    term::err(&state.err);
                    return Ok(state);
                }
            }
            Err(refused) if misses >= MISSES => {
                return Err(aws::refused("Systems Manager", "cannot read how the command goes on", &refused));
            }
            Err(_) => misses += 1,
        }
        backoff.wait().await;
    }
}

fn tell(ui: &Ui, line: &str) {
    out(ui, &format!("{line}\n"));
}

/// Standard output is for the one JSON document where that was asked for.
fn out(ui: &Ui, text: &str) {
    match ui.common.format {
        Format::Json => term::err(text),
        Format::Text | Format::Markdown => term::out(text),
    }
}

async fn in_time<T>(limit: Option<Duration>, work: impl Future<Output = T>) -> Option<T> {
    match limit {
        None => Some(work.await),
        Some(limit) => tokio::select! {
            done = work => Some(done),
            () = time::sleep(limit) => None,
        },
    }
}

fn late(way: &Way) -> Fail {
    let limit = way.timeout.unwrap_or_default().as_secs();
    Fail::failed(format!("the command was stopped after {limit} s")).hint("give it more time: --timeout")
}

/// The exit code of this command is that of the other.
fn ended_with(id: String, code: i32, ui: &Ui) -> Result<()> {
    ui.show(&Ran { id, exit_code: Some(code), look: String::new() });
    match u8::try_from(code).unwrap_or(1) {
        0 => Ok(()),
        code => Err(Fail::new(Kind::Command(code), format!("the command ended with exit code {code}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_can_have_another_size() {
        let set = |words: &[&str]| changes(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
        let whole = Changes { cpu: Some(2048), memory: Some(4096), spot: true, command: None };
        assert_eq!(set(&["cpu=2048", "memory=4096", "spot"]).unwrap(), whole);
        assert_eq!(set(&[]).unwrap(), Changes::default());
        let fail = set(&["cpu=big", "disk=3", "cpu=1024", "memory=0", "spot=yes"]).unwrap_err();
        let told: Vec<&str> = fail.all_problems().iter().map(|problem| problem.message.as_str()).collect();
        assert_eq!(told.len(), 4, "{told:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn time_is_up_for_what_does_not_end() {
        assert_eq!(in_time(Some(Duration::from_secs(60)), std::future::pending::<()>()).await, None);
        assert_eq!(in_time(Some(Duration::from_secs(60)), async { 1 }).await, Some(1));
    }
}
