//! What an environment runs at this moment, part by part; every successful step advances it.

use super::deployment::Step;
use crate::model::digest::Digest;
use crate::model::objects::{Objects, Pool};
use crate::model::release::{Pointer, Release, Runtime, StackSpec};
use crate::model::schema::Schema;
use crate::model::services::ServiceState;
use std::collections::BTreeMap;

/// A part that is absent does not exist, or nobody knows what it is: between two releases, or after an
/// interruption.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Running {
    /// The release that the pointer names, by its id.
    pub release: Option<String>,
    /// The bundle that the pointer names.
    pub bundle: Option<Digest>,
    /// The image of the release that the pointer names.
    pub image: Option<Digest>,
    /// The bundle that Airflow has shown for every DAG.
    pub dags: Option<Digest>,
    pub stack: Option<StackSpec>,
    /// The connections and variables of the release that the pointer names.
    pub objects: Option<Objects>,
    /// The pools that Airflow has of us.
    pub pools: Option<BTreeMap<String, Pool>>,
    /// What every host or service runs.
    pub runtime: Option<Runtime>,
    /// The image that the first service to get a new one runs, and for which the database was therefore
    /// migrated; none on engines without services.
    pub served: Option<String>,
    /// What the database is at, or is on its way to.
    pub schema: Option<Schema>,
    /// What an interrupted deployment had begun to bring the database to: it may be there, or still at `schema`.
    pub begun: Option<Schema>,
    /// Whether a task has run on that runtime.
    pub proven: bool,
}

/// What the services of an environment run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Served {
    /// The image of the first one in the order of a rollout.
    pub image: Option<String>,
    /// Whether each runs what the stack has for it.
    pub settled: bool,
}

impl Served {
    /// None on engines without services.
    #[must_use]
    pub fn by(services: &[ServiceState]) -> Option<Self> {
        let first = services.first()?;
        let settled = services.iter().all(|service| service.current && !service.failed);
        Some(Self { image: first.image.clone(), settled })
    }
}

/// Whether the records tell the whole truth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Records {
    Trusted,
    /// A deployment was interrupted, or the stack was deleted behind the records' back.
    Doubtful,
}

impl Running {
    /// What the records say of an environment.
    #[must_use]
    pub fn recorded(pointer: Option<&Pointer>, release: Option<&Release>, records: Records) -> Self {
        let bundle = pointer.map(|pointer| pointer.bundle);
        let named = pointer.map(|pointer| pointer.release.clone());
        let trusted = release.filter(|_| records == Records::Trusted);
        Self {
            release: named,
            bundle,
            image: release.and_then(|release| release.image),
            dags: bundle.filter(|_| records == Records::Trusted),
            stack: trusted.map(|release| release.stack.clone()),
            objects: trusted.map(|release| release.objects.clone()),
            pools: match (pointer, records) {
                // Nothing was ever released here.
                (None, Records::Trusted) => Some(BTreeMap::new()),
                _ => trusted.map(|release| release.objects.pools.clone()),
            },
            runtime: trusted.map(|release| release.runtime),
            served: trusted.and_then(|release| release.stack.image()).map(str::to_owned),
            schema: release.and_then(|release| release.schema.clone()),
            begun: None,
            proven: trusted.is_some(),
        }
    }

    /// What services were seen to run, where records could be wrong: somebody may have moved one of them.
    #[must_use]
    pub fn seen(mut self, services: Option<&Served>) -> Self {
        if let Some(seen) = services {
            self.runtime = self.runtime.filter(|_| seen.settled);
            self.served.clone_from(&seen.image);
        }
        self
    }

    /// A rollout begins: until it ends, hosts may run one thing or another.
    pub fn unsettle_runtime(&mut self) {
        self.runtime = None;
        self.proven = false;
    }

    /// A migration begins: what has run of it, only the Airflow of this schema can tell and undo.
    pub fn unsettle_schema(&mut self, to: &Schema) {
        self.unsettle_runtime();
        (self.schema, self.begun) = (Some(to.clone()), None);
    }

    /// Pools begin to change: until that ends, nobody knows which there are.
    pub fn unsettle_pools(&mut self) {
        self.pools = None;
    }

    /// The step succeeded.
    pub fn advance(&mut self, step: &Step) {
        match step {
            Step::Bootstrap
            | Step::Bundle(_)
            | Step::Image(_)
            | Step::TaskImages(_)
            | Step::Snapshot { .. }
            | Step::Bake { .. }
            | Step::Health => {}
            Step::Migration(moving) | Step::Downgrade(moving) => {
                (self.schema, self.begun) = (Some(moving.to.clone()), None);
            }
            Step::Platform { spec, .. } | Step::Stack { spec, .. } => self.stack = Some(spec.clone()),
            Step::Rollout(rollout) => {
                self.proven &= self.runtime == Some(rollout.runtime);
                self.runtime = Some(rollout.runtime);
                self.served = self.stack.as_ref().and_then(StackSpec::image).map(str::to_owned);
            }
            Step::Pointer(release) => {
                self.release = Some(release.id().to_owned());
                self.dags = self.dags.filter(|dags| *dags == release.bundle);
                self.bundle = Some(release.bundle);
                self.image = release.image;
                self.objects = Some(release.objects.clone());
            }
            Step::Pools(pools) => self.pools = Some(pools.clone()),
            Step::Dags(bundle) => self.dags = Some(*bundle),
            Step::Smoke { .. } => self.proven = true,
        }
    }
}
