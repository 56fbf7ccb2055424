//! What the tree is to become: its bundle, host revision and templates, and the release they make.

use crate::config::Environment;
use crate::doors::git;
use crate::fail::{Fail, Result};
use crate::model::release::Release;
use crate::model::stack::Packaged;
use crate::observe::bundle::{self, Bundle};
use crate::observe::{host_revision, templates};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A release made of files, and where the files are.
#[derive(Clone, Debug)]
pub struct Target {
    pub release: Release,
    pub bundle: Bundle,
    pub host: PathBuf,
    pub templates: Vec<Packaged>,
    pub bootstrap: String,
}

/// Where templates are read from once they are uploaded.
#[derive(Clone, Debug)]
pub struct Place {
    pub endpoint: Option<String>,
    pub region: String,
    pub bucket: String,
}

/// Reads the whole tree; every problem of every part is reported together.
pub fn from_tree(root: &Path, environment: &Environment, place: &Place) -> Result<Target> {
    let cache = root.join(".ductwork/cache");
    let bundle = bundle::bundle(root, &cache);
    let host = host_revision::host_revision(root, &cache);
    let templates = templates::package(root, place);
    let (bundle, host, templates) = all(bundle, host, templates)?;
    let mut parameters: BTreeMap<String, String> = environment.parameters();
    parameters.insert("ArtifactBucket".to_owned(), place.bucket.clone());
    let release = Release {
        bundle: bundle.digest,
        host: host.digest,
        template: templates.root,
        parameters,
        commit: git::commit(root),
    };
    let bootstrap = templates::bootstrap(root)?;
    Ok(Target { release, bundle, host: host.path, templates: templates.all, bootstrap })
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
                None => Err(Fail::problems(crate::model::text::count(problems.len(), "problem") + " in the tree", problems)),
            }
        }
    }
}
