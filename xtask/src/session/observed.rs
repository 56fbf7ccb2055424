//! The environment as it is: what records, stack, services, secrets and the lease say.

use super::Session;
use crate::apply::context::State;
use crate::fail::{Problem, Result};
use crate::model::schema::Schema;
use crate::model::secret::Versions;
use crate::model::services::ServiceState;
use crate::model::stack::StackFacts;
use crate::observe::lease::{self, Seen};
use crate::observe::release::{self, Current};
use crate::observe::{secrets, services, stack};
use crate::plan::deployment::Facts;
use crate::plan::host_secrets;
use crate::plan::running::{Records, Running, Served};
use crate::plan::stack::Decision;

/// The environment as it is.
pub struct Observed {
    pub current: Current,
    pub stack: Option<StackFacts>,
    pub lease: Option<Seen>,
    /// What services of ECS run; none on other engines.
    pub services: Vec<ServiceState>,
    /// The versions of the secrets that hosts read.
    pub secrets: Versions,
    /// What an interrupted deployment had begun to bring the database to.
    pub begun: Option<Schema>,
}

impl Session {
    /// Looks at the pointer, the stack and the lease.
    pub async fn observe(&self) -> Result<Observed> {
        let name = self.environment.stack_name();
        let (current, stack, lease) = tokio::try_join!(
            release::current(&self.store),
            async {
                let stack = stack::stack(&self.aws.cloudformation, &name).await?;
                let (services, secrets) = self.in_stack(stack.as_ref()).await?;
                Ok((stack, services, secrets))
            },
            lease::look(&self.store),
        )?;
        let (stack, services, secrets) = stack;
        let interrupted = lease.as_ref().is_some_and(Seen::is_abandoned);
        let begun = if interrupted { release::begun(&self.store).await? } else { None };
        Ok(Observed { current, stack, lease, services, secrets, begun })
    }

    /// What the stack says where to look for.
    async fn in_stack(&self, stack: Option<&StackFacts>) -> Result<(Vec<ServiceState>, Versions)> {
        let Some(StackFacts { outputs, parameters, .. }) = stack else { return Ok(Default::default()) };
        let read = host_secrets::host_secrets(outputs, parameters);
        tokio::try_join!(services::read(&self.aws, outputs, parameters), secrets::versions(&self.aws, &read))
    }
}

impl Observed {
    /// Fails if somebody else is deploying this environment (exit 6).
    pub fn nobody_else(&self, session: &Session) -> Result<()> {
        lease::nobody_else(session.store.environment(), self.lease.as_ref())
    }

    fn records(&self) -> Records {
        let interrupted = self.lease.as_ref().is_some_and(Seen::is_abandoned);
        let without_stack = self.stack.is_none() && self.current.pointer.is_some();
        if interrupted || without_stack { Records::Doubtful } else { Records::Trusted }
    }

    pub(super) fn facts(&self, stack: &Result<Decision, Vec<Problem>>) -> Facts {
        let pointer = self.current.pointer.as_ref().map(|found| &found.value);
        let recorded = Running::recorded(pointer, self.current.release.as_ref(), self.records());
        let mut running = recorded.seen(Served::by(&self.services).as_ref());
        running.begun.clone_from(&self.begun);
        // A list of DAGs that is missing or damaged is made anew with its bundle.
        running.bundle = running.bundle.filter(|_| self.current.dags.is_some());
        Facts {
            running,
            previous: self.current.release.clone(),
            without_bucket: pointer.is_none(),
            stack_differs: stack.as_ref().map_or(true, |decision| !decision.is_settled()),
            unhealthy: false,
            bake: None,
            canary: None,
            secrets: pointer
                .map_or_else(Vec::new, |read| host_secrets::changed(&read.secrets, &self.secrets)),
        }
    }

    pub(super) fn state(&self, running: &Running) -> State {
        let stack = self.stack.as_ref();
        State {
            running: running.clone(),
            pointer: self.current.pointer.clone(),
            outputs: stack.map(|stack| stack.outputs.clone()).unwrap_or_default(),
            parameters: stack.map(|stack| stack.parameters.clone()).unwrap_or_default(),
            secrets: self.secrets.clone(),
            ..State::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apply::fake::release;
    use crate::doors::store::Found;
    use crate::model::dags::DagIndex;
    use crate::model::release::Pointer;
    use crate::plan::deployment::{Source, Step, plan};

    #[test]
    fn a_damaged_list_of_dags_is_made_anew_by_the_same_tree() {
        let running = release("b", "h", "t");
        let pointer = Found { value: Pointer::next(None, &running), etag: String::new() };
        let after = |dags| {
            let current = Current { pointer: Some(pointer.clone()), release: Some(running.clone()), dags };
            let observed = Observed {
                current,
                stack: None,
                lease: None,
                services: Vec::new(),
                secrets: Versions::new(),
                begun: None,
            };
            plan(&running, Source::Tree, &observed.facts(&Err(Vec::new())))
        };
        assert!(!after(Some(DagIndex::default())).steps.contains(&Step::Bundle(running.bundle)));
        let plan = after(None);
        assert!(plan.validates && plan.steps.contains(&Step::Bundle(running.bundle)));
    }
}
