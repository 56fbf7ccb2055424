//! Which task a session is opened in, what it lacks, and what the plugin gets.

use super::*;
use crate::doors::ecs::Agent;
use crate::doors::fake_ecs::{FakeEcs, task};
use crate::model::names::Serves;

fn services() -> Vec<Service> {
    ["api-server", "worker default", "worker small"]
        .map(|title| Service {
            title: title.to_owned(),
            name: title.to_owned(),
            task_definition: "d:1".to_owned(),
            serves: Serves::Component("X"),
        })
        .to_vec()
}

#[test]
fn components_are_named_as_people_say_them() {
    let found = |word| named(services(), word).map(|service| service.title);
    assert_eq!(found("api-server").unwrap(), "api-server");
    assert_eq!(found("worker").unwrap(), "worker default");
    assert_eq!(found("worker-small").unwrap(), "worker small");
    let fail = found("webserver").unwrap_err();
    assert_eq!(fail.hints(), ["choose one of api-server, worker-default, worker-small"]);
}

#[tokio::test]
async fn a_task_is_chosen_by_its_id_or_the_first_that_runs() {
    let ecs = FakeEcs::default()
        .task([task("t-0", "d:1", "PENDING")])
        .task([task("t-1", "d:1", "RUNNING")])
        .task([task("t-2", "d:1", "RUNNING")]);
    let aws = ecs.aws();
    let cluster = Cluster { aws: &aws, name: "c" };
    let service = services().remove(0);
    let found = async |id| chosen(cluster, &service, id).await.map(|task| task.id().to_owned());
    assert_eq!(found(None).await.unwrap(), "t-1");
    assert_eq!(found(Some("t-2")).await.unwrap(), "t-2");
    assert_eq!(found(Some("t-0")).await.unwrap_err().hints(), ["choose one of t-1, t-2"]);
}

#[test]
fn the_container_is_that_of_the_component() {
    let names = ["scaler", "worker"].map(str::to_owned);
    let containers = names.map(|name| Container { name, ..Container::default() }).to_vec();
    let task = Task { containers, ..Task::default() };
    assert_eq!(main_container(&task, &services()[1]).unwrap().name, "worker");
    assert!(main_container(&task, &services()[0]).is_err());
}

#[test]
fn a_command_has_the_settings_of_the_component() {
    let line = |words: &[&str]| line(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
    let start = "/opt/ductwork/venv/bin/python -m ductwork_airflow.images.start";
    assert_eq!(line(&[]), format!("{start} sh"));
    assert_eq!(line(&["airflow", "a b"]), format!("{start} airflow 'a b'"));
}

#[test]
fn the_plugin_has_to_take_the_token_in_its_environment() {
    for (version, new) in
        [("1.2.497.0", false), ("1.2.536.0", true), ("1.3.0.0", true), ("1.2", false), ("", false)]
    {
        assert_eq!(is_new(version), new, "{version}");
    }
}

#[test]
fn a_task_without_sessions_says_so() {
    let with = |enabled, agent: Option<&str>| {
        let agents = agent
            .map(|status| Agent { name: "ExecuteCommandAgent".to_owned(), last_status: status.to_owned() });
        let container = Container { managed_agents: agents.into_iter().collect(), ..Container::default() };
        let task = Task { enable_execute_command: enabled, ..Task::default() };
        task_problem(&task, &container, "f").map(|problem| problem.message)
    };
    assert_eq!(with(true, Some("RUNNING")), None);
    assert!(with(false, None).unwrap().contains("not enabled"));
    assert!(with(true, Some("PENDING")).unwrap().ends_with("is PENDING"));
    assert!(with(true, None).unwrap().ends_with("is not there"));
}

#[test]
fn the_token_is_in_no_argument() {
    let opened = Opened(json!({ "tokenValue": "secret" }));
    let cmd = plugin(Cmd::new(PLUGIN, Path::new(".")), "eu-central-1", None, &opened, "ecs:c_t_r");
    assert!(!cmd.to_string().contains("secret"), "{cmd}");
    assert!(
        cmd.to_string()
            .starts_with("session-manager-plugin AWS_SSM_START_SESSION_RESPONSE eu-central-1 StartSession")
    );
    let printed = Cmd::new("/usr/bin/env", Path::new("/")).env(RESPONSE, opened.0.to_string()).run().unwrap();
    assert!(printed.contains("secret") && !format!("{opened:?}").contains("secret"));
}
