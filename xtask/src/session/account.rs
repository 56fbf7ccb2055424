//! The account before a deployment: asked only for what this deployment depends on, as the step `account`.

use super::{Session, Setup};
use crate::apply::timed::{Ended, timed};
use crate::config::OBJECTS;
use crate::fail::Result;
use crate::model::account::{Account, Demands, Topic};
use crate::model::names;
use crate::model::objects::Objects;
use crate::model::release::Release;
use crate::model::stack::StackFacts;
use crate::model::text::count;
use crate::observe::{account, objects};
use crate::plan::deployment::{Plan, Source};
use crate::plan::gates::{Fact, Finding, Outcome, findings, topics};
use crate::plan::stack::{Decision, StackAction};
use crate::plan::templates::{self, Packaged};
use std::collections::BTreeSet;

/// Everything that the environment needs of the account, with what Airflow's objects need.
pub async fn examine(session: &Session) -> Result<Account> {
    let environment = &session.environment;
    let objects = objects::load(&session.project.root, environment.name.as_str())?;
    let demands = Demands { secrets: secrets_needed(session, &objects, true), ..environment.demands() };
    Ok(account::read(&session.aws, demands, &Topic::all()).await)
}

/// The secrets that people create, by name or ARN, each with the file and key that ask for it.
pub fn secrets_needed(session: &Session, objects: &Objects, hosts: bool) -> Vec<(String, String)> {
    let (file, environment) = (session.file(), &session.environment);
    let settings = if hosts { environment.secrets_needed() } else { Vec::new() };
    let settings = settings.into_iter().map(|(key, id)| (format!("{file} `{key}`"), id));
    let objects = objects
        .secrets()
        .into_iter()
        .map(|(key, name)| (format!("{OBJECTS} `{key}`"), names::secret(environment.name.as_str(), name)));
    settings.chain(objects).collect()
}

/// A planned change of the stack.
pub struct Change<'a> {
    pub plan: &'a Plan,
    pub decision: Option<&'a Decision>,
    pub before: Option<&'a StackFacts>,
    pub target: &'a Release,
    pub root: Option<&'a Packaged>,
}

impl Setup {
    /// A DAG release asks for nothing.
    pub(super) async fn account(&mut self, change: &Change<'_>) -> Result<Fact<Account>> {
        let environment = &self.session.environment;
        if environment.is_local() {
            return Ok(Fact::Unneeded("hosts are folders of this machine"));
        }
        let topics = match change.topics() {
            Ok(topics) => topics,
            Err(reason) => return Ok(Fact::Unneeded(reason)),
        };
        let (file, demands) = (self.session.file(), environment.demands());
        let aws = &self.session.aws;
        let sink = self.sink.step("account");
        timed(&sink, &mut self.records, async {
            let found = account::read(aws, demands, &topics).await;
            let findings = findings(&file, &found);
            for finding in findings.iter().filter(|one| one.outcome == Outcome::NotAsked) {
                sink.note(format!("could not ask about {}: {}", finding.name, finding.text));
            }
            Ok((ended(&findings), Fact::Known(found)))
        })
        .await
    }
}

/// Another gate asks for the secrets. What IAM works out can differ from what it decides where conditions ask for
/// more than it is told, so it never stands in the way.
const LEFT_OUT: [Topic; 3] = [Topic::Secrets, Topic::Rights, Topic::ServiceRoles];

impl Change<'_> {
    /// What to ask for; or why nothing.
    fn topics(&self) -> Result<BTreeSet<Topic>, &'static str> {
        if self.plan.source == Source::Record {
            return Err("the account has run this release before");
        }
        if !self.plan.has("stack") {
            return Err("the stack is not changed");
        }
        let creates = |decision: &Decision| {
            matches!(decision.action, StackAction::Create | StackAction::DeleteThenCreate)
        };
        let found = match self.before {
            Some(before) if !self.decision.is_some_and(creates) => {
                topics(&before.parameters, &self.target.stack.parameters, self.is_same_template(before))
            }
            _ => Topic::ALL.into_iter().filter(|topic| !LEFT_OUT.contains(topic)).collect(),
        };
        if found.is_empty() { Err("nothing is changed that the account could lack") } else { Ok(found) }
    }

    fn is_same_template(&self, before: &StackFacts) -> bool {
        let (deployed, root) = (before.template.as_deref(), self.root);
        deployed.zip(root).is_some_and(|(deployed, root)| templates::same(deployed, &root.body))
    }
}

fn ended(findings: &[Finding]) -> Ended {
    let of = |outcome| findings.iter().filter(|one| one.outcome == outcome).count();
    match (of(Outcome::Missing), of(Outcome::NotAsked)) {
        (0, 0) => Ended::done(format!("{} checked", count(findings.len(), "fact"))),
        (0, unknown) => {
            Ended::done(format!("{unknown} of {} could not be asked", count(findings.len(), "fact")))
        }
        (missing, _) => Ended::failed(format!("{missing} of {} missing", count(findings.len(), "fact"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apply::fake::release;
    use crate::plan::deployment::{Facts, plan};
    use crate::plan::running::Running;

    /// The topics of the way from one release to another, for a stack that exists or not.
    fn topics_of(
        from: &Release,
        to: &Release,
        stack_differs: bool,
        source: Source,
    ) -> Result<BTreeSet<Topic>, &'static str> {
        let running = Running {
            release: Some(from.id().to_owned()),
            bundle: Some(from.bundle),
            stack: Some(from.stack.clone()),
            runtime: Some(from.runtime),
            proven: true,
            ..Running::default()
        };
        let plan = plan(
            to,
            source,
            &Facts { running, previous: Some(from.clone()), stack_differs, ..Facts::default() },
        );
        Change { plan: &plan, decision: None, before: None, target: to, root: None }.topics()
    }

    #[test]
    fn a_dag_release_asks_for_nothing() {
        let (from, to) = (release("b", "h", "t"), release("c", "h", "t"));
        let asked = topics_of(&from, &to, false, Source::Tree);
        assert_eq!(asked, Err("the stack is not changed"));
        let hosts = release("b", "i", "t");
        assert_eq!(topics_of(&from, &hosts, false, Source::Tree), asked, "nor does a rollout");
    }

    #[test]
    fn a_first_deployment_asks_for_everything_but_secrets_and_a_rollback_for_nothing() {
        let (from, to) = (release("b", "h", "t"), release("b", "h", "u"));
        let asked = topics_of(&from, &to, true, Source::Tree).unwrap();
        assert_eq!(asked.len(), Topic::ALL.len() - LEFT_OUT.len());
        assert!(!asked.contains(&Topic::Secrets), "the gate `secrets` asks for them");
        assert!(topics_of(&from, &to, true, Source::Record).is_err());
    }
}
