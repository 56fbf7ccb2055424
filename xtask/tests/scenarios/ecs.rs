//! Environments whose components are tasks of ECS, from the smallest to everything and back.

use super::{
    Stage, announce, back, destroyed, everything, highly_available, no_longer_protected, smallest,
    the_deploy_role_suffices,
};
use crate::engines::{ECS_EC2, Engine, FARGATE};
use crate::environments::deploy;
use crate::{broker, canary_task, services, support};

#[test]
fn on_fargate_from_the_smallest_to_everything_and_back() {
    lead(&FARGATE);
}

/// The rest is that of `fargate`, whose templates these are.
#[test]
fn on_instances_the_smallest_and_back_to_nothing() {
    let stage = Stage::new(&ECS_EC2);
    smallest(&stage);
    the_roles_suffice(&stage);
    destroyed(&stage);
    the_deploy_role_suffices(&stage, &[("local", "")]);
}

fn lead(engine: &'static Engine) {
    let stage = Stage::new(engine);
    let first = smallest(&stage);
    canary_task::of_tasks(&stage);
    highly_available(&stage);
    no_longer_protected(&stage);
    everything(&stage);
    broker_as_a_task(&stage);
    the_roles_suffice(&stage);
    without_workers(&stage);
    back(&stage, &first, None);
    destroyed(&stage);
    the_deploy_role_suffices(&stage, &[("local", "")]);
}

/// In place of ElastiCache, with Flower at the load balancer that is there.
fn broker_as_a_task(stage: &Stage) {
    announce("broker as a task");
    assert_eq!(deploy(&stage.project, &stage.engine.broker_as_a_task())["outcome"], "deployed");
    broker::as_a_task(&stage.made());
    broker::is_told(&stage.project);
}

/// Every task is one of ECS: workers and their queues go, and a broker of the environment with them.
fn without_workers(stage: &Stage) {
    announce("without workers");
    let text = stage.engine.without_workers();
    assert_eq!(deploy(&stage.project, &text)["outcome"], "deployed");
    services::without_workers(&stage.made());
}

/// Those with which ECS starts tasks, and those with which log routers deliver, by what was done with them in all
/// environments so far. What the stub does in place of Airflow is no measure for the rest; `tests/whole` judges that.
fn the_roles_suffice(stage: &Stage) {
    announce("roles of tasks");
    let judged = stage.project.python(&["-m", "localcloud.iam"]);
    let lacks = |line: &&str| line.contains(" must allow ") || line.contains("has no role here");
    let wrong: Vec<&str> = judged.stdout.lines().filter(lacks).collect();
    assert!(wrong.is_empty() && judged.stderr.contains("calls"), "{wrong:#?}{}", judged.stderr);
    support::say(&format!("    {}", judged.stderr.trim()));
}
