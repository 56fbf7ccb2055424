//! A release as it is stored: `environments/<env>/releases/<id>.json`, in two versions.
//!
//! Version 2 has two halves, the artifacts and what belongs to the environment, and stores its id. The id
//! is the start of the SHA-256 of the record's own canonical JSON without the id; absent fields are not
//! in it, so a field that is added later changes no id. Version 1 was flat and had its id in its key only.

use super::{Parts, Release, Runtime, StackSpec};
use crate::model::commit::Commit;
use crate::model::digest::Digest;
use crate::model::engine::Engine;
use crate::model::git::GitSource;
use crate::model::objects::Objects;
use crate::model::schema::Schema;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::BTreeMap;

/// The version that this tool writes.
const VERSION: u32 = 2;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Record {
    version: u32,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    id: String,
    artifacts: Vec<Artifact>,
    environment: EnvironmentHalf,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    schema: Option<Schema>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    commit: Option<String>,
    /// Who wrote that commit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    author: Option<String>,
    /// Whether files of the release differed from it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    dirty: bool,
    /// What the bundle is of, if it is of a git repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    git: Option<GitSource>,
}

/// Something built once that is the same bytes everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Artifact {
    kind: Kind,
    digest: Digest,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    Bundle,
    Templates,
    HostRevision,
    Image,
    /// Of a later tool.
    #[serde(other)]
    Unknown,
}

/// What differs from one environment to the next.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct EnvironmentHalf {
    engine: Engine,
    /// The root of the composed templates.
    template: Digest,
    /// Parameters of the master stack, without secrets.
    parameters: BTreeMap<String, String>,
    /// Connections, variables and pools. Hosts read them here.
    #[serde(default, skip_serializing_if = "Objects::is_empty")]
    objects: Objects,
}

impl Record {
    /// Without an id.
    pub(super) fn of(parts: &Parts) -> Self {
        let artifact = |kind, digest| Artifact { kind, digest };
        let artifacts = [
            Some(artifact(Kind::Bundle, parts.bundle)),
            parts.templates.map(|digest| artifact(Kind::Templates, digest)),
            parts.runtime.host_revision().map(|digest| artifact(Kind::HostRevision, digest)),
            parts.image.map(|digest| artifact(Kind::Image, digest)),
        ];
        Self {
            version: VERSION,
            id: String::new(),
            artifacts: artifacts.into_iter().flatten().collect(),
            environment: EnvironmentHalf {
                engine: parts.engine,
                template: parts.stack.template,
                parameters: parts.stack.parameters.clone(),
                objects: parts.objects.clone(),
            },
            schema: parts.schema.clone(),
            commit: parts.commit.as_ref().map(|commit| commit.id.clone()),
            author: parts.commit.as_ref().and_then(|commit| commit.author.clone()),
            dirty: parts.commit.as_ref().is_some_and(|commit| commit.dirty),
            git: parts.git.clone(),
        }
    }

    pub(super) fn id(&self) -> String {
        short_digest(&Self { id: String::new(), ..self.clone() })
    }

    fn artifact(&self, kind: Kind) -> Option<Digest> {
        self.artifacts.iter().find(|artifact| artifact.kind == kind).map(|artifact| artifact.digest)
    }
}

/// The first 12 hex digits of the SHA-256 of canonical JSON: the keys of every object in order.
fn short_digest<T: Serialize>(value: &T) -> String {
    #[expect(clippy::unwrap_used, reason = "strings, digests and maps of strings always serialise")]
    let mut value = serde_json::to_value(value).unwrap();
    value.sort_all_objects();
    Digest::of(value.to_string().as_bytes()).short()
}

impl From<Release> for Record {
    fn from(release: Release) -> Self {
        Self { id: release.id, ..Self::of(&release.parts) }
    }
}

/// A record of any version that this tool can read.
#[derive(Debug)]
pub(super) enum AnyRecord {
    Current(Box<Record>),
    First(First),
}

impl<'de> Deserialize<'de> for AnyRecord {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = serde_json::Value::deserialize(deserializer)?;
        let record = match value["version"].as_u64() {
            None => serde_json::from_value(value).map(Self::First),
            Some(version) if version <= VERSION.into() => {
                serde_json::from_value(value).map(|record| Self::Current(Box::new(record)))
            }
            Some(version) => {
                return Err(D::Error::custom(format!(
                    "the record has version {version}, this tool reads up to {VERSION}: update your clone"
                )));
            }
        };
        record.map_err(D::Error::custom)
    }
}

/// A record of version 1. Its fields are in the order in which their JSON was hashed.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct First {
    bundle: Digest,
    host: Digest,
    template: Digest,
    parameters: BTreeMap<String, String>,
    commit: Option<String>,
}

impl First {
    fn id(&self) -> String {
        #[expect(clippy::unwrap_used, reason = "strings, digests and maps of strings always serialise")]
        let json = serde_json::to_vec(self).unwrap();
        Digest::of(&json).short()
    }
}

impl TryFrom<AnyRecord> for Release {
    type Error = String;

    fn try_from(record: AnyRecord) -> Result<Self, String> {
        match record {
            AnyRecord::Current(record) => current(*record),
            AnyRecord::First(first) => Ok(Self {
                id: first.id(),
                parts: Parts {
                    bundle: first.bundle,
                    templates: None,
                    image: None,
                    engine: Engine::Ec2,
                    runtime: Runtime::Hosts(first.host),
                    stack: StackSpec { template: first.template, parameters: first.parameters },
                    objects: Objects::default(),
                    schema: None,
                    commit: first.commit.map(|id| Commit::recorded(&id, None, false)),
                    git: None,
                },
            }),
        }
    }
}

fn current(record: Record) -> Result<Release, String> {
    let missing = |kind: &str| format!("the record names no {kind}");
    let bundle = record.artifact(Kind::Bundle).ok_or_else(|| missing("bundle"))?;
    let runtime = match record.environment.engine {
        Engine::Ec2 => {
            record.artifact(Kind::HostRevision).map(Runtime::Hosts).ok_or_else(|| missing("host revision"))?
        }
        Engine::Fargate | Engine::EcsEc2 => {
            record.artifact(Kind::Image).map(Runtime::Services).ok_or_else(|| missing("image"))?
        }
    };
    let parts = Parts {
        bundle,
        templates: record.artifact(Kind::Templates),
        image: record.artifact(Kind::Image),
        engine: record.environment.engine,
        runtime,
        stack: StackSpec { template: record.environment.template, parameters: record.environment.parameters },
        objects: record.environment.objects,
        schema: record.schema,
        commit: record.commit.map(|id| Commit::recorded(&id, record.author, record.dirty)),
        git: record.git,
    };
    Ok(Release { id: record.id, parts })
}

#[cfg(test)]
mod tests {
    use super::super::tests::{commit, parts};
    use super::*;
    use serde_json::{Value, json};

    fn stored(release: &Release) -> Value {
        serde_json::to_value(release).unwrap()
    }

    #[test]
    fn a_record_has_two_halves_and_its_own_id() {
        let release = Release::new(parts());
        let record = stored(&release);
        assert_eq!(record["version"], 2);
        assert_eq!(record["id"], release.id());
        let kinds: Vec<&Value> = record["artifacts"].as_array().unwrap().iter().map(|a| &a["kind"]).collect();
        assert_eq!(kinds, ["bundle", "templates", "host-revision", "image"]);
        assert_eq!(record["environment"]["engine"], "ec2");
        assert_eq!(record["environment"]["parameters"], json!({ "A": "1" }));
        assert_eq!(serde_json::from_value::<Release>(record).unwrap(), release);
    }

    #[test]
    fn a_release_on_ecs_has_its_image_and_no_host_revision() {
        let image = Digest::of(b"image");
        for engine in [Engine::Fargate, Engine::EcsEc2] {
            let release = Release::new(Parts { engine, runtime: Runtime::Services(image), ..parts() });
            let mut record = stored(&release);
            let kinds: Vec<&Value> =
                record["artifacts"].as_array().unwrap().iter().map(|a| &a["kind"]).collect();
            assert_eq!(kinds, ["bundle", "templates", "image"]);
            assert_eq!(serde_json::from_value::<Release>(record.clone()).unwrap(), release);
            record["artifacts"].as_array_mut().unwrap().pop();
            let refused = serde_json::from_value::<Release>(record).unwrap_err().to_string();
            assert_eq!(refused, "the record names no image");
        }
    }

    #[test]
    fn the_id_of_a_stored_record_stays_whatever_later_tools_add() {
        let mut record = stored(&Release::new(parts()));
        record["id"] = json!("0123456789ab");
        record["new_field"] = json!("of a later tool");
        assert_eq!(serde_json::from_value::<Release>(record).unwrap().id(), "0123456789ab");
    }

    #[test]
    fn the_commit_is_recorded_with_its_author_and_whether_the_tree_was_clean() {
        let record = stored(&Release::new(parts()));
        assert_eq!((&record["commit"], &record["author"]), (&json!("abc"), &json!("Ada <ada@example.com>")));
        assert!(record.get("dirty").is_none());
        let dirty = Commit { dirty: true, ..commit() };
        let mut record = stored(&Release::new(Parts { commit: Some(dirty.clone()), ..parts() }));
        assert_eq!(record["dirty"], true);
        assert_eq!(serde_json::from_value::<Release>(record.clone()).unwrap().commit, Some(dirty.clone()));
        // As the tool wrote it before; its id stays.
        let fields = record.as_object_mut().unwrap();
        fields.retain(|name, _| name != "author" && name != "dirty");
        record["commit"] = json!("abc-dirty");
        let old = serde_json::from_value::<Release>(record.clone()).unwrap();
        assert_eq!(old.commit, Some(Commit { author: None, ..dirty }));
        assert_eq!(old.id(), record["id"].as_str().unwrap());
    }

    #[test]
    fn absent_fields_are_not_hashed() {
        let release =
            Release::new(Parts { templates: None, image: None, commit: None, git: None, ..parts() });
        let record = stored(&release);
        assert!(record["environment"].get("objects").is_none());
        assert!(["commit", "author", "dirty", "git"].iter().all(|name| record.get(name).is_none()));
        assert!(record["artifacts"].as_array().unwrap().len() == 2);
        let mut bare = record.clone();
        bare.as_object_mut().unwrap().remove("id");
        bare.sort_all_objects();
        assert_eq!(Digest::of(bare.to_string().as_bytes()).short(), release.id());
    }

    /// As the tool wrote it before records had a version; the id was the name of the object.
    #[test]
    fn a_record_of_version_1_keeps_its_id() {
        let text = format!(
            r#"{{"bundle":"{}","host":"{}","template":"{}","parameters":{{"A":"1"}},"commit":"abc"}}"#,
            Digest::of(b"bundle"),
            Digest::of(b"host"),
            Digest::of(b"template")
        );
        let release: Release = serde_json::from_str(&text).unwrap();
        assert_eq!(release.id(), Digest::of(text.as_bytes()).short());
        assert_eq!((release.bundle, release.templates), (Digest::of(b"bundle"), None));
        assert_eq!(release.runtime, Runtime::Hosts(Digest::of(b"host")));
        assert_eq!(release.stack.parameters["A"], "1");
    }

    #[test]
    fn a_record_of_a_later_version_and_one_without_parts_are_refused_in_words() {
        let mut record = stored(&Release::new(parts()));
        record["version"] = json!(3);
        let error = serde_json::from_value::<Release>(record.clone()).unwrap_err().to_string();
        assert!(error.contains("version 3") && error.contains("update your clone"), "{error}");
        record["version"] = json!(2);
        record["artifacts"] = json!([]);
        let error = serde_json::from_value::<Release>(record).unwrap_err().to_string();
        assert!(error.contains("names no bundle"), "{error}");
    }
}
