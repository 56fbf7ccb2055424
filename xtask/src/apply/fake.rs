//! What the tests of change sets and stack operations share: a log of calls and made-up events.

use super::context::{Artifacts, Context};
use crate::doors::aws::Aws;
use crate::doors::fake::ACCOUNT;
use crate::doors::store::Store;
use crate::doors::time::Stopwatch;
use crate::model::cloud::Cloud;
use crate::model::digest::Digest;
use crate::model::engine::Engine;
use crate::model::event::{Event, Sink};
use crate::model::objects::Objects;
use crate::model::release::{Parts, Release, Runtime, StackSpec};
use crate::model::stack::STACK_TYPE;
use crate::plan::consent::Guard;
use crate::plan::deployment::{Plan, Source, Step};
use aws_sdk_cloudformation::operation::describe_stack_events::DescribeStackEventsOutput;
use aws_sdk_cloudformation::operation::describe_stacks::DescribeStacksOutput;
use aws_sdk_cloudformation::primitives::DateTime;
use aws_sdk_cloudformation::types::{ResourceStatus, Stack, StackEvent, StackStatus};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub(super) const ROOT: &str = "arn:aws:cloudformation:r:1:stack/p-dev/1";
pub(super) const CHILD: &str = "arn:aws:cloudformation:r:1:stack/p-dev-Broker-1X/2";
/// The moment of every change set of the tests, in seconds.
pub(super) const CREATED: i64 = 1_000;

/// When a service was called, by the clock of the test.
#[derive(Clone)]
pub(super) struct Calls(Stopwatch, Arc<Mutex<Vec<(String, Duration)>>>);

impl Calls {
    pub(super) fn new() -> Self {
        Self(Stopwatch::start(), Arc::default())
    }

    pub(super) fn add(&self, operation: &str) {
        self.1.lock().unwrap().push((operation.to_owned(), self.0.elapsed()));
    }

    pub(super) fn count(&self, operation: &str) -> usize {
        self.1.lock().unwrap().iter().filter(|(name, _)| name == operation).count()
    }

    /// No two of them within a second.
    pub(super) fn assert_paced(&self) {
        let calls = self.1.lock().unwrap();
        for pair in calls.windows(2) {
            let gap = pair[1].1.checked_sub(pair[0].1).unwrap();
            assert!(gap >= Duration::from_millis(999), "{gap:?} between {} and {}", pair[0].0, pair[1].0);
        }
        assert!(!calls.is_empty());
    }
}

/// What was called, in order.
#[derive(Clone, Default)]
pub(super) struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    pub(super) fn add(&self, call: impl Into<String>) {
        self.0.lock().unwrap().push(call.into());
    }

    pub(super) fn lines(&self) -> String {
        self.0.lock().unwrap().join("\n")
    }

    pub(super) fn count(&self, what: &str) -> usize {
        self.0.lock().unwrap().iter().filter(|line| line.starts_with(what)).count()
    }

    /// A sink that writes into the log.
    pub(super) fn sink(&self) -> Sink {
        let log = self.clone();
        Sink::new(move |event| match event {
            Event::Progress { message, .. } => log.add(format!("progress: {message}")),
            Event::Note { message, .. } => log.add(format!("note: {message}")),
            _ => {}
        })
    }
}

pub(super) fn stack(status: &str) -> DescribeStacksOutput {
    let stack = Stack::builder().stack_id(ROOT).stack_name("p-dev").stack_status(StackStatus::from(status));
    DescribeStacksOutput::builder().stacks(stack.build()).build()
}

/// An event `after` seconds after [`CREATED`]. A resource written `ROOT` or `CHILD` is the stack's own
/// row, one with an ARN for a physical id a nested stack.
pub(super) fn event(after: i64, stack: &str, logical: &str, physical: &str, status: &str) -> StackEvent {
    let kind = if physical.starts_with("arn:") { STACK_TYPE } else { "AWS::SQS::Queue" };
    StackEvent::builder()
        .event_id(format!("{stack}-{logical}-{physical}-{status}-{after}"))
        .stack_id(stack)
        .logical_resource_id(logical)
        .physical_resource_id(physical)
        .resource_type(kind)
        .resource_status(ResourceStatus::from(status))
        .timestamp(DateTime::from_secs(CREATED + after))
        .build()
}

pub(super) fn because(mut event: StackEvent, reason: &str) -> StackEvent {
    event.resource_status_reason = Some(reason.to_owned());
    event
}

/// A page of events, given by time and answered newest first, as the service does.
pub(super) fn page(mut events: Vec<StackEvent>) -> DescribeStackEventsOutput {
    events.reverse();
    DescribeStackEventsOutput::builder().set_stack_events(Some(events)).build()
}

/// An environment `dev` behind these doors, in which every question is answered yes.
pub(crate) fn context(aws: Aws) -> Context {
    Context {
        store: Store::new(&aws, ACCOUNT, "dev"),
        aws,
        cloud: Cloud::Aws,
        stack: "p-dev".to_owned(),
        tags: BTreeMap::new(),
        bootstrap: BTreeMap::new(),
        guard: Guard::Open,
        artifacts: Artifacts::default(),
        sink: Sink::null(),
        ask: Arc::new(|_| Ok(())),
    }
}

/// The parts of a release, told apart by their names.
pub(crate) fn parts(bundle: &str, host: &str, template: &str) -> Parts {
    let digest = |text: &str| Digest::of(text.as_bytes());
    Parts {
        bundle: digest(bundle),
        templates: None,
        image: None,
        engine: Engine::Ec2,
        runtime: Runtime::Hosts(digest(host)),
        stack: StackSpec { template: digest(template), parameters: BTreeMap::new() },
        objects: Objects::default(),
        schema: None,
        commit: None,
        git: None,
    }
}

pub(crate) fn release(bundle: &str, host: &str, template: &str) -> Release {
    Release::new(parts(bundle, host, template))
}

/// A plan of these steps alone.
pub(crate) fn plan(target: &Release, steps: Vec<Step>) -> Plan {
    let (release, source) = (target.clone(), Source::Record);
    Plan { release, previous: None, source, validates: false, secrets: Vec::new(), migration: None, steps }
}

/// The pointer moved to the release.
pub(crate) fn pointer_to(release: &Release) -> Step {
    Step::Pointer(Box::new(release.clone()))
}
