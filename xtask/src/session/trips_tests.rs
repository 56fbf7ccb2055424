//! How many round trips to AWS a deployment waits for. Each answer comes after a second of a clock that stands still
//! otherwise, and Airflow answers at once: so many seconds pass as there are trips one after the other.

use super::Session;
use super::deployment::carry_out;
use super::fake::{self, quiet};
use super::prepare::Prepared;
use super::project::Project;
use crate::apply::context::{Archive, Progress, State};
use crate::apply::fake::{context, parts};
use crate::config;
use crate::doors::aws::Aws;
use crate::doors::fake::{ACCOUNT, Bucket, Late, Server};
use crate::doors::store::Store;
use crate::doors::time::Stopwatch;
use crate::model::dags::DagIndex;
use crate::model::digest::Digest;
use crate::model::event::{Event, Sink};
use crate::model::names::{self, outputs};
use crate::model::release::{Parts, Pointer, Release};
use crate::plan::deployment::{Facts, Source, Step, plan};
use crate::plan::running::{Records, Running};
use aws_sdk_cloudformation::operation::describe_stacks::DescribeStacksOutput;
use aws_sdk_cloudformation::operation::get_template::GetTemplateOutput;
use aws_sdk_cloudformation::types::{Output, Stack, StackStatus};
use aws_sdk_secretsmanager::operation::describe_secret::DescribeSecretOutput;
use aws_sdk_secretsmanager::operation::get_secret_value::GetSecretValueOutput;
use aws_smithy_mocks::{RuleMode, mock, mock_client};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const LOCK: &str = "environments/dev/lock.json";
const TEMPLATES: &[u8] = b"all source templates";

/// An environment that runs `running`, whose DAGs are known, and whose last holder gave its lease back.
fn released(running: &Release) -> Bucket {
    let bucket = Bucket::late();
    bucket.set("environments/dev/current.json", &Pointer::next(None, running));
    bucket.set(&names::release_key("dev", running.id()), running);
    bucket.set(&names::bundle_index_key(&running.bundle), &dags("as before"));
    bucket.set_bytes(&names::template_set_key(&Digest::of(TEMPLATES)), TEMPLATES);
    bucket.set(
        LOCK,
        &json!({ "held": false, "by": "ann", "host": "far", "pid": 1, "run_url": null, "since": "then",
            "expires": 1, "token": 4 }),
    );
    bucket
}

fn release_of(bundle: &str) -> Release {
    Release::new(Parts { templates: Some(Digest::of(TEMPLATES)), ..parts(bundle, "h", "t") })
}

fn dags(content: &str) -> DagIndex {
    let dag = json!([{ "dag_id": "orders", "file": "a.py", "schedule": null, "content": content }]);
    serde_json::from_value(dag).unwrap()
}

/// The clients, all of which answer late.
fn doors(bucket: &Bucket, airflow: &str) -> Aws {
    let airflow = airflow.to_owned();
    let describe = mock!(aws_sdk_cloudformation::Client::describe_stacks).then_output(move || {
        let output = |key: &str, value: &str| Output::builder().output_key(key).output_value(value).build();
        let stack = Stack::builder().stack_name("p-dev").stack_status(StackStatus::UpdateComplete);
        let secret = "arn:aws:secretsmanager:r:1:secret:admin-abcdef";
        let stack = stack.outputs(output(outputs::AIRFLOW_URL, &airflow));
        DescribeStacksOutput::builder()
            .stacks(stack.outputs(output(outputs::ADMIN_SECRET, secret)).build())
            .build()
    });
    let template = mock!(aws_sdk_cloudformation::Client::get_template)
        .then_output(|| GetTemplateOutput::builder().template_body("{}").build());
    let versions = mock!(aws_sdk_secretsmanager::Client::describe_secret)
        .then_output(|| DescribeSecretOutput::builder().build());
    let secret = mock!(aws_sdk_secretsmanager::Client::get_secret_value).then_output(|| {
        let text = r#"{"username": "admin", "password": "p"}"#;
        GetSecretValueOutput::builder().secret_string(text).build()
    });
    let mut aws = bucket.aws();
    aws.cloudformation =
        mock_client!(aws_sdk_cloudformation, RuleMode::MatchAny, [&describe, &template], |config| config
            .http_client(Late::client()));
    aws.secrets = mock_client!(aws_sdk_secretsmanager, RuleMode::MatchAny, [&versions, &secret], |config| {
        config.http_client(Late::client())
    });
    aws
}

fn session(bucket: &Bucket, airflow: &str) -> Session {
    let text = format!(
        "[aws]\naccount = '{ACCOUNT}'\nregion = 'eu-central-1'\n[entry]\nallowed_cidrs = ['203.0.113.0/24']\n"
    );
    let environment = config::resolve("dev", &text, "environments/dev.toml").unwrap();
    let aws = doors(bucket, airflow);
    let store = Store::new(&aws, ACCOUNT, "dev");
    Session { project: Project { root: "/nowhere".into() }, environment, aws, store }
}

/// An Airflow that is healthy, and follows the pointer at once.
fn airflow(bucket: &Bucket) -> Server {
    let bucket = bucket.clone();
    Server::new(move |asked| {
        let version = bucket.get("environments/dev/current.json")["bundle"].clone();
        let dag = json!({
            "dag_id": "orders", "bundle_name": "dags", "bundle_version": version,
            "relative_fileloc": "a.py", "file_token": "t", "is_stale": false,
        });
        let healthy = json!({ "status": "healthy" });
        let body = match asked.line.split(['?', ' ']).nth(1).unwrap() {
            "/auth/token" => json!({ "access_token": "t" }),
            "/api/v2/dags" => json!({ "dags": [dag], "total_entries": 1 }),
            "/api/v2/importErrors" => json!({ "import_errors": [], "total_entries": 0 }),
            "/api/v2/monitor/health" => ["metadatabase", "scheduler", "dag_processor", "triggerer"]
                .into_iter()
                .map(|name| (name.to_owned(), healthy.clone()))
                .collect(),
            _ => Value::Null,
        };
        (200, body)
    })
}

/// A deployment of `target` from what `session` observes, as a plan of a tree with these steps.
async fn prepared(session: Session, target: &Release, steps: Vec<Step>) -> Prepared {
    let observed = session.observe().await.unwrap();
    let pointer = observed.current.pointer.as_ref().map(|found| &found.value);
    let running = Running::recorded(pointer, observed.current.release.as_ref(), Records::Trusted);
    let facts =
        Facts { running: running.clone(), previous: observed.current.release.clone(), ..Facts::default() };
    let plan = crate::plan::deployment::Plan { steps, ..plan(target, Source::Tree, &facts) };
    let state: State = observed.state(&running);
    let progress = Progress { before: running, state, holder: observed.lease, ..Progress::default() };
    fake::prepared(context(session.aws), facts, plan, progress)
}

#[tokio::test(start_paused = true)]
async fn a_look_at_the_environment_takes_two() {
    let old = release_of("old");
    let bucket = released(&old);
    let session = session(&bucket, "http://127.0.0.1:1");
    let watch = Stopwatch::start();
    let observed = session.observe().await.unwrap();
    assert_eq!(watch.elapsed().as_secs(), 2, "the pointer, then what it names; the stack, then what it has");
    assert_eq!(observed.current.release.unwrap().id(), old.id());
    assert!(observed.current.dags.is_some() && observed.stack.is_some() && observed.lease.is_some());
}

#[tokio::test(start_paused = true)]
async fn where_nothing_changed_none_follows() {
    let old = release_of("old");
    let bucket = released(&old);
    let server = airflow(&bucket);
    let prepared = prepared(session(&bucket, &server.url), &old, vec![Step::Health]).await;
    let watch = Stopwatch::start();
    carry_out(prepared, &quiet()).await.unwrap();
    assert_eq!(watch.elapsed().as_secs(), 0);
    assert_eq!(bucket.lines(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn an_edited_dag_is_live_after_four_more() {
    let (old, new) = (release_of("old"), release_of("new"));
    let bucket = released(&old);
    let server = airflow(&bucket);
    let steps = vec![Step::Bundle(new.bundle), Step::Pointer(Box::new(new.clone())), Step::Dags(new.bundle)];
    let mut prepared = prepared(session(&bucket, &server.url), &new, steps).await;
    let doors = prepared.context.doors();
    // Opened while the DAGs are parsed.
    prepared.progress.state.airflow(&doors).await.unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    crate::doors::fs::write(file.path(), b"a bundle").unwrap();
    let archive = |digest| Some(Archive { digest, path: file.path().to_owned() });
    let artifacts = &mut prepared.context.artifacts;
    artifacts.bundle = archive(new.bundle);
    artifacts.template_set = archive(Digest::of(TEMPLATES));
    artifacts.dags = Some(dags("edited"));

    let watch = Stopwatch::start();
    let live: Arc<Mutex<Duration>> = Arc::default();
    let seen = live.clone();
    prepared.context.sink = Sink::new(move |event| {
        if matches!(&event, Event::Ended { step, .. } if step == "dags") {
            *seen.lock().unwrap() = watch.elapsed();
        }
    });
    carry_out(prepared, &quiet()).await.unwrap();
    let live = live.lock().unwrap().as_secs();
    assert_eq!(live, 4, "the lease with the pointer, all uploads, the record of the release, the pointer");
    let after = watch.elapsed().as_secs() - live;
    // The write that says that the step `dags` has begun is under way, as Airflow is done at once here.
    assert_eq!(after, 3, "the record of the deployment, the lease");

    let lines = bucket.lines();
    let place = |end: &str| lines.iter().position(|line| line.ends_with(end)).unwrap();
    let bundle = place(&names::bundle_key(&new.bundle));
    assert_eq!(place(LOCK), 0, "nothing is written without the lease: {lines:?}");
    assert!(bundle < place(&names::release_key("dev", new.id())), "{lines:?}");
    assert!(place(&names::release_key("dev", new.id())) < place("current.json"), "{lines:?}");
    assert_eq!(lines.last().map(|line| line.ends_with(LOCK)), Some(true), "{lines:?}");
}
