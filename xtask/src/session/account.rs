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
use crate::observe::{account, objects, workers};
use crate::plan::deployment::{Plan, Repeat, Source, Step};
use crate::plan::gates::{Fact, Finding, Outcome, findings, topics};
use crate::plan::host_settings;
use crate::plan::replacement::going_on;
use crate::plan::running::Running;
use crate::plan::stack::{Decision, StackAction};
use crate::plan::templates::{self, Packaged};
use std::collections::{BTreeMap, BTreeSet};

/// Everything that the environment needs of the account, with what Airflow's objects need.
pub async fn examine(session: &Session) -> Result<Account> {
    let environment = &session.environment;
    let objects = objects::load(&session.project.root, environment.name.as_str())?;
    let secrets = secrets_needed(session, &objects, true);
    let demands = Demands { secrets, ..environment.demands_beside(&going_on(environment, None)) };
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

/// What is planned.
pub struct Change<'a> {
    pub plan: &'a Plan,
    pub running: &'a Running,
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
        let going_on = match change.rolls() {
            true => self.going_on(change).await,
            false => BTreeMap::new(),
        };
        let topics = match change.topics(!going_on.is_empty()) {
            Ok(topics) => topics,
            Err(reason) => return Ok(Fact::Unneeded(reason)),
        };
        let replaces = !going_on.is_empty();
        let (file, demands) =
            (self.session.file(), Demands { replaces, ..environment.demands_beside(&going_on) });
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

    /// The hosts that workers run on now, where others are launched in their stead. Who may not look counts as many as a
    /// deployment starts.
    async fn going_on(&self, change: &Change<'_>) -> BTreeMap<String, u32> {
        let Some(stack) = change.before else { return BTreeMap::new() };
        let sets = workers::sets(&self.session.aws, &stack.outputs).await.ok();
        let now = sets.map(|sets| sets.into_iter().map(|set| (set.name, set.running)).collect());
        going_on(&self.session.environment, now.as_ref())
    }
}

/// Another gate asks for the secrets. What IAM works out can differ from what it decides where conditions ask for
/// more than it is told, so it never stands in the way.
const LEFT_OUT: [Topic; 3] = [Topic::Secrets, Topic::Rights, Topic::ServiceRoles];

impl Change<'_> {
    /// Whether it reaches hosts that run another revision, or with other settings. Those of a first deployment that was
    /// interrupted are changed in place.
    fn rolls(&self) -> bool {
        let rollout = self.plan.steps.iter().find_map(|step| match step {
            Step::Rollout(rollout) => Some(rollout),
            _ => None,
        });
        let (Some(rollout), Some(before)) = (rollout, self.before) else { return false };
        let read = |parameters| host_settings::digest(&before.outputs, parameters, &BTreeMap::new());
        self.plan.source != Source::Record
            && self.plan.previous.is_some()
            && (self.running.runtime != Some(rollout.runtime)
                || rollout.repeat == Repeat::Yes
                || !self.plan.secrets.is_empty()
                || read(&before.parameters) != read(&self.target.stack.parameters))
    }

    /// What to ask for; or why nothing.
    fn topics(&self, replaces: bool) -> Result<BTreeSet<Topic>, &'static str> {
        if self.plan.source == Source::Record {
            return Err("the account has run this release before");
        }
        let stack = if self.plan.has("stack") { self.topics_of_stack() } else { BTreeSet::new() };
        let found: BTreeSet<Topic> = stack.into_iter().chain(replaces.then_some(Topic::Vcpus)).collect();
        match found.is_empty() {
            false => Ok(found),
            true if self.plan.has("stack") => Err("nothing is changed that the account could lack"),
            true => Err("the stack is not changed"),
        }
    }

    fn topics_of_stack(&self) -> BTreeSet<Topic> {
        let creates = |decision: &Decision| {
            matches!(decision.action, StackAction::Create | StackAction::DeleteThenCreate)
        };
        match self.before {
            Some(before) if !self.decision.is_some_and(creates) => {
                topics(&before.parameters, &self.target.stack.parameters, self.is_same_template(before))
            }
            _ => Topic::ALL.into_iter().filter(|topic| !LEFT_OUT.contains(topic)).collect(),
        }
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
    use crate::model::release::{Parts, StackSpec};
    use crate::model::stack::{Protection, Status};
    use crate::plan::deployment::{Facts, plan};

    /// What is to be said of the way from one release to another.
    fn asked<T>(
        from: &Release,
        to: &Release,
        (stack_differs, source): (bool, Source),
        before: Option<&StackFacts>,
        ask: impl Fn(&Change<'_>) -> T,
    ) -> T {
        let running = Running {
            release: Some(from.id().to_owned()),
            bundle: Some(from.bundle),
            stack: Some(from.stack.clone()),
            runtime: Some(from.runtime),
            proven: true,
            ..Running::default()
        };
        let facts = Facts {
            running: running.clone(),
            previous: Some(from.clone()),
            stack_differs,
            ..Facts::default()
        };
        let plan = plan(to, source, &facts);
        ask(&Change { plan: &plan, running: &running, decision: None, before, target: to, root: None })
    }

    /// The topics, for a stack that does not exist.
    fn topics_of(
        from: &Release,
        to: &Release,
        stack_differs: bool,
        source: Source,
    ) -> Result<BTreeSet<Topic>, &'static str> {
        asked(from, to, (stack_differs, source), None, |change| change.topics(false))
    }

    fn reaches_hosts(change: &Change<'_>) -> bool {
        change.rolls()
    }

    #[test]
    fn a_rollout_that_replaces_hosts_asks_for_their_vcpus() {
        let stack = StackFacts {
            name: "p-dev".to_owned(),
            arn: String::new(),
            status: Status::UpdateComplete,
            reason: None,
            template: None,
            parameters: BTreeMap::new(),
            outputs: BTreeMap::new(),
            tags: BTreeMap::new(),
            protection: Protection::Off,
            stuck: Vec::new(),
        };
        let rolls = |from: &Release, to: &Release, source| {
            asked(from, to, (false, source), Some(&stack), |change| {
                (change.rolls(), change.topics(change.rolls()))
            })
        };
        let (from, hosts) = (release("b", "h", "t"), release("b", "i", "t"));
        assert_eq!(rolls(&from, &hosts, Source::Tree), (true, Ok([Topic::Vcpus].into())));
        assert!(!rolls(&from, &release("c", "h", "t"), Source::Tree).0, "a DAG release");
        let (rolled, topics) = rolls(&from, &hosts, Source::Record);
        assert!(!rolled && topics.is_err(), "a rollback is never refused for it");
        let read = StackSpec {
            parameters: BTreeMap::from([("AirflowConfig".to_owned(), "{}".to_owned())]),
            ..from.stack.clone()
        };
        let settings = Release::new(Parts { stack: read, ..(*from).clone() });
        let of_stack = |to: &Release| asked(&from, to, (true, Source::Tree), Some(&stack), reaches_hosts);
        assert_eq!(
            (of_stack(&from), of_stack(&settings)),
            (false, true),
            "only what hosts read reaches them"
        );
    }

    #[test]
    fn a_dag_release_asks_for_nothing() {
        let (from, to) = (release("b", "h", "t"), release("c", "h", "t"));
        let asked = topics_of(&from, &to, false, Source::Tree);
        assert_eq!(asked, Err("the stack is not changed"));
        let hosts = release("b", "i", "t");
        assert_eq!(topics_of(&from, &hosts, false, Source::Tree), asked, "nor does a rollout in place");
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
