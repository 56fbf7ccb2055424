//! The tree as a release: its bundle, host revision and templates.

use super::templates;
use crate::apply::context::{Archive, Artifacts};
use crate::apply::image::Pushing;
use crate::config::{Environment, Images};
use crate::doors::git;
use crate::fail::{Fail, Problem, Result};
use crate::model::bundle::Bundle;
use crate::model::engine::Engine;
use crate::model::release::{Parts, Release, Runtime, StackSpec};
use crate::model::text::count;
use crate::observe::{bundle, host_revision, objects, templates as sources};
use crate::plan::compose::{Additions, compose};
use crate::plan::templates::Packaged;
use std::path::Path;
use std::sync::Arc;

/// A release that is meant to run, with everything that was made for it.
#[derive(Clone, Debug)]
pub struct Candidate {
    pub release: Release,
    /// The root of its composed templates.
    pub root: Packaged,
    pub artifacts: Artifacts,
}

/// Reads the whole tree; all problems of all parts are reported together, those of the image with them.
pub fn from_tree(
    project: &Path,
    environment: &Environment,
    machine: Result<Option<String>>,
    container: Option<Arc<Pushing>>,
) -> Result<Candidate> {
    let cache = project.join(".ductwork/cache");
    let bundle = bundle::bundle(project, &cache);
    let host = host_revision::host_revision(project, &cache);
    let set = sources::archive(project, &cache);
    let packages = templates::packaged(project, environment);
    let objects = objects::load(project, environment.name.as_str());
    let (bundle, host, set, packages, objects, machine) = all(bundle, host, set, packages, objects, machine)?;
    let (templates, bootstrap) = packages;
    let root = templates.last().cloned().ok_or_else(|| Fail::bug("no template was packaged"))?;
    let images = Images { machine, container: container.as_deref().map(Pushing::by_digest) };
    let release = Release::new(Parts {
        bundle: bundle.digest,
        templates: Some(set.digest),
        image: container.as_ref().map(|image| image.digest),
        engine: environment.engine,
        runtime: Runtime::Hosts(host.digest),
        stack: StackSpec { template: root.digest, parameters: environment.parameters(&images) },
        objects,
        commit: git::commit(project),
    });
    let artifacts = Artifacts {
        bundle: Some(archive(bundle)),
        host_revision: Some(archive(host)),
        image: container,
        template_set: Some(archive(set)),
        templates,
        bootstrap: Some(bootstrap),
        ..Artifacts::default()
    };
    Ok(Candidate { release, root, artifacts })
}

fn archive(made: Bundle) -> Archive {
    Archive { digest: made.digest, path: made.path }
}

/// What is wrong with the tree, whatever environment it is for. Packs nothing.
///
/// # Errors
/// Anything else that goes wrong.
pub fn problems(root: &Path) -> Result<Vec<Problem>> {
    let mut problems = bundle::problems(root);
    problems.extend(host_revision::problems(root));
    problems.extend(objects::problems(root)?);
    let composed = sources::read(root).and_then(|sources| {
        templates::written(&sources, Engine::default())?;
        let composed = compose(sources, &Additions::default())?;
        templates::package_both(&composed)
    });
    if let Err(fail) = composed {
        problems.extend(fail.into_problems()?);
    }
    Ok(problems)
}

/// Six results as one; problems of several parts become one list, and any other failure goes first.
fn all<A, B, C, D, E, F>(
    a: Result<A>,
    b: Result<B>,
    c: Result<C>,
    d: Result<D>,
    e: Result<E>,
    f: Result<F>,
) -> Result<(A, B, C, D, E, F)> {
    match (a, b, c, d, e, f) {
        (Ok(a), Ok(b), Ok(c), Ok(d), Ok(e), Ok(f)) => Ok((a, b, c, d, e, f)),
        (a, b, c, d, e, f) => {
            let mut problems = Vec::new();
            for fail in [a.err(), b.err(), c.err(), d.err(), e.err(), f.err()].into_iter().flatten() {
                problems.extend(fail.into_problems()?);
            }
            problems.dedup();
            Err(Fail::problems(count(problems.len(), "problem") + " in the tree", problems))
        }
    }
}
