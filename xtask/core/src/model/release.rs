//! A release, the pointer to the current one, and the record of a deployment: canonical JSON in S3.

mod record;

use super::commit::Commit;
use super::digest::Digest;
use super::engine::Engine;
use super::git::GitSource;
use super::loss::Losses;
use super::names;
use super::objects::Objects;
use super::schema::Schema;
use super::secret::Versions;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Everything that decides what an environment runs. No secret is in it.
///
/// Bundle, templates and runtime are artifacts: the same bytes in every environment, account and region.
/// Engine and stack belong to the environment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "record::AnyRecord", into = "record::Record")]
pub struct Release {
    /// Computed once, then stored: fields that are added later change no old id.
    id: String,
    parts: Parts,
}

/// What a release is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parts {
    /// The DAG bundle.
    pub bundle: Digest,
    /// The source templates, as one archive. Records of version 1 do not have it.
    pub templates: Option<Digest>,
    /// The container image, where deployments make one.
    pub image: Option<Digest>,
    pub engine: Engine,
    pub runtime: Runtime,
    pub stack: StackSpec,
    /// Connections, variables and pools of Airflow.
    pub objects: Objects,
    /// What the locked Airflow keeps in its database. Records of before have none.
    pub schema: Option<Schema>,
    /// The commit of the tree; none outside git.
    pub commit: Option<Commit>,
    /// Where the DAGs come from, if not from that tree.
    pub git: Option<GitSource>,
}

/// What runs the components of Airflow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Runtime {
    /// A host revision on EC2 instances.
    Hosts(Digest),
    /// A container image in services of ECS.
    Services(Digest),
}

impl Runtime {
    #[must_use]
    pub fn digest(&self) -> &Digest {
        match self {
            Runtime::Hosts(digest) | Runtime::Services(digest) => digest,
        }
    }

    /// The artifact that only hosts have.
    #[must_use]
    pub fn host_revision(&self) -> Option<Digest> {
        match self {
            Runtime::Hosts(digest) => Some(*digest),
            Runtime::Services(_) => None,
        }
    }
}

/// What the master stack is to be: the root of its composed templates, and its parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StackSpec {
    pub template: Digest,
    pub parameters: BTreeMap<String, String>,
}

impl StackSpec {
    /// The image that tasks of ECS are made of, `registry/repository@sha256:…`; none on other engines.
    #[must_use]
    pub fn image(&self) -> Option<&str> {
        self.parameters.get(IMAGE_PARAMETER).map(String::as_str)
    }

    fn task_parameters(&self) -> impl Iterator<Item = (&String, &String)> {
        self.parameters.iter().filter(|(name, _)| name.starts_with(names::TASK_IMAGE_PARAMETER))
    }

    /// The images of external tasks.
    pub fn task_images(&self) -> impl Iterator<Item = &str> {
        self.task_parameters().map(|(_, image)| image.as_str())
    }

    /// Which external tasks there are, by the parameters of their images.
    pub fn task_names(&self) -> impl Iterator<Item = &str> {
        self.task_parameters().map(|(name, _)| name.as_str())
    }

    #[must_use]
    pub fn has_flower(&self) -> bool {
        self.parameters.get(FLOWER_PARAMETER).is_some_and(|on| on == "true")
    }

    /// The same stack with Flower turned off.
    #[must_use]
    pub fn without_flower(mut self) -> Self {
        self.parameters.insert(FLOWER_PARAMETER.to_owned(), "false".to_owned());
        self
    }

    /// The same stack on another image.
    #[must_use]
    pub fn with_image(mut self, image: &str) -> Self {
        self.parameters.insert(IMAGE_PARAMETER.to_owned(), image.to_owned());
        self
    }
}

/// The parameter of the master stack that says whether Flower runs.
pub const FLOWER_PARAMETER: &str = "FlowerEnabled";
/// The parameter of the master stack that names the image of all tasks.
pub const IMAGE_PARAMETER: &str = "Image";

impl Release {
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        let id = record::Record::of(&parts).id();
        Self { id, parts }
    }

    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }
}

impl std::ops::Deref for Release {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.parts
    }
}

/// `environments/<env>/current.json`. The bundle class of the hosts reads `bundle`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pointer {
    pub release: String,
    pub bundle: Digest,
    /// Counts up by one with each move.
    pub serial: u64,
    /// The version of each secret that hosts have read. Pointers of before have none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub secrets: Versions,
    /// The fencing token of the lease under which it was written. Pointers of before have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<u64>,
}

impl Pointer {
    /// The pointer that follows `before`.
    #[must_use]
    pub fn next(before: Option<&Pointer>, release: &Release) -> Self {
        Self {
            release: release.id.clone(),
            bundle: release.bundle,
            serial: before.map_or(1, |before| before.serial + 1),
            secrets: Versions::new(),
            token: None,
        }
    }
}

/// How a deployment ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It has not, as far as its record knows.
    #[default]
    Running,
    Deployed,
    Unchanged,
    RolledBack,
    Failed,
}

impl Outcome {
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Outcome::Running => "running",
            Outcome::Deployed => "deployed",
            Outcome::Unchanged => "unchanged",
            Outcome::RolledBack => "rolled back",
            Outcome::Failed => "failed",
        }
    }
}

/// The outcome of a step that goes on.
pub const RUNNING: &str = "running";

/// One step of a deployment in its record and in the JSON output.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StepRecord {
    pub name: String,
    /// `done`, `skipped` or `failed`; `running` until then.
    pub outcome: String,
    pub seconds: f64,
    /// RFC 3339, UTC. Records of before have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<String>,
    /// A few words such as `3 uploaded`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub summary: String,
    /// Lines worth keeping.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// `environments/<env>/deployments/<ulid>.json`. It is written when the lease is taken, and again whenever a step
/// begins, ends or says something, until the deployment has ended.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Deployment {
    pub deployment: String,
    pub release: String,
    pub previous: Option<String>,
    pub outcome: Outcome,
    /// RFC 3339, UTC.
    pub started: String,
    /// Until it ended; of one that has not, until its record was written last.
    pub seconds: f64,
    pub by: String,
    /// The page of the CI job; none if a person deployed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_url: Option<String>,
    /// That of the lease it was done under.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<u64>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What the database was saved as before a migration: a snapshot of RDS, or a key in the artifact bucket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub saved: Option<String>,
    /// The environment and release whose artifacts these are, as `staging@0123456789ab`; none if they were made of a tree.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// What the deployment cut short.
    #[serde(flatten)]
    pub losses: Losses,
    pub steps: Vec<StepRecord>,
}

#[cfg(test)]
mod tests {
    use super::super::objects::Pool;
    use super::*;

    pub(super) fn commit() -> Commit {
        Commit { id: "abc".to_owned(), author: Some("Ada <ada@example.com>".to_owned()), dirty: false }
    }

    pub(super) fn parts() -> Parts {
        Parts {
            bundle: Digest::of(b"bundle"),
            templates: Some(Digest::of(b"templates")),
            image: Some(Digest::of(b"image")),
            engine: Engine::Ec2,
            runtime: Runtime::Hosts(Digest::of(b"host")),
            stack: StackSpec {
                template: Digest::of(b"template"),
                parameters: BTreeMap::from([("A".to_owned(), "1".to_owned())]),
            },
            objects: Objects::default(),
            schema: None,
            commit: Some(commit()),
            git: Some(GitSource {
                url: "u".to_owned(),
                reference: "main".to_owned(),
                path: "dags".to_owned(),
                commit: "def".to_owned(),
            }),
        }
    }

    #[test]
    fn the_id_depends_on_every_part() {
        let mut ids = vec![Release::new(parts()).id().to_owned()];
        let changes: [fn(&mut Parts); 11] = [
            |r| r.bundle = Digest::of(b"x"),
            |r| r.templates = None,
            |r| r.image = None,
            |r| r.runtime = Runtime::Hosts(Digest::of(b"x")),
            |r| r.stack.template = Digest::of(b"x"),
            |r| r.commit = None,
            |r| r.commit = Some(Commit { author: None, ..commit() }),
            |r| r.commit = Some(Commit { dirty: true, ..commit() }),
            |r| r.git = None,
            |r| drop(r.objects.pools.insert("a".to_owned(), Pool::default())),
            |r| drop(r.stack.parameters.insert("A".to_owned(), "2".to_owned())),
        ];
        for change in changes {
            let mut other = parts();
            change(&mut other);
            ids.push(Release::new(other).id().to_owned());
        }
        assert!(ids.iter().all(|id| id.len() == 12));
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), 12);
    }
}
