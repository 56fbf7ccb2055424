//! What an environment runs, as it is observed: asked of the stack, of AWS, of Airflow, and of the receipts that hosts and
//! tasks leave. What cannot be read is said beside what can.

use super::Session;
use crate::doors::airflow::Component;
use crate::doors::time;
use crate::fail::Result;
use crate::model::loss::Losses;
use crate::model::names::outputs;
use crate::model::receipt::{self, Meant, Parts};
use crate::model::release::Deployment;
use crate::model::services::ServiceState;
use crate::model::stack::StackFacts;
use crate::observe::lease::{Document, Seen};
use crate::observe::receipts::Receipts;
use crate::observe::release::Current;
use crate::observe::{
    airflow, alarms, drift, hosts, lease, losses, pulse, release, services, stack, workers,
};
use crate::report::status::{ComponentHealth, Status, Work};

/// For how long it is told what workers have cut short, in seconds.
const LATELY: i64 = 24 * 60 * 60;

/// Who looks, and what is remembered from one look to the next.
pub struct Looker<'a> {
    session: &'a Session,
    receipts: Receipts,
}

impl<'a> Looker<'a> {
    #[must_use]
    pub fn new(session: &'a Session) -> Self {
        Self { session, receipts: Receipts::default() }
    }

    /// How the environment is now. At most so many receipts are read.
    pub async fn look(&mut self, most_receipts: usize) -> Result<Status> {
        let session = self.session;
        let name = session.environment.stack_name();
        let (current, stack, holder) = tokio::join!(
            release::current(&session.store),
            stack::describe_only(&session.aws.cloudformation, &name),
            lease::look(&session.store),
        );
        let (current, stack, holder) = (current?, stack?, holder?);
        let mut status = known(session, &current, stack.as_ref(), holder);
        if let Some(stack) = &stack {
            self.observe(&mut status, &current, stack, most_receipts).await?;
        }
        Ok(status)
    }

    async fn observe(
        &mut self,
        status: &mut Status,
        current: &Current,
        stack: &StackFacts,
        most: usize,
    ) -> Result<()> {
        let session = self.session;
        let reached = airflow::url(session.cloud(), &stack.outputs, &stack.parameters);
        let since = time::rfc3339(time::unix() - LATELY);
        let services = services::read(&session.aws, &stack.outputs, &stack.parameters).await?;
        let (components, beside, loads, alarms, drift, last, workers, losses, parts) = tokio::join!(
            components(session, reached),
            services::beside(&session.aws, &stack.outputs),
            pulse::loads(&session.aws, &stack.name, &stack.outputs),
            alarms::ringing(&session.aws, &stack.name),
            drift::last(&session.aws.cloudformation, &stack.name),
            release::deployments(&session.store, 1),
            workers::sets(&session.aws, &stack.outputs),
            losses::since(&session.store, &since),
            parts(session, &mut self.receipts, current, stack, &services, most),
        );
        (status.components, status.unreachable) = components;
        status.services = services;
        status.services.extend(beside?);
        let unread = &mut status.unread;
        status.loads = told(loads, unread).unwrap_or_default();
        status.alarms = told(alarms, unread).unwrap_or_default();
        status.drift = told(drift, unread);
        status.last = told(last, unread).and_then(|all: Vec<Deployment>| all.into_iter().next());
        status.workers = told(workers, unread).unwrap_or_default();
        status.losses = Losses::of(told(losses, unread).unwrap_or_default());
        status.parts = told(parts, unread).unwrap_or_default();
        Ok(())
    }
}

/// What was read, or a line that says why not.
fn told<T>(read: Result<T>, unread: &mut Vec<String>) -> Option<T> {
    read.map_err(|fail| unread.push(fail.to_string())).ok()
}

/// What Airflow says of them, and why it was asked through S3 if it was.
async fn components(
    session: &Session,
    url: Option<String>,
) -> (std::result::Result<Vec<ComponentHealth>, String>, Option<String>) {
    let Some(url) = url else { return (Ok(Vec::new()), None) };
    let reached = match airflow::reach(&url, &session.store).await {
        Ok(reached) => reached,
        Err(fail) => return (Err(fail.to_string()), None),
    };
    let found = airflow::health(&reached.airflow).await.map_err(|fail| fail.to_string());
    (found.map(|found| found.into_iter().map(health).collect()), reached.instead)
}

async fn parts(
    session: &Session,
    receipts: &mut Receipts,
    current: &Current,
    stack: &StackFacts,
    services: &[ServiceState],
    most: usize,
) -> Result<Parts> {
    let (kept, alive) = tokio::join!(
        receipts.look(&session.store, most),
        hosts::alive(&session.aws, &stack.outputs, services),
    );
    let meant = Meant {
        runtime: current.release.as_ref().map(|release| *release.runtime.digest()),
        bundle: current.pointer.as_ref().map(|found| found.value.bundle),
    };
    Ok(receipt::parts(kept?, &alive?, &meant))
}

/// What records, the stack and the lease say.
fn known(session: &Session, current: &Current, stack: Option<&StackFacts>, holder: Option<Seen>) -> Status {
    let pointer = current.pointer.as_ref().map(|found| &found.value);
    let release = current.release.as_ref();
    Status {
        environment: session.store.environment().to_owned(),
        release: pointer.map(|pointer| pointer.release.clone()),
        bundle: pointer.map(|pointer| pointer.bundle),
        runtime: release.map(|release| *release.runtime.digest()),
        git: release.and_then(|release| release.git.clone()),
        url: stack.and_then(|stack| stack.outputs.get(outputs::AIRFLOW_URL).cloned()),
        stack_name: session.environment.stack_name(),
        stack: stack.map(|stack| stack.status),
        components: Ok(Vec::new()),
        unreachable: None,
        parts: Parts::default(),
        loads: Vec::new(),
        alarms: Vec::new(),
        drift: None,
        last: None,
        unread: Vec::new(),
        services: Vec::new(),
        workers: Vec::new(),
        losses: Losses::default(),
        work: holder.filter(|holder| holder.document().held).map(work),
    }
}

fn health(component: Component) -> ComponentHealth {
    let age = component.heartbeat.as_deref().and_then(time::age_seconds);
    ComponentHealth { name: component.name, healthy: component.healthy, heartbeat_age: age }
}

fn work(holder: Seen) -> Work {
    let live = holder.is_live();
    let Document { by, host, since, run_url: url, .. } = holder.found.value;
    Work { live, by, host, since, url }
}
