//! What a release changes about DAGs, completed by what only the environment knows: which of them are paused, and
//! which connections, variables and pools that they name it does not have. Nothing of this refuses a deployment.

use super::{Session, dags as dags_of, package_index};
use crate::doors::airflow::Airflow;
use crate::fail::{Fail, Result};
use crate::model::account::SecretState;
use crate::model::dags::{DagChange, DagDiff, DagFate, DagIndex, Need, NeedKind, new_needs};
use crate::model::event::Sink;
use crate::model::git::GitSource;
use crate::model::names;
use crate::model::objects::{Objects, Pool};
use crate::model::text::count;
use crate::observe::dags::{self, Parsing};
use crate::observe::{airflow, objects, secrets};
use crate::plan::needs::{keeps_pool, undeclared};
use crate::plan::running::Running;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use std::collections::BTreeMap;
use std::path::Path;

/// More DAGs, and more of what they name, are not asked for one by one.
const ASKED: usize = 100;
/// So many are asked for at the same time.
const TOGETHER: usize = 8;

/// The Airflow of the environment.
pub enum Live {
    /// There is none yet.
    None,
    /// It does not answer.
    Silent,
    Answers(Airflow),
}

impl Live {
    /// Of an environment that has been released to, or not.
    pub fn of(is_live: bool, airflow: Option<Airflow>) -> Self {
        match airflow {
            Some(airflow) => Self::Answers(airflow),
            None if is_live => Self::Silent,
            None => Self::None,
        }
    }
}

impl Session {
    /// From the DAGs that are live to those of a bundle.
    pub async fn dag_diff(&self, live: &Live, old: &DagIndex, new: &DagIndex, objects: &Objects) -> DagDiff {
        let mut diff = DagDiff::between(old, new);
        let needs = undeclared(new_needs(old, new), objects, &self.variables());
        tokio::join!(self.pause(&mut diff.details, live), async {
            for need in self.looked_for(needs, live).await {
                match need {
                    (need, Some(false)) => diff.lacking.push(need),
                    (need, None) => diff.unsure.push(need),
                    (_, Some(true)) => {}
                }
            }
        });
        diff
    }

    /// The same for a bundle that nobody deploys yet; fails if its DAGs have problems.
    pub async fn changes_of(&self, bundle: &Path, git: Option<&GitSource>, sink: &Sink) -> Result<DagDiff> {
        let (root, name) = (&self.project.root, self.environment.name.as_str());
        let objects = objects::load(root, name)?;
        let index = package_index::of_airflow(root, name).await?;
        let how = Parsing { index, ..Parsing::of(&self.environment, &objects) };
        let (parsed, observed) = tokio::join!(dags::parse(root, bundle, how, sink), self.observe());
        let (parsed, observed) = (dags_of::located(parsed?, git), observed?);
        if !parsed.problems.is_empty() {
            let headline =
                format!("{} in the DAGs, nothing was uploaded", count(parsed.problems.len(), "problem"));
            return Err(Fail::problems(headline, parsed.problems));
        }
        let is_live = observed.current.pointer.is_some();
        let mut state = observed.state(&Running::default());
        let airflow = if is_live { state.airflow(&self.doors(sink)).await.ok() } else { None };
        let old = observed.current.dags.unwrap_or_default();
        Ok(self.dag_diff(&Live::of(is_live, airflow), &old, &parsed.dags, &objects).await)
    }

    fn variables(&self) -> BTreeMap<String, String> {
        self.environment.env.iter().map(|(name, value)| (name.to_string(), value.clone())).collect()
    }

    /// A DAG that Airflow has known before keeps its state, whatever its file says.
    async fn pause(&self, details: &mut [DagChange], live: &Live) {
        let ids: Vec<String> = details.iter().take(ASKED).map(|one| one.dag_id.clone()).collect();
        let told = match live {
            Live::Answers(airflow) => states(airflow, ids).await.ok(),
            _ => None,
        };
        let at_first = self.pauses_new_dags();
        let known = told.is_some() || matches!(live, Live::None);
        let told = told.unwrap_or_default();
        for one in details {
            let of_file = one.paused.take();
            one.paused = told
                .get(&one.dag_id)
                .copied()
                .or_else(|| (known && one.change == DagFate::Added).then(|| of_file.unwrap_or(at_first)));
        }
    }

    fn pauses_new_dags(&self) -> bool {
        let mut options = self.environment.airflow.config.iter();
        let option = options.find(|(key, _)| key.to_string() == "core.dags_are_paused_at_creation");
        option.is_some_and(|(_, value)| matches!(value.to_lowercase().as_str(), "true" | "t" | "1"))
    }

    /// Each with whether the environment has it.
    async fn looked_for(&self, needs: Vec<Need>, live: &Live) -> Vec<(Need, Option<bool>)> {
        if needs.is_empty() {
            return Vec::new();
        }
        let pools = match live {
            Live::Answers(airflow) if needs.iter().any(|need| need.kind == NeedKind::Pool) => {
                airflow::ask(airflow, Airflow::pools).await.ok()
            }
            Live::None => Some(BTreeMap::new()),
            _ => None,
        };
        let asked: Vec<_> = needs
            .into_iter()
            .enumerate()
            .map(|(number, need)| {
                let pools = pools.as_ref();
                async move {
                    let has = if number < ASKED { self.has(&need, live, pools).await } else { None };
                    (need, has)
                }
            })
            .collect();
        stream::iter(asked).buffered(TOGETHER).collect().await
    }

    async fn has(&self, need: &Need, live: &Live, pools: Option<&BTreeMap<String, Pool>>) -> Option<bool> {
        if need.kind == NeedKind::Pool {
            return pools.map(|pools| keeps_pool(&need.name, pools));
        }
        match live {
            Live::None if self.makes(need) => return Some(true),
            Live::Answers(airflow) => {
                let (kind, name) = (need.kind, need.name.clone());
                match airflow::ask(airflow, move |airflow| airflow.has(kind, &name)).await {
                    Ok(true) => return Some(true),
                    Ok(false) => {}
                    Err(_) => return None,
                }
            }
            _ => {}
        }
        match (self.is_secret(need).await.ok()?, live) {
            (false, Live::Silent) => None,
            (known, _) => Some(known),
        }
    }

    /// Whether Airflow makes it itself when its database is new.
    fn makes(&self, need: &Need) -> bool {
        let defaults = self.environment.airflow.load_default_connections;
        need.kind == NeedKind::Connection && defaults && need.name.ends_with("_default")
    }

    /// Connections and variables can be in Secrets Manager alone.
    async fn is_secret(&self, need: &Need) -> Result<bool> {
        let name = format!("{}s/{}", need.kind.word(), need.name);
        let id = names::secret(self.environment.name.as_str(), &name);
        let states = secrets::states(&self.aws, vec![(name, id)]).await?;
        Ok(states.iter().any(|one| !matches!(one.state, SecretState::Missing | SecretState::Deleted)))
    }
}

/// Which of the DAGs that Airflow knows are paused.
async fn states(airflow: &Airflow, ids: Vec<String>) -> Result<BTreeMap<String, bool>> {
    let asked: Vec<_> = ids
        .into_iter()
        .map(|id| {
            airflow::ask(airflow, move |airflow| Ok(airflow.is_paused(&id)?.map(|paused| (id, paused))))
        })
        .collect();
    let found: Vec<_> = stream::iter(asked).buffered(TOGETHER).try_collect().await?;
    Ok(found.into_iter().flatten().collect())
}

#[cfg(test)]
#[path = "dag_diff_tests.rs"]
mod tests;
