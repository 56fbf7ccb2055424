//! `--from`: a release of another environment as a release of this one. Its artifacts are taken as they are, byte for
//! byte; engine, parameters, objects and what the environment adds to the templates are those of this tree's files.

use super::image::promoted as promoted_image;
use super::observed::Observed;
use super::templates::{composed, package_sources};
use super::tree::Candidate;
use super::{Session, Setup};
use crate::apply::context::{Archive, Artifacts};
use crate::apply::image::Pushing;
use crate::config::{Endpoint, Environment, Images, Origin as TaskOrigin};
use crate::doors::aws::Aws;
use crate::doors::store::Store;
use crate::doors::{git, package_index, time, unpack};
use crate::fail::{Fail, Kind, Problem, Result};
use crate::model::dags::DagIndex;
use crate::model::digest::Digest;
use crate::model::names;
use crate::model::release::{Deployment, Outcome, Parts, Pointer, Release, Runtime, StackSpec};
use crate::observe::{dags, objects, pack, release};
use crate::plan::deployment::Source;
use crate::plan::gates::Promoted;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// How many of the last deployments are searched for the one that brought the release.
const SEARCHED: usize = 500;

/// Archives that are kept on this machine: those of five releases, of which each has three at most.
const KEPT: usize = 15;

/// What a release is promoted from: `staging` for what it runs, `staging@0123456789ab` for a release of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    pub environment: String,
    pub release: Option<String>,
}

impl std::str::FromStr for Origin {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (environment, release) = match text.split_once('@') {
            Some((environment, release)) => (environment, Some(release)),
            None => (text, None),
        };
        if environment.is_empty() || release.is_some_and(str::is_empty) {
            return Err("write `staging`, or `staging@0123456789ab` for a release of it".to_owned());
        }
        Ok(Self { environment: environment.to_owned(), release: release.map(str::to_owned) })
    }
}

impl Setup {
    /// The tree, or with `--from` a release of another environment; and the environment as it is.
    pub async fn look_at(&self, from: Option<&Origin>) -> Result<(Candidate, Observed, Source)> {
        let Some(from) = from else {
            let (target, observed) = Box::pin(self.look()).await?;
            return Ok((target, observed, Source::Tree));
        };
        let (target, observed) = tokio::join!(self.promotion(from), self.session.observe());
        Ok((target?, observed?, Source::Promotion))
    }

    /// The release on its way here: read, checked to be complete, and brought to this machine.
    async fn promotion(&self, from: &Origin) -> Result<Candidate> {
        let source = self.session.source(from).await?;
        let name = source.environment.name.to_string();
        let read = async {
            let (release, age) = proven(&source.store, from).await?;
            let artifacts = brought(self, &source, &release).await?;
            Ok((release, age, artifacts))
        };
        let (release, age, artifacts) = read.await.map_err(|fail: Fail| unreadable(fail, &source))?;
        let promoted = Promoted { environment: name, release: release.id().to_owned(), age };
        self.candidate(&source, release, artifacts, promoted).await
    }

    async fn candidate(
        &self,
        source: &Session,
        release: Release,
        mut artifacts: Artifacts,
        promoted: Promoted,
    ) -> Result<Candidate> {
        let Session { project, environment, .. } = &self.session;
        let machine = match environment.image() {
            Some(demand) => Some(self.machine_image(&demand).await?),
            None => None,
        };
        let set = artifacts.template_set.as_ref().ok_or_else(|| Fail::bug("no templates were brought"))?;
        let sources = composed(&project.root, environment, unpack::entries(&set.path)?)?;
        let (templates, bootstrap) = package_sources(environment, &sources)?;
        let root = templates.last().cloned().ok_or_else(|| Fail::bug("no template was packaged"))?;
        (artifacts.templates, artifacts.bootstrap) = (templates, Some(bootstrap));
        let container = image(source, &self.session, &release).await?;
        let tasks = task_images(source, &self.session, &release, &mut artifacts).await?;
        let images = Images {
            machine,
            container: container.as_ref().map(|image| image.by_digest()),
            tasks: Some(tasks),
        };
        artifacts.image.clone_from(&container);
        artifacts.tree = git::tree(&project.root, &environment.own_files());
        let index = package_index::named(&project.root)?;
        let stack =
            StackSpec { template: root.digest, parameters: environment.parameters(&images, index.as_ref()) };
        let release = Release::new(Parts {
            image: container.map(|image| image.digest),
            engine: environment.engine,
            runtime: runtime(environment, &release, &promoted)?,
            stack,
            objects: objects::load(&project.root, environment.name.as_str())?,
            ..(*release).clone()
        });
        Ok(Candidate { release, root, artifacts, promoted: Some(promoted) })
    }
}

impl Session {
    /// The other environment, read with the credentials of this one: it may be in another account or region.
    async fn source(&self, from: &Origin) -> Result<Session> {
        if from.environment == self.environment.name.as_str() {
            return Err(Fail::usage(format!("`{}` cannot be promoted to itself", from.environment))
                .hint("bring an earlier release back: cargo xtask rollback"));
        }
        let environment = self.project.environment(&from.environment)?;
        let (ours, theirs) = (&self.environment.aws, &environment.aws);
        if (ours.endpoint == Endpoint::Local) != (theirs.endpoint == Endpoint::Local) {
            return Err(Fail::usage(format!(
                "one of `{}` and `{}` is on this machine and the other one is not",
                from.environment, self.environment.name
            ))
            .hint("promote between environments on AWS, or between those of the local cloud"));
        }
        let aws = if ours.region == theirs.region {
            self.aws.clone()
        } else {
            let (stack, region) = (self.environment.stack_name(), theirs.region.as_str());
            Aws::connect(&stack, region, self.aws.endpoint.as_deref(), self.cloud()).await
        };
        let store = Store::new(&aws, theirs.account.as_str(), &from.environment);
        Ok(Session { project: self.project.clone(), environment, aws, store })
    }
}

/// Whatever cannot be read there is a refusal: nothing was touched.
fn unreadable(fail: Fail, source: &Session) -> Fail {
    let (name, bucket) = (&source.environment.name, source.store.bucket());
    let known = fail.kind() != Kind::Failed;
    let fail = fail.context(format!("cannot promote a release of `{name}`")).with_kind(Kind::Usage);
    if known {
        return fail;
    }
    fail.hint(format!(
        "let your role read `environments/{name}/`, `bundles/`, `hosts/` and `templates/` in `s3://{bucket}`; the deploy \
         role may with `from = \"{name}\"` under `[release]`, in one account"
    ))
}

/// The release, and how long ago a deployment brought it there and succeeded.
async fn proven(store: &Store, from: &Origin) -> Result<(Release, Duration)> {
    let name = &from.environment;
    let id = match &from.release {
        Some(id) => id.clone(),
        None => {
            let pointer = store.value::<Pointer>(&names::pointer_key(name)).await?;
            pointer.map(|pointer| pointer.release).ok_or_else(|| {
                Fail::usage(format!("`{name}` has no release"))
                    .hint(format!("deploy it there first: cargo xtask deploy --env {name}"))
            })?
        }
    };
    let release = release::release(store, &id).await?;
    let deployments = release::deployments(store, SEARCHED).await?;
    let age = age(&deployments, release.id()).ok_or_else(|| {
        Fail::usage(format!("release `{id}` has never been deployed to `{name}` successfully"))
            .cause("its deployment is not finished, or failed")
            .hint(format!("choose one that was: cargo xtask history --env {name}"))
    })?;
    Ok((release, age))
}

/// Since the last deployment that brought it; one that changed nothing does not count.
fn age(deployments: &[Deployment], release: &str) -> Option<Duration> {
    let of = |one: &&Deployment| one.release == release && one.outcome == Outcome::Deployed;
    let last = deployments.iter().find(of)?;
    let ended = time::age_seconds(&last.started)? - last.seconds;
    Some(Duration::try_from_secs_f64(ended).unwrap_or_default())
}

/// Bundle, host revision, templates and the list of DAGs, on this machine; all that is gone is told together.
async fn brought(setup: &Setup, source: &Session, release: &Release) -> Result<Artifacts> {
    let (store, cache) = (&source.store, setup.session.project.state().join("cache/promoted"));
    let mut gone = Vec::new();
    let mut missing = |key: &str| {
        let hint = format!(
            "choose another release, or deploy it there again: cargo xtask history --env {}",
            source.environment.name
        );
        let message = "is gone from the artifact bucket, or was made by an earlier version of this tool";
        gone.push(Problem::new("missing_artifact", store.location(key), message, hint));
    };
    let mut files = archives(store, &cache, release, &mut missing).await?;
    if release.templates.is_none() {
        missing(&names::release_key(source.environment.name.as_str(), release.id()));
    }
    let listed: Option<DagIndex> = dags::listed(store, &release.bundle).await?;
    if listed.is_none() {
        missing(&names::bundle_index_key(&release.bundle));
    }
    if !gone.is_empty() {
        return Err(Fail::problems(format!("release `{}` is not complete", release.id()), gone));
    }
    let mut file = |digest: Option<Digest>| digest.and_then(|digest| files.remove(&digest));
    Ok(Artifacts {
        bundle: file(Some(release.bundle)),
        host_revision: file(release.runtime.host_revision()),
        template_set: file(release.templates),
        dags: listed,
        ..Artifacts::default()
    })
}

/// The archives of a release, by their digests, in a folder that keeps those of the latest ones.
async fn archives(
    store: &Store,
    cache: &Path,
    release: &Release,
    missing: &mut impl FnMut(&str),
) -> Result<BTreeMap<Digest, Archive>> {
    let keys = [
        Some((names::bundle_key(&release.bundle), release.bundle)),
        release.runtime.host_revision().map(|digest| (names::host_key(&digest), digest)),
        release.templates.map(|digest| (names::template_set_key(&digest), digest)),
    ];
    let mut files: BTreeMap<Digest, Archive> = BTreeMap::new();
    for (key, digest) in keys.into_iter().flatten() {
        let path = cache.join(format!("{digest}.zip"));
        match store.download(&key, &digest, &path).await? {
            Some(()) => drop(files.insert(digest, Archive { digest, path })),
            None => missing(&key),
        }
    }
    let current: Vec<&Path> = files.values().map(|archive| archive.path.as_path()).collect();
    pack::prune(cache, &current, KEPT);
    Ok(files)
}

/// What components run on here; a release has it for its own engine alone.
fn runtime(environment: &Environment, release: &Release, promoted: &Promoted) -> Result<Runtime> {
    let found = match environment.engine.is_ecs() {
        false => release.runtime.host_revision().map(Runtime::Hosts),
        true => release.image.map(Runtime::Services),
    };
    found.ok_or_else(|| {
        let lacks = if environment.engine.is_ecs() { "container image" } else { "host revision" };
        let problem = Problem::new(
            "engine",
            format!("environments/{}.toml `engine`", environment.name),
            format!("release {} of `{}` has no {lacks}", promoted.release, promoted.environment),
            format!("use the same kind of engine in `{}`, and deploy it there first", promoted.environment),
        );
        Fail::problems("the release does not fit the engine", vec![problem])
    })
}

/// The container image, if releases of this environment have one.
async fn image(from: &Session, to: &Session, release: &Release) -> Result<Option<Arc<Pushing>>> {
    let wanted = to.environment.container.deploy || to.environment.engine.is_ecs();
    let (true, Some(digest)) = (wanted, release.image) else { return Ok(None) };
    let named = match release.stack.image() {
        Some(image) => image.to_owned(),
        None => format!("{}@sha256:{digest}", super::image::Place::of(from).await?.name()),
    };
    Ok(Some(Arc::new(promoted_image(from, to, &named).await?)))
}

/// Those of external tasks, by their names: built ones are brought here, others stay where they are.
async fn task_images(
    from: &Session,
    to: &Session,
    release: &Release,
    artifacts: &mut Artifacts,
) -> Result<BTreeMap<String, String>> {
    let mut named = BTreeMap::new();
    for task in to.environment.external_tasks() {
        let there = release.stack.parameters.get(&task.parameter()).ok_or_else(|| {
            let problem = Problem::new(
                "task",
                format!("environments/{}.toml `tasks.{}`", to.environment.name, task.name),
                format!("release {} of `{}` has no such task", release.id(), from.environment.name),
                format!("add it to environments/{}.toml too, and deploy there first", from.environment.name),
            );
            Fail::problems("the release lacks an external task", vec![problem])
        })?;
        let image = match &task.origin {
            TaskOrigin::Image(_) => there.clone(),
            TaskOrigin::Folder(_) => {
                let pushing = promoted_image(from, to, there).await?;
                let image = pushing.by_digest();
                artifacts.task_images.push(Arc::new(pushing));
                image
            }
        };
        named.insert(task.name.to_string(), image);
    }
    Ok(named)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doors::fake::Bucket;
    use crate::doors::fs;
    use serde_json::json;

    #[test]
    fn an_environment_or_a_release_of_it() {
        let from = |text: &str| text.parse::<Origin>();
        assert_eq!(from("staging").unwrap().release, None);
        assert_eq!(from("staging@01").unwrap().release.as_deref(), Some("01"));
        assert!(from("@01").is_err() && from("staging@").is_err());
    }

    /// What `dev` runs, deployed with this outcome; the id of the release.
    fn ran(bucket: &Bucket, outcome: &str) -> String {
        let release = crate::apply::fake::release("b", "h", "t");
        bucket.set(&names::release_key("dev", release.id()), &release);
        bucket.set(&names::pointer_key("dev"), &Pointer::next(None, &release));
        let record = json!({
            "deployment": "01", "release": release.id(), "previous": null, "outcome": outcome,
            "started": "2026-01-01T00:00:00.000Z", "seconds": 60.0, "by": "ann", "steps": [],
        });
        bucket.set(&names::deployment_key("dev", "01"), &record);
        release.id().to_owned()
    }

    #[tokio::test]
    async fn only_what_was_deployed_successfully_is_promoted() {
        let bucket = Bucket::default();
        let from = |text: &str| text.parse::<Origin>().unwrap();
        let fail = proven(&bucket.store(), &from("dev")).await.unwrap_err();
        assert_eq!((fail.kind(), fail.message()), (Kind::Usage, "`dev` has no release"));
        let id = ran(&bucket, "rolled_back");
        let fail = proven(&bucket.store(), &from("dev")).await.unwrap_err();
        assert!(fail.message().ends_with("has never been deployed to `dev` successfully"), "{fail}");
        ran(&bucket, "deployed");
        let (release, age) = proven(&bucket.store(), &from("dev")).await.unwrap();
        assert_eq!(release.id(), id);
        assert!(age > Duration::from_secs(3600), "{age:?}");
        let (named, _) = proven(&bucket.store(), &from(&format!("dev@{id}"))).await.unwrap();
        assert_eq!(named, release);
        let fail = proven(&bucket.store(), &from("dev@nothing")).await.unwrap_err();
        assert!(fail.to_string().contains(&id), "those that exist are named: {fail}");
    }
    #[tokio::test]
    async fn archives_of_the_latest_releases_are_kept() {
        let (bucket, folder) = (Bucket::default(), tempfile::tempdir().unwrap());
        for number in 0..20 {
            let path = folder.path().join(format!("{number:02}.zip"));
            fs::write(&path, b"old").unwrap();
            let time = std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(number);
            fs::open(&path).unwrap().set_modified(time).unwrap();
        }
        let bytes = ["bundle", "revision"].map(|text| (Digest::of(text.as_bytes()), text));
        let [bundle, host] = bytes.map(|(digest, _)| digest);
        let release = Release::new(Parts {
            bundle,
            runtime: Runtime::Hosts(host),
            templates: None,
            ..(*crate::apply::fake::release("b", "h", "t")).clone()
        });
        bucket.set_bytes(&names::bundle_key(&bundle), b"bundle");
        bucket.set_bytes(&names::host_key(&host), b"revision");
        let mut none = |key: &str| panic!("{key} is there");
        let found = archives(&bucket.store(), folder.path(), &release, &mut none).await.unwrap();
        assert_eq!(found.len(), 2);
        assert!(found.values().all(|archive| archive.path.exists()), "those of this release");
        let kept = fs::list(folder.path()).unwrap();
        assert_eq!(kept.len(), KEPT);
        assert!(
            kept.contains(&folder.path().join("19.zip")) && !kept.contains(&folder.path().join("06.zip"))
        );
    }
}
