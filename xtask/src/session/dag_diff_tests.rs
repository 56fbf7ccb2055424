//! What is said of an environment that answers, of one that does not, and of a new one.

use super::*;
use crate::config;
use crate::doors::aws::Aws;
use crate::doors::fake::{ACCOUNT, Late, Server};
use crate::doors::store::Store;
use crate::doors::time::Stopwatch;
use crate::session::project::Project;
use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::error::ErrorMetadata;
use aws_sdk_secretsmanager::operation::describe_secret::{DescribeSecretError, DescribeSecretOutput};
use aws_smithy_mocks::{MockResponse, RuleMode, mock, mock_client};
use serde_json::{Value, json};

/// A session whose Secrets Manager has one connection and denies what is asked of another.
fn session(more: &str) -> Session {
    let describe = mock!(Client::describe_secret).then_compute_response(|request| {
        let code = match request.secret_id().unwrap() {
            "ductwork/dev/connections/stored" => {
                return MockResponse::Output(DescribeSecretOutput::builder().build());
            }
            "ductwork/dev/connections/denied" => "AccessDeniedException",
            _ => "ResourceNotFoundException",
        };
        MockResponse::Error(DescribeSecretError::generic(ErrorMetadata::builder().code(code).build()))
    });
    let mut aws = Aws::nowhere();
    aws.secrets = mock_client!(aws_sdk_secretsmanager, RuleMode::MatchAny, [&describe], |config| config
        .http_client(Late::client()));
    let text = format!(
        "[aws]\naccount = '{ACCOUNT}'\nregion = 'eu-central-1'\n[airflow]\n\
         url = 'http://airflow.example.com:8080'\n{more}\n[entry]\nallowed_cidrs = ['203.0.113.0/24']\n"
    );
    let environment = config::resolve("dev", &text, "environments/dev.toml").unwrap();
    let store = Store::new(&aws, ACCOUNT, "dev");
    Session { project: Project { root: "/nowhere".into() }, environment, aws, store }
}

fn dags() -> (DagIndex, DagIndex) {
    let dag = |id: &str, schedule: &str| json!({ "dag_id": id, "file": "a.py", "schedule": schedule });
    let mut new = dag("new", "1");
    new["connections"] = json!(["stored", "denied", "wanted", "aws_default_not", "http_default"]);
    new["pools"] = json!(["by_hand", "leaving", "none"]);
    let index = |dags: Value| serde_json::from_value(dags).unwrap();
    (index(json!([dag("old", "1")])), index(json!([dag("old", "2"), new])))
}

async fn diff(session: &Session, live: Live) -> DagDiff {
    let (old, new) = dags();
    session.dag_diff(&live, &old, &new, &Objects::default()).await
}

fn names(needs: &[Need]) -> String {
    needs.iter().map(|need| need.name.as_str()).collect::<Vec<_>>().join(" ")
}

fn paused(diff: &DagDiff) -> Vec<(&str, Option<bool>)> {
    diff.details.iter().map(|one| (one.dag_id.as_str(), one.paused)).collect()
}

#[tokio::test(start_paused = true)]
async fn what_dags_name_is_looked_for_at_the_same_time() {
    let watch = Stopwatch::start();
    let found = diff(&session(""), Live::None).await;
    assert_eq!(found.lacking.len() + found.unsure.len(), 7);
    assert_eq!(
        watch.elapsed().as_secs(),
        1,
        "of five connections, for each of which Secrets Manager is asked"
    );
}

#[tokio::test(start_paused = true)]
async fn a_new_environment_has_what_the_release_and_secrets_bring() {
    let found = diff(&session(""), Live::None).await;
    assert_eq!(names(&found.lacking), "aws_default_not http_default wanted by_hand leaving none");
    assert_eq!(names(&found.unsure), "denied");
    assert_eq!(paused(&found), [("new", Some(false)), ("old", None)]);
    let more =
        "load_default_connections = true\n[airflow.config]\n'core.dags_are_paused_at_creation' = 'True'";
    let found = diff(&session(more), Live::None).await;
    assert_eq!(names(&found.lacking), "aws_default_not wanted by_hand leaving none");
    assert_eq!(paused(&found)[0], ("new", Some(true)));
}

#[tokio::test(start_paused = true)]
async fn of_an_airflow_that_does_not_answer_nothing_is_claimed() {
    let found = diff(&session(""), Live::Silent).await;
    assert_eq!(names(&found.lacking), "");
    assert_eq!(names(&found.unsure), "aws_default_not denied http_default wanted by_hand leaving none");
    assert_eq!(paused(&found), [("new", None), ("old", None)]);
}

#[tokio::test(start_paused = true)]
async fn airflow_is_asked_for_what_people_made_in_it() {
    let server = Server::new(|asked| {
        let path = asked.line.trim_start_matches("GET /api/v2/");
        match path {
            "connections/http_default" => (200, json!({ "connection_id": "http_default" })),
            "dags/old" | "dags/new" => (200, json!({ "is_paused": true })),
            _ if path.starts_with("pools") => {
                let pool = |name: &str, description: &str| json!({ "name": name, "slots": 1, "description": description, "include_deferred": false });
                let pools = [pool("by_hand", "x"), pool("leaving", "[airflow/objects.toml]")];
                (200, json!({ "pools": pools, "total_entries": 2 }))
            }
            _ => (404, json!({ "detail": "not found" })),
        }
    });
    let found = diff(&session(""), Live::Answers(Airflow::new(&server.url))).await;
    assert_eq!(names(&found.lacking), "aws_default_not wanted leaving none");
    assert_eq!(names(&found.unsure), "denied");
    // One that Airflow had before and that comes back is as it was.
    assert_eq!(paused(&found), [("new", Some(true)), ("old", Some(true))]);
}
