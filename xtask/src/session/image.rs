//! The container image of an environment: from the tree to a registry.

use super::Session;
use super::package_index;
use crate::apply::image::{Made, Pushing};
use crate::apply::timed::{Ended, timed};
use crate::config::{Architecture, BaseImage, Container, Environment, PythonMinor};
use crate::doors::archive::all_processors;
use crate::doors::archive::layer::{self, Member};
use crate::doors::package_index::Index;
use crate::doors::registry::{Login, Reference, Registry};
use crate::doors::toolchain::{self, Python};
use crate::fail::{Fail, Result};
use crate::model::digest::Digest;
use crate::model::event::Sink;
use crate::model::image::{self as oci, Base, Layer, Package, Start};
use crate::model::names;
use crate::observe::image::packages::{Installed, Packages};
use crate::observe::image::system::System;
use crate::observe::image::{self, Kind, Recipe, base, cache, environment, login, project, system, task};
use crate::plan::image::{Added, Assembled, INDEX, MANIFEST, assemble, index};
use crate::plan::sbom::sbom;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What is known before anything is built.
pub struct Planned {
    pub recipe: Recipe,
    root: PathBuf,
    cache: PathBuf,
    container: Container,
    kind: Kind,
    compiler: Python,
    environment: String,
    index: Index,
    /// Its registry has it by this digest; none if the image is put on nothing.
    base: Option<(Registry, Reference)>,
    /// By its digest, in one word.
    base_name: String,
}

/// What goes into the layer of this project.
type Members = fn(&Path, &str) -> Result<Vec<Member>>;

/// Reads the tree and finds out which base it is. Nothing is built.
pub async fn planned(root: &Path, environment: &Environment, sink: &Sink) -> Result<Planned> {
    let container = environment.container.clone();
    planned_as(root, (environment, container), Kind::airflow(), (|root, _| project::members(root), ""), sink)
        .await
}

/// The same for an external task that is made of a folder. What is compiled is of the lock of Airflow.
pub async fn planned_task(
    root: &Path,
    environment: &Environment,
    (name, folder): (&str, &str),
    sink: &Sink,
) -> Result<Planned> {
    let container =
        Container { compile: Vec::new(), build_packages: Vec::new(), ..environment.container.clone() };
    let kind = task::kind(root, name, folder)?;
    planned_as(root, (environment, container), kind, (task::members, folder), sink).await
}

async fn planned_as(
    root: &Path,
    (environment, mut container): (&Environment, Container),
    kind: Kind,
    (members, folder): (Members, &str),
    sink: &Sink,
) -> Result<Planned> {
    let index = Index::of(root)?;
    let cache = root.join(".ductwork/cache/image");
    let base = match &container.base {
        BaseImage::Scratch => None,
        BaseImage::Named(reference) => Some(pinned(root, reference, sink).await?),
    };
    let (compiler, layer) = {
        let (root, cache, container, index, sink) =
            (root.to_owned(), cache.clone(), container.clone(), index.clone(), sink.clone());
        let folder = folder.to_owned();
        blocking(move || {
            let compiler = match container.base {
                // What is put on nothing runs on the Python of this machine.
                BaseImage::Scratch => toolchain::python()?,
                BaseImage::Named(_) => {
                    toolchain::python_of(&root, &container.python.to_string(), &index, &sink)?
                }
            };
            let members = members(&root, &folder)?;
            Ok((compiler, layer::write(&members, &cache.join("blobs"), all_processors())?))
        })
        .await?
    };
    container.python = PythonMinor::of(&compiler.version).unwrap_or(container.python);
    let mut planned = Planned {
        recipe: Recipe { tag: String::new(), project: layer },
        root: root.to_owned(),
        cache,
        container: container.clone(),
        kind,
        compiler,
        environment: environment.name.to_string(),
        index,
        base_name: base.as_ref().map_or_else(|| container.base.name(), |(_, base)| base.whole()),
        base,
    };
    let keys: Result<Vec<Digest>> = planned.packages().map(|packages| packages.key()).collect();
    let named = !container.packages.is_empty();
    let system = named.then(|| system::key(root, &container, &planned.base_name)).transpose()?;
    planned.recipe = Recipe::new(layer, &keys?, &planned.base_name, system, &container, &planned.kind.start);
    Ok(planned)
}

/// What the name of a base means, for good.
pub(super) async fn pinned(root: &Path, name: &Reference, sink: &Sink) -> Result<(Registry, Reference)> {
    let registry = Registry::of(name, Login::Anonymous);
    if let Some(base) = base::pinned(root, name)? {
        return Ok((registry, base));
    }
    let digest = base::digest(&registry, name).await?;
    let base = base::pin(root, name, &digest)?;
    sink.note(format!("`{name}` is {base} from now on: commit {}", base::LOCK));
    Ok((registry, base))
}

impl Planned {
    fn packages(&self) -> impl Iterator<Item = Packages<'_>> {
        self.container.architectures.iter().map(|architecture| Packages {
            root: &self.root,
            cache: &self.cache,
            container: &self.container,
            architecture: *architecture,
            compiler: &self.compiler,
            index: &self.index,
            base: &self.base_name,
            locks: &self.kind.locks,
        })
    }

    /// With the login at the package index, if something is to be installed from there.
    async fn logged_in(mut self) -> Result<Self> {
        let made: Result<Vec<bool>> = self.packages().map(|packages| packages.is_made()).collect();
        if made?.contains(&false) {
            self.index = package_index::logged_in(self.index, &self.environment).await;
        }
        Ok(self)
    }

    /// The Python of an environment with the packages of the image, for this machine's processor.
    pub async fn environment(self, sink: &Sink) -> Result<PathBuf> {
        let planned = self.logged_in().await?;
        let sink = sink.clone();
        blocking(move || {
            let architecture = environment::this_machine()?;
            let mut packages =
                planned.packages().next().ok_or_else(|| Fail::bug("an image for no architecture"))?;
            if !planned.container.architectures.contains(&architecture) {
                sink.note(format!("the image is not for {architecture}: its packages for that are checked"));
            }
            packages.architecture = architecture;
            let layer = packages.layer(&sink)?.layer;
            environment::python(&planned.cache, &layer, &planned.compiler.path)
        })
        .await
    }

    #[must_use]
    pub fn base(&self) -> &str {
        &self.base_name
    }

    /// Makes every layer that the cache lacks, and puts the image together.
    pub async fn build(self, sink: &Sink) -> Result<(Made, Self)> {
        let start = self.start();
        let planned = self.logged_in().await?;
        let sink = sink.clone();
        let told = sink.clone();
        let (layers, mut planned) = blocking(move || {
            let layers: Result<Vec<Installed>> =
                planned.packages().map(|packages| packages.layer(&sink)).collect();
            Ok((layers?, planned))
        })
        .await?;
        let blobs = planned.blobs();
        let mut images: Vec<Assembled> = Vec::new();
        for (architecture, installed) in planned.container.architectures.clone().into_iter().zip(&layers) {
            let base = match &planned.base {
                Some((registry, base)) => base::base(registry, base, architecture, &blobs).await?,
                None => Base::scratch(&oci::architecture(architecture.as_str()))?,
            };
            planned.check(&base)?;
            let (under, same) = planned.under(architecture, base.manifest.layers().len(), &told).await?;
            planned = same;
            let added = |layer: Layer, what: &str| Added { layer, about: format!("ductwork: {what}") };
            let mut all: Vec<Added> =
                under.into_iter().map(|layer| added(layer, "packages of the system")).collect();
            all.push(added(installed.layer, "locked packages"));
            all.push(added(planned.recipe.project, "project"));
            images.push(assemble(&base, &all, &start)?);
        }
        let (document, kind) = match images.as_slice() {
            [only] => (only.manifest.clone(), MANIFEST),
            all => (index(all)?, INDEX),
        };
        cache::prune(&planned.cache);
        let packages: Vec<Package> = layers.into_iter().flat_map(|installed| installed.packages).collect();
        let name = planned.container.base.name();
        let sbom = sbom(planned.digest().map(|digest| (name.as_str(), digest)), &start.created, &packages)?;
        Ok((Made { images, document, kind, sbom }, planned))
    }

    /// The layers of packages of the operating system, `below` of the base being under them.
    async fn under(
        self,
        architecture: Architecture,
        below: usize,
        sink: &Sink,
    ) -> Result<(Vec<Layer>, Self)> {
        let sink = sink.clone();
        blocking(move || {
            let Self { root, cache, container, base_name, .. } = &self;
            let system = System { root, cache, container, architecture, base: base_name, below };
            let layers = system.layers(&sink)?;
            Ok((layers, self))
        })
        .await
    }

    fn start(&self) -> Start {
        let paths: Vec<&str> = self.kind.paths.iter().map(String::as_str).collect();
        let what = (self.kind.title.as_str(), paths.as_slice());
        let base = self.container.base.name();
        let (labels, created) = image::labels(&self.root, self.digest(), base, &self.compiler, what);
        let mut start = self.kind.start.clone();
        // Of components, which tell it.
        if let Some(revision) = start.variables.get_mut("DUCTWORK_REVISION") {
            revision.clone_from(&self.recipe.tag);
        }
        Start { labels, created, ..start }
    }

    /// The Python of the base has to be that of the packages.
    fn check(&self, base: &Base) -> Result<()> {
        let wanted = self.container.python.to_string();
        match base.python() {
            Some(found) if !found.starts_with(&format!("{wanted}.")) => {
                let message = format!("the base image has Python {found}, the packages are for {wanted}");
                Err(Fail::usage(message)
                    .hint("set `image.python` in the environment file to the version of the base"))
            }
            _ => Ok(()),
        }
    }

    /// That of the base.
    fn digest(&self) -> Option<&str> {
        self.base.as_ref()?.1.digest()
    }

    #[must_use]
    pub fn blobs(&self) -> PathBuf {
        self.cache.join("blobs")
    }
}

/// Where an environment's images are.
pub struct Place {
    pub registry: Registry,
    repository: Reference,
}

impl Place {
    /// The repository of the account, of the local cloud, or the one that the environment file names.
    pub async fn of(session: &Session) -> Result<Self> {
        let Session { environment, aws, .. } = session;
        let repository = match (&environment.container.repository, &aws.endpoint) {
            (Some(named), _) => named.tagged(""),
            (None, Some(endpoint)) => own(endpoint.rsplit_once("//").map_or(endpoint, |(_, host)| host)),
            (None, None) => own(&names::registry(environment.aws.account.as_str(), &aws.region)),
        };
        let login = login::own(aws, environment, &repository).await?;
        Ok(Self { registry: Registry::of(&repository, login), repository })
    }

    /// The image with this tag.
    #[must_use]
    pub fn image(&self, tag: &str) -> Reference {
        tagged(&self.repository, tag)
    }

    /// Registry and repository.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}/{}", self.repository.registry(), self.repository.repository())
    }
}

fn own(registry: &str) -> Reference {
    let registry = registry.trim_end_matches('/').to_owned();
    Reference::with_tag(registry, names::IMAGE_REPOSITORY.to_owned(), String::new())
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| Fail::bug("the making of the image ended unexpectedly").because(error))?
}

/// The image of the tree on its way to the environment's registry; built unless that has it.
pub async fn pushing(session: &Session, sink: &Sink) -> Result<Pushing> {
    let planned = planned(&session.project.root, &session.environment, sink).await?;
    pushing_as(session, planned, sink).await
}

/// What is known of an image on its way there.
pub async fn pushing_as(session: &Session, planned: Planned, sink: &Sink) -> Result<Pushing> {
    let Place { registry, repository } = Place::of(session).await?;
    let image = tagged(&repository, &planned.recipe.tag);
    let there = registry.manifest(&image).await?.map(|(_, digest)| digest);
    let (made, planned) = match there {
        Some(_) => (None, planned),
        None => planned.build(sink).await.map(|(made, planned)| (Some(made), planned))?,
    };
    let built = made.as_ref().map(|made| made.document.digest);
    let digest = there.or(built).ok_or_else(|| Fail::bug("an image without a digest"))?;
    let blobs = planned.blobs();
    Ok(Pushing { digest, made, promoted: None, registry, image, base: planned.base, blobs })
}

/// The image of another environment's release on its way to the registry of this one.
pub async fn promoted(from: &Session, to: &Session, named: &str) -> Result<Pushing> {
    let wrong = || Fail::failed(format!("`{named}` names no image by its digest"));
    let (name, digest) = named.split_once("@sha256:").ok_or_else(wrong)?;
    let digest: Digest = digest.parse().map_err(|_| wrong())?;
    let there: Reference = name.parse().map_err(|_| wrong())?;
    let login = login::own(&from.aws, &from.environment, &there).await?;
    let Place { registry, repository } = Place::of(to).await?;
    Ok(Pushing {
        digest,
        made: None,
        promoted: Some((Registry::of(&there, login), there)),
        registry,
        image: tagged(&repository, &format!("promoted-{}", digest.short())),
        base: None,
        blobs: PathBuf::new(),
    })
}

/// The same for a deployment, as a step of its own; nothing for environments whose releases have no image.
pub async fn of_release(session: &Session, sink: &Sink) -> Result<Option<Arc<Pushing>>> {
    if !session.environment.container.deploy {
        return Ok(None);
    }
    let step = sink.step("build");
    let mut records = Vec::new();
    let pushing = timed(&step, &mut records, async {
        let pushing = pushing(session, &step).await?;
        let ended = match pushing.made {
            Some(_) => Ended::done(format!("image {}", pushing.digest.short())),
            None => Ended::skipped(format!("image {} is there already", pushing.digest.short())),
        };
        Ok((ended, pushing))
    })
    .await?;
    Ok(Some(Arc::new(pushing)))
}

fn tagged(repository: &Reference, tag: &str) -> Reference {
    let (registry, name) = (repository.registry().to_owned(), repository.repository().to_owned());
    Reference::with_tag(registry, name, tag.to_owned())
}
