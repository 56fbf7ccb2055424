//! What the gates are told of a deployment that is being prepared: each fact is looked up only where it is needed.

use super::Session;
use super::account::{Change, secrets_needed};
use super::dag_diff::Live;
use super::dags as dags_of;
use super::package_index;
use super::preflight;
use super::prepare::Preparing;
use crate::apply::context::Artifacts;
use crate::apply::timed::{Ended, timed};
use crate::config::ReleaseRules;
use crate::doors::airflow::Airflow;
use crate::doors::git;
use crate::fail::{Fail, Problem, Result};
use crate::model::account::Account;
use crate::model::commit::Tree;
use crate::model::dags::{DagDiff, DagIndex, Parsed};
use crate::model::digest::Digest;
use crate::model::names;
use crate::model::release::Release;
use crate::model::text::count;
use crate::observe::dags::Parsing;
use crate::observe::{airflow, dags, secrets, workers};
use crate::plan::deployment::Source;
use crate::plan::gates::{self, Delivery, Fact, NeededSecret, Runs, Unfinished};
use crate::plan::pools::changes;
use crate::plan::stack::Decision;
use std::collections::BTreeMap;

impl Preparing {
    /// Looks up what the gates need for this plan, and nothing else.
    pub(super) async fn gate_facts(
        &mut self,
        artifacts: &Artifacts,
        stack: Result<Decision, Vec<Problem>>,
        target: &Release,
    ) -> Result<gates::Facts> {
        let secrets = self.secrets(target).await?;
        let workers = self.workers(target).await?;
        let account = self.account(artifacts, stack.as_ref().ok(), target).await?;
        let pools = self.pools(target).await;
        let (dags, live) = self.dags(artifacts).await?;
        let mut facts = gates::Facts {
            file: self.setup.session.file(),
            stack,
            stack_name: self.setup.session.environment.stack_name(),
            before: self.state.parameters.clone(),
            after: target.stack.parameters.clone(),
            tree: self.tree(artifacts),
            ports: self.ports(),
            workers,
            secrets,
            account,
            pools,
            migration: self.plan.migration.clone(),
            dags,
            live,
            unfinished: Fact::Unneeded("no DAG is moved or removed"),
            runs: self.runs,
            delivery: self.delivery(target),
        };
        if !facts.breaking().is_empty() && self.runs == Runs::Protect {
            facts.unfinished = Fact::Known(self.unfinished().await);
        }
        Ok(facts)
    }

    fn tree(&self, artifacts: &Artifacts) -> Fact<Option<Tree>> {
        match self.plan.source {
            Source::Record => Fact::Unneeded("the release is recorded"),
            _ if self.plan.is_unchanged() => Fact::Unneeded("nothing is deployed"),
            Source::Tree | Source::Promotion => Fact::Known(artifacts.tree.clone()),
        }
    }

    /// What the environment's rules for releases are about.
    fn delivery(&self, target: &Release) -> Fact<Delivery> {
        let Session { environment, project, .. } = &self.setup.session;
        if environment.release.rules == ReleaseRules::default() {
            return Fact::Unneeded("the environment demands nothing of a release");
        }
        if self.plan.source == Source::Record {
            return Fact::Unneeded("a release that was here before may come back");
        }
        if self.plan.is_unchanged() {
            return Fact::Unneeded("nothing is changed");
        }
        let commit = target.commit.clone();
        Fact::Known(Delivery {
            environment: environment.name.to_string(),
            rules: environment.release.rules.clone(),
            promoted: self.promoted.clone(),
            tags: commit.as_ref().map(|commit| git::tags(&project.root, &commit.id)).unwrap_or_default(),
            commit,
        })
    }

    fn ports(&self) -> Fact<gates::Ports> {
        let environment = &self.setup.session.environment;
        match (environment.is_local(), &self.observed.stack) {
            (false, _) => Fact::Unneeded("Airflow does not run on this machine"),
            (true, Some(_)) => Fact::Unneeded("Airflow has its ports already"),
            (true, None) => Fact::Known(preflight::ports(environment)),
        }
    }

    /// The hosts of every worker set, in whatever state: each may still have a task or a log to bring away.
    async fn workers(&self, target: &Release) -> Result<Fact<BTreeMap<String, Vec<String>>>> {
        if !gates::loses_nat(&self.state.parameters, &target.stack.parameters) {
            return Ok(Fact::Unneeded("NAT stays as it is"));
        }
        let groups = names::worker_groups(&self.state.outputs);
        let all: Vec<String> = groups.values().cloned().collect();
        let mut found = workers::read_all(&self.setup.session.aws, &all).await?;
        let of_set = |(set, group): (String, String)| {
            (set, found.remove(&group).unwrap_or_default().hosts.into_keys().collect())
        };
        Ok(Fact::Known(groups.into_iter().map(of_set).collect()))
    }

    async fn account(
        &mut self,
        artifacts: &Artifacts,
        decision: Option<&Decision>,
        target: &Release,
    ) -> Result<Fact<Account>> {
        let change = Change {
            plan: &self.plan,
            running: &self.state.running,
            decision,
            before: self.observed.stack.as_ref(),
            target,
            root: artifacts.root.as_ref(),
        };
        self.setup.account(&change).await
    }

    async fn secrets(&self, target: &Release) -> Result<Fact<Vec<NeededSecret>>> {
        let session = &self.setup.session;
        let (hosts, objects) = self.new_to_hosts(target);
        if !hosts && !objects {
            return Ok(Fact::Unneeded("no host gets new settings"));
        }
        let needed = secrets_needed(session, &target.objects, hosts);
        if needed.is_empty() {
            return Ok(Fact::Unneeded("the environment needs none that people create"));
        }
        Ok(Fact::Known(secrets::states(&session.aws, needed).await?))
    }

    /// Whether hosts get new settings, and new connections or variables. A recorded release has had them.
    fn new_to_hosts(&self, target: &Release) -> (bool, bool) {
        let tree = self.plan.source != Source::Record;
        let hosts = tree && self.plan.rolls_out();
        let objects = self.state.running.objects.as_ref() != Some(&target.objects);
        (hosts, hosts || (tree && objects && !target.objects.secrets().is_empty()))
    }

    /// Compares the pools with those that Airflow has, as the step `pools` will.
    async fn pools(&mut self, target: &Release) -> Fact<Vec<Problem>> {
        if !self.plan.has("pools") || self.observed.current.pointer.is_none() {
            return Fact::Unneeded("no pool is changed");
        }
        let session = &self.setup.session;
        let Ok(airflow) = self.state.airflow(&session.doors(&self.setup.sink)).await else {
            return Fact::Unneeded("Airflow does not answer");
        };
        match airflow::ask(&airflow, Airflow::pools).await {
            Ok(found) => Fact::Known(changes(&target.objects.pools, &found).err().unwrap_or_default()),
            Err(_) => Fact::Unneeded("Airflow does not answer"),
        }
    }

    /// Parses the DAGs as the step `validate`. Later steps need a session with Airflow: it is opened in the
    /// meantime, and again later if that fails.
    async fn dags(&mut self, artifacts: &Artifacts) -> Result<(Fact<Parsed>, DagIndex)> {
        if let (Source::Promotion, true, Some(dags)) =
            (self.plan.source, self.plan.has("bundle"), artifacts.dags.clone())
        {
            // Where the release comes from, they passed this gate; what becomes of them here is still to be judged.
            let live = self.observed.current.dags.clone().unwrap_or_default();
            return Ok((Fact::Known(Parsed { dags, ..Parsed::default() }), live));
        }
        let bundle = artifacts.bundle.as_ref().filter(|_| self.plan.validates);
        let Some(bundle) = bundle else {
            return Ok((Fact::Unneeded("no DAG is changed"), DagIndex::default()));
        };
        let Self { setup, state, observed, plan, .. } = self;
        let session = &setup.session;
        let sink = setup.sink.step("validate");
        let how = Parsing::of(&session.environment, &plan.release.objects);
        let (root, git) = (&session.project.root, plan.release.git.as_ref());
        let parse = async {
            let index = package_index::of_airflow(root, session.environment.name.as_str()).await?;
            dags::parse(root, &bundle.path, Parsing { index, ..how }, &sink).await
        };
        let is_live = observed.current.pointer.is_some();
        let work = async {
            let log_in =
                async { if is_live { state.airflow(&session.doors(&setup.sink)).await.ok() } else { None } };
            let (parsed, _) = tokio::join!(parse, log_in);
            let parsed = dags_of::located(parsed?, git);
            let live = observed.current.dags.clone().unwrap_or_default();
            let ended = match parsed.problems.len() {
                0 => Ended::done(parsed.summary()),
                found => Ended::failed(count(found, "problem")),
            };
            Ok((ended, (Fact::Known(parsed), live)))
        };
        timed(&sink, &mut setup.records, work).await
    }

    /// To the DAGs of a recorded release: they are listed in the bucket, so nothing is parsed.
    pub(super) async fn recorded_dag_diff(&mut self, bundle: &Digest) -> Result<DagDiff> {
        let Self { setup, state, observed, .. } = self;
        let session = &setup.session;
        if observed.current.pointer.as_ref().is_some_and(|found| found.value.bundle == *bundle) {
            return Ok(DagDiff::default());
        }
        let Some(new) = dags::listed(&session.store, bundle).await? else { return Ok(DagDiff::default()) };
        // One that does not answer is left out of the diff; the rollback may be its cure.
        let _ = state.airflow(&session.doors(&setup.sink)).await;
        let live = observed.current.dags.clone().unwrap_or_default();
        Ok(self.dag_diff(&live, &new).await)
    }

    pub(super) async fn dag_diff(&self, old: &DagIndex, new: &DagIndex) -> DagDiff {
        let airflow = Live::of(self.observed.current.pointer.is_some(), self.state.session.clone());
        self.setup.session.dag_diff(&airflow, old, new, &self.plan.release.objects).await
    }

    async fn unfinished(&mut self) -> Unfinished {
        let session = &self.setup.session;
        let airflow: Airflow = match self.state.airflow(&session.doors(&self.setup.sink)).await {
            Ok(airflow) => airflow,
            Err(fail) => return Err(fail.to_string()),
        };
        airflow::unfinished(&airflow).await.map_err(|fail: Fail| fail.to_string())
    }
}
