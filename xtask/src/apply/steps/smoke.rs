//! Step `smoke`: every component is healthy, and a worker of the new runtime runs a task.

use super::super::context::{Context, State};
use super::super::timed::Ended;
use super::super::{airflow, smoke};
use crate::doors::time::{self, Stopwatch};
use crate::fail::{Fail, Result};
use crate::model::contract::CONTRACT;
use crate::model::event::Sink;
use crate::model::names;
use crate::model::release::Runtime;
use crate::observe::workers;
use serde_json::Value;
use std::time::Duration;

/// How long workers on ECS that drain may take tasks: each asks what its service runs every 10 s, or less often if
/// there are very many.
const GIVING_WAY: Duration = Duration::from_secs(180);
const AGAIN: Duration = Duration::from_secs(2);

pub(super) async fn run(
    context: &Context,
    runtime: Runtime,
    release: &str,
    state: &mut State,
    sink: &Sink,
) -> Result<Ended> {
    if state.running.proven {
        return Ok(Ended::skipped("nothing that runs tasks was changed"));
    }
    airflow::healthy(context, state, sink).await?;
    if workers::asleep(&context.aws, &state.outputs).await.is_ok_and(|asleep| asleep) {
        return Ok(Ended::done(
            "every component is healthy; no task ran, since the workers sleep by [schedule]",
        ));
    }
    let airflow = state.airflow(&context.doors()).await?;
    let group = names::worker_groups(&state.outputs).remove(&CONTRACT.worker_set.default);
    let hosts = group.as_deref().map(|group| (&context.aws, group));
    let drain = Stopwatch::start();
    loop {
        let report = smoke::run(&airflow, release, hosts, sink).await?;
        let ended = judged(runtime, &report);
        // Workers on ECS learn within seconds that another revision has come; the one that drains may be quicker.
        if ended.is_ok() || state.draining == 0 || drain.elapsed() >= GIVING_WAY {
            return ended;
        }
        sink.progress("a worker that drains took the smoke task: once more".to_owned());
        time::sleep(AGAIN).await;
    }
}

/// Whether the task ran on what was deployed.
fn judged(runtime: Runtime, report: &Value) -> Result<Ended> {
    let expected = runtime.digest();
    let (what, elsewhere) = match runtime {
        Runtime::Hosts(_) => ("host revision", "outside the deployment group"),
        Runtime::Services(_) => ("image", "outside the services of the environment, or that still drain,"),
    };
    let revision = report["revision"].as_str().unwrap_or("unknown");
    if revision.trim_start_matches("sha256:") != expected.to_string() {
        return Err(Fail::failed("the smoke task ran on a worker of another revision")
            .cause(format!("it ran on {what} `{revision}`, deployed is `{expected}`"))
            .hint(format!("look for workers {elsewhere} that read the same queue")));
    }
    let host = report["host"].as_str().unwrap_or("a worker");
    Ok(Ended::done(format!("a task ran on {host}, {what} {}", expected.short())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::digest::Digest;
    use serde_json::json;

    #[test]
    fn the_task_has_to_run_on_what_was_deployed() {
        let (new, old) = (Digest::of(b"new"), Digest::of(b"old"));
        let run = |runtime, revision: String| judged(runtime, &json!({ "revision": revision, "host": "h" }));
        for revision in [new.to_string(), format!("sha256:{new}")] {
            let ended = run(Runtime::Services(new), revision).unwrap();
            assert_eq!(ended.summary, format!("a task ran on h, image {}", new.short()));
        }
        assert!(run(Runtime::Hosts(new), new.to_string()).is_ok());
        let fail = run(Runtime::Services(new), old.to_string()).unwrap_err();
        assert_eq!(fail.causes(), [format!("it ran on image `{old}`, deployed is `{new}`")]);
    }
}
