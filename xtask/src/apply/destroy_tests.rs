//! Destruction: what the stack retains goes too, records go last, and it can be taken up again.

use super::super::fake::{ROOT, page};
use super::*;
use crate::doors::fake::{ACCOUNT, Bucket};
use crate::doors::fake_ecs::FakeEcs;
use aws_sdk_cloudformation::Client as CloudFormation;
use aws_sdk_cloudformation::error::ErrorMetadata;
use aws_sdk_cloudformation::operation::delete_stack::{DeleteStackError, DeleteStackOutput};
use aws_sdk_cloudformation::operation::describe_stacks::{DescribeStacksError, DescribeStacksOutput};
use aws_sdk_cloudformation::operation::get_template::GetTemplateOutput;
use aws_sdk_cloudformation::operation::list_stack_resources::ListStackResourcesOutput;
use aws_sdk_cloudformation::types::{Output, Stack, StackStatus};
use aws_sdk_s3::operation::delete_bucket::DeleteBucketOutput;
use aws_sdk_s3::operation::delete_objects::DeleteObjectsOutput;
use aws_sdk_s3::operation::list_object_versions::{ListObjectVersionsError, ListObjectVersionsOutput};
use aws_sdk_s3::types::{DeleteMarkerEntry, ObjectVersion};
use aws_sdk_secretsmanager::operation::delete_secret::DeleteSecretOutput;
use aws_smithy_mocks::{MockResponse, Rule, RuleMode, mock, mock_client};
use serde_json::json;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

type Calls = Arc<Mutex<Vec<String>>>;

/// What CloudFormation knows.
#[derive(Clone, Copy, PartialEq)]
enum Known {
    Nothing,
    Stack(&'static str),
    /// A stack whose deletion is refused.
    Stubborn,
}

fn cloudformation(known: Known, calls: &Calls) -> CloudFormation {
    let (deleted, log) = (Arc::new(Mutex::new(known == Known::Nothing)), calls.clone());
    let gone = deleted.clone();
    let describe = mock!(CloudFormation::describe_stacks).then_compute_response(move |_| {
        if *gone.lock().unwrap() {
            let text = "Stack with id p-dev does not exist";
            let meta = ErrorMetadata::builder().code("ValidationError").message(text).build();
            return MockResponse::Error(DescribeStacksError::generic(meta));
        }
        let output = |key: &str, value: &str| Output::builder().output_key(key).output_value(value).build();
        let status = if let Known::Stack(status) = known { status } else { "UPDATE_COMPLETE" };
        let stack =
            Stack::builder().stack_id(ROOT).stack_name("p-dev").stack_status(StackStatus::from(status));
        let stack =
            stack.outputs(output("LogsBucket", "logs")).outputs(output("FernetKeySecretArn", "fernet"));
        MockResponse::Output(DescribeStacksOutput::builder().stacks(stack.build()).build())
    });
    let template = mock!(CloudFormation::get_template).then_output(|| GetTemplateOutput::builder().build());
    let resources = mock!(CloudFormation::list_stack_resources)
        .then_output(|| ListStackResourcesOutput::builder().build());
    let events = mock!(CloudFormation::describe_stack_events).then_output(|| page(Vec::new()));
    let delete = mock!(CloudFormation::delete_stack).then_compute_response(move |_| {
        log.lock().unwrap().push("delete stack".to_owned());
        if known == Known::Stubborn {
            let meta = ErrorMetadata::builder().code("ValidationError").message("no").build();
            return MockResponse::Error(DeleteStackError::generic(meta));
        }
        *deleted.lock().unwrap() = true;
        MockResponse::Output(DeleteStackOutput::builder().build())
    });
    let rules = [&describe, &template, &resources, &events, &delete];
    mock_client!(aws_sdk_cloudformation, RuleMode::MatchAny, rules)
}

/// A logs bucket with this many pages of one version and one delete marker each.
fn logs(pages: usize, calls: &Calls) -> Vec<Rule> {
    use aws_sdk_s3::Client;
    let left = Arc::new(Mutex::new(pages));
    let (full, batch, end) = (left.clone(), calls.clone(), calls.clone());
    vec![
        mock!(Client::list_object_versions).then_compute_output(move |request| {
            assert_eq!(request.bucket(), Some("logs"));
            let left = *full.lock().unwrap();
            let (key, page) = (format!("dag/{left}.log"), ListObjectVersionsOutput::builder());
            if left == 0 {
                return page.build();
            }
            page.versions(ObjectVersion::builder().key(&key).version_id("old").build())
                .delete_markers(DeleteMarkerEntry::builder().key(&key).version_id("mark").build())
                .build()
        }),
        mock!(Client::delete_objects).then_compute_output(move |request| {
            *left.lock().unwrap() -= 1;
            let objects = request.delete().unwrap().objects();
            let versions: Vec<&str> = objects.iter().filter_map(|object| object.version_id()).collect();
            batch.lock().unwrap().push(format!("delete versions {}", versions.join(" ")));
            DeleteObjectsOutput::builder().build()
        }),
        mock!(Client::delete_bucket).then_compute_output(move |request| {
            end.lock().unwrap().push(format!("delete bucket {}", request.bucket().unwrap_or_default()));
            DeleteBucketOutput::builder().build()
        }),
    ]
}

struct World {
    bucket: Bucket,
    calls: Calls,
    aws: Aws,
}

impl World {
    fn new(known: Known) -> Self {
        let (bucket, calls) = (Bucket::default(), Calls::default());
        let log = calls.clone();
        let secret =
            mock!(aws_sdk_secretsmanager::Client::delete_secret).then_compute_output(move |request| {
                assert_eq!(request.force_delete_without_recovery(), None, "a snapshot needs its key");
                log.lock()
                    .unwrap()
                    .push(format!("delete secret {}", request.secret_id().unwrap_or_default()));
                DeleteSecretOutput::builder().build()
            });
        let mut aws = bucket.aws();
        aws.s3 = bucket.client_with(logs(2, &calls));
        aws.cloudformation = cloudformation(known, &calls);
        aws.secrets = mock_client!(aws_sdk_secretsmanager, RuleMode::MatchAny, [&secret]);
        Self { bucket, calls, aws }
    }

    fn with_records(self) -> Self {
        for name in ["current.json", "deployments/1.json", "lock.json", "releases/a.json"] {
            self.bucket.set(&format!("environments/dev/{name}"), &1);
        }
        self.bucket.set("environments/dev2/current.json", &1);
        self
    }

    async fn destroy(&self) -> Result<()> {
        let (store, sink) = (self.store(), Sink::null());
        let doomed = Doomed { aws: &self.aws, store: &store, stack: "p-dev", sink: &sink };
        let remains = look(doomed).await?;
        run(doomed, &remains, &mut Vec::new()).await
    }

    fn store(&self) -> Store {
        Store::new(&self.aws, ACCOUNT, "dev")
    }

    fn calls(&self) -> String {
        self.calls.lock().unwrap().join("\n")
    }
}

#[tokio::test(start_paused = true)]
async fn everything_goes_the_lease_last_and_other_environments_stay() {
    let world = World::new(Known::Stack("UPDATE_COMPLETE")).with_records();
    world.destroy().await.unwrap();
    insta::assert_snapshot!(world.calls(), @r"
    delete stack
    delete versions old mark
    delete versions old mark
    delete bucket logs
    delete secret fernet
    ");
    insta::assert_snapshot!(world.bucket.lines().join("\n"), @r"
    put environments/dev/leftovers.json
    delete environments/dev/deployments/1.json
    delete environments/dev/releases/a.json
    delete environments/dev/leftovers.json
    delete environments/dev/current.json
    delete environments/dev/lock.json
    ");
    assert_eq!(world.bucket.keys(), ["environments/dev2/current.json"]);
}

#[tokio::test(start_paused = true)]
async fn what_a_broken_off_destruction_left_is_known_to_the_next() {
    let world = World::new(Known::Nothing).with_records();
    let noted = Leftovers {
        buckets: BTreeSet::from(["logs".to_owned()]),
        secrets: BTreeSet::from(["fernet".to_owned()]),
        ..Leftovers::default()
    };
    world.bucket.set("environments/dev/leftovers.json", &noted);
    world.destroy().await.unwrap();
    assert!(world.calls().ends_with("delete bucket logs\ndelete secret fernet"));
    assert!(!world.calls().contains("delete stack"));
}

/// Of `dev`, not of `dev-2`, whose families begin with the same letters.
#[tokio::test]
async fn revisions_of_task_definitions_go_and_those_of_other_environments_stay() {
    let arn = |name: &str| format!("arn:aws:ecs:r:1:task-definition/{name}");
    let ecs = [
        ("p-dev-scheduler:1", "dev"),
        ("p-dev-scheduler:2", "dev"),
        ("p-dev-2-scheduler:1", "dev-2"),
        ("q-dev-scheduler:1", "dev"),
    ];
    let ecs = ecs.into_iter().fold(FakeEcs::default(), |ecs, (name, environment)| {
        ecs.defines(&arn(name), "i", "FARGATE").tagged(&arn(name), "environment", environment)
    });
    let mut world = World::new(Known::Nothing).with_records();
    world.aws.signed = ecs.aws().signed;
    world.bucket.set("environments/dev/leftovers.json", &json!({ "buckets": [], "secrets": [] }));
    world.destroy().await.unwrap();
    assert_eq!(ecs.calls(), [""; 0], "an environment without tasks has none");
    let world = world.with_records();
    let noted = Leftovers { task_definitions: true, ..Leftovers::default() };
    world.bucket.set("environments/dev/leftovers.json", &noted);
    world.destroy().await.unwrap();
    let gone = ["p-dev-scheduler:1", "p-dev-scheduler:2"].map(|name| format!("deregister {}", arn(name)));
    assert_eq!(ecs.calls(), gone);
}

#[tokio::test(start_paused = true)]
async fn a_stack_that_will_not_go_keeps_its_leftovers_and_records() {
    let world = World::new(Known::Stubborn).with_records();
    assert!(world.destroy().await.is_err());
    assert_eq!(world.calls(), "delete stack");
    assert_eq!(world.bucket.get("environments/dev/leftovers.json")["buckets"][0], "logs");
    assert_eq!(world.bucket.get("environments/dev/current.json"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_half_deleted_stack_is_deleted_on() {
    let world = World::new(Known::Stack("DELETE_FAILED"));
    world.destroy().await.unwrap();
    assert!(world.calls().starts_with("delete stack\ndelete versions"));
}

#[tokio::test]
async fn what_never_was_is_nothing() {
    let world = World::new(Known::Nothing);
    let (store, sink) = (world.store(), Sink::null());
    let doomed = Doomed { aws: &world.aws, store: &store, stack: "p-dev", sink: &sink };
    assert!(look(doomed).await.unwrap().is_nothing());
    world.destroy().await.unwrap();
    assert_eq!(world.calls(), "");
}

#[test]
fn only_what_refuses_a_deletion_is_waited_for() {
    for status in [Status::UpdateInProgress, Status::UpdateRollbackInProgress] {
        assert!(is_busy(status), "{status}");
    }
    for status in [Status::ReviewInProgress, Status::DeleteInProgress, Status::UpdateComplete] {
        assert!(!is_busy(status), "{status}");
    }
}

#[tokio::test]
async fn a_bucket_that_is_gone_is_gone_and_one_that_keeps_its_objects_ends_in_words() {
    use aws_sdk_s3::Client;
    let absent = mock!(Client::list_object_versions).then_error(|| {
        ListObjectVersionsError::generic(ErrorMetadata::builder().code("NoSuchBucket").build())
    });
    let client = mock_client!(aws_sdk_s3, RuleMode::MatchAny, [&absent]);
    assert_eq!(buckets::delete(&client, "logs").await.unwrap(), 0);

    let full = mock!(Client::list_object_versions).then_output(|| {
        let version = ObjectVersion::builder().key("a").version_id("1").build();
        ListObjectVersionsOutput::builder().versions(version).build()
    });
    let deaf = mock!(Client::delete_objects).then_output(|| DeleteObjectsOutput::builder().build());
    let client = mock_client!(aws_sdk_s3, RuleMode::MatchAny, [&full, &deaf]);
    let fail = buckets::delete(&client, "logs").await.unwrap_err();
    assert!(fail.to_string().contains("still lists objects"), "{fail}");
}
