//! What the tree is to become: its bundle, host revision and templates, and the release they make.

use super::stacks::{self, Place};
use crate::apply::context::Artifacts;
use crate::config::Environment;
use crate::doors::git;
use crate::fail::{Fail, Problem, Result};
use crate::model::bundle::Bundle;
use crate::model::release::Release;
use crate::observe::{bundle, host_revision, templates};
use crate::plan::compose::{Additions, compose};
use crate::plan::templates::Packaged;
use std::path::{Path, PathBuf};

/// A release made of files, and where the files are.
#[derive(Clone, Debug)]
pub struct Target {
    pub release: Release,
    pub bundle: Bundle,
    pub host: PathBuf,
    /// Children before parents, `master.yaml` last.
    pub templates: Vec<Packaged>,
    pub bootstrap: Packaged,
}

/// Reads the whole tree; every problem of every part is reported together.
pub fn from_tree(root: &Path, environment: &Environment, place: &Place) -> Result<Target> {
    let cache = root.join(".ductwork/cache");
    let bundle = bundle::bundle(root, &cache);
    let host = host_revision::host_revision(root, &cache);
    let (bundle, host, templates) = all(bundle, host, stacks::packaged(root, environment, place))?;
    let (templates, bootstrap) = templates;
    let master = templates.last().ok_or_else(|| Fail::bug("no template was packaged"))?;
    let release = Release {
        bundle: bundle.digest,
        host: host.digest,
        template: master.digest,
        parameters: environment.parameters(),
        commit: git::commit(root),
    };
    Ok(Target { release, bundle, host: host.path, templates, bootstrap })
}

/// What is wrong with the tree, wherever it is to be deployed. Packs nothing.
#[must_use]
pub fn problems(root: &Path) -> Vec<Problem> {
    let templates = templates::read(root).and_then(|sources| {
        stacks::package_both(&sources, &Place::nowhere())?;
        compose(sources, &Additions::default())
    });
    let templates = templates.err().map(|fail| fail.all_problems().to_vec());
    let mut problems = bundle::problems(root);
    problems.extend(host_revision::problems(root));
    problems.extend(templates.unwrap_or_default());
    problems
}

/// Three results as one; problems of several parts become one list.
fn all<A, B, C>(a: Result<A>, b: Result<B>, c: Result<C>) -> Result<(A, B, C)> {
    match (a, b, c) {
        (Ok(a), Ok(b), Ok(c)) => Ok((a, b, c)),
        (a, b, c) => {
            let mut fails: Vec<Fail> = [a.err(), b.err(), c.err()].into_iter().flatten().collect();
            let problems: Vec<_> = fails.iter().flat_map(|fail| fail.all_problems().to_vec()).collect();
            let other = fails.iter().position(|fail| fail.all_problems().is_empty());
            match other {
                Some(index) => Err(fails.swap_remove(index)),
                None => Err(Fail::problems(
                    crate::model::text::count(problems.len(), "problem") + " in the tree",
                    problems,
                )),
            }
        }
    }
}

/// Files of the tree that steps upload.
#[must_use]
pub fn artifacts(target: &Target) -> Artifacts {
    Artifacts {
        bundle: Some(target.bundle.path.clone()),
        host: Some(target.host.clone()),
        templates: target.templates.clone(),
        bootstrap: Some(target.bootstrap.clone()),
    }
}
