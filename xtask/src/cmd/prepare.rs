//! What deploy, plan and rollback have in common: observe, then plan.

use super::ask;
use super::connect::Desk;
use super::preflight;
use super::release::Ready;
use super::ui::Ui;
use crate::apply::context::{Artifacts, Context, Runs};
use crate::apply::lease;
use crate::fail::{Fail, Result};
use crate::model::release::Release;
use crate::model::stack::{Protection, StackFacts};
use crate::observe::{release, secrets, stack};
use crate::plan::consent::Guard;
use crate::plan::deploy::{Facts, Plan, Source, Step, plan};
use crate::plan::{protected, stack as stack_plan};

impl Desk {
    /// Looks at the environment and plans the way to `target`.
    pub async fn ready(
        mut self,
        ui: &Ui,
        target: Release,
        source: Source,
        artifacts: Artifacts,
    ) -> Result<Ready> {
        let name = self.environment.name.to_string();
        let stack_name = self.environment.stack_name();
        let (current, stack, lease) = tokio::join!(
            release::current(&self.aws, &self.bucket, &name),
            stack::stack(&self.aws.cloudformation, &stack_name),
            lease::look(&self.aws, &self.bucket, &name),
        );
        let (current, stack, lease) = (current?, stack?, lease?);
        if stack.is_none() {
            preflight::port_is_free(&self.environment)?;
        }
        let facts = Facts {
            bundle: current.pointer.as_ref().map(|found| found.value.bundle),
            named: current.pointer.as_ref().map(|found| found.value.release.clone()),
            interrupted: lease.as_ref().is_some_and(lease::Document::is_abandoned)
                || (stack.is_none() && current.pointer.is_some()),
            without_bucket: current.pointer.is_none(),
            stack_differs: self.stack_differs(&target, &artifacts, stack.as_ref())?,
            unhealthy: false,
            current: current.release,
        };
        self.progress.state.pointer = current.pointer;
        self.progress.token = lease.as_ref().map(|lease| lease.token);
        if let Some(stack) = stack {
            self.keeps_what_is_protected(&target, &stack)?;
            self.progress.state.outputs = stack.outputs;
            self.progress.state.parameters = stack.parameters;
        }
        let plan = plan(&target, source, &facts);
        self.secrets_are_there(&plan).await?;
        let context = self.context(ui, artifacts);
        let Self { progress, started, watch, .. } = self;
        Ok(Ready { context, facts, plan, progress, holder: lease, started, watch })
    }

    fn keeps_what_is_protected(&self, target: &Release, stack: &StackFacts) -> Result<()> {
        match protected::refused(&self.file(), &stack.parameters, &target.parameters) {
            problems if problems.is_empty() => Ok(()),
            problems => Err(Fail::problems("something protected would be replaced", problems)),
        }
    }

    fn file(&self) -> String {
        format!("environments/{}.toml", self.environment.name)
    }

    /// A host that misses one would only say so when it starts.
    async fn secrets_are_there(&self, plan: &Plan) -> Result<()> {
        let needed = self.environment.secrets_needed();
        if plan.source == Source::Record || !plan.steps.contains(&Step::Hosts) || needed.is_empty() {
            return Ok(());
        }
        match secrets::missing(&self.aws, &self.file(), &needed).await? {
            problems if problems.is_empty() => Ok(()),
            problems => Err(Fail::problems("secrets are missing", problems)),
        }
    }

    /// Compares with what is really there, whatever the records say.
    fn stack_differs(
        &self,
        target: &Release,
        artifacts: &Artifacts,
        facts: Option<&StackFacts>,
    ) -> Result<bool> {
        let Some(template) = artifacts.templates.last() else { return Ok(facts.is_none()) };
        let desired = stack_plan::Desired {
            template,
            parameters: target.parameters.clone(),
            tags: self.environment.tags(),
            protection: if self.environment.protected { Protection::On } else { Protection::Off },
        };
        Ok(!stack_plan::decide(&desired, facts)?.is_settled())
    }

    fn context(&self, ui: &Ui, artifacts: Artifacts) -> Context {
        Context {
            aws: self.aws.clone(),
            root: self.project.root.clone(),
            environment: self.environment.name.to_string(),
            bucket: self.bucket.clone(),
            account: self.environment.aws.account.to_string(),
            stack: self.environment.stack_name(),
            tags: self.environment.tags(),
            bootstrap: self.environment.bootstrap_parameters(),
            runs: Runs::Protect,
            guard: if self.environment.protected { Guard::Protected } else { Guard::Open },
            parse_timeout: self.environment.dags.parse_timeout,
            artifacts,
            sink: self.sink.clone(),
            ask: ask::asker(ui),
        }
    }
}
