//! The templates of `check`: composed and written down for the linters, as each environment gets them.

use super::parts::told;
use crate::config::Environment;
use crate::doors::fs;
use crate::fail::{Problem, Result};
use crate::observe::lint::{InFolder, Linted};
use crate::plan::compose::{MASTER, as_written};
use crate::plan::templates::Sources;
use crate::report::check::Ran;
use crate::session::templates;
use std::path::{Path, PathBuf};

/// The templates of an environment, written down as it gets them.
#[derive(Clone, Debug)]
pub struct Composed {
    pub folder: PathBuf,
    /// Where the project has its additional templates.
    pub additional: Option<String>,
}

/// What a linter finds in the composed templates.
pub fn linted(
    composed: &[Composed],
    lint: impl FnOnce(&[PathBuf]) -> Result<Linted>,
) -> Result<(Vec<Problem>, Ran)> {
    if composed.is_empty() {
        return Ok((Vec::new(), Ran::Nothing));
    }
    let folders: Vec<PathBuf> = composed.iter().map(|one| one.folder.clone()).collect();
    let Linted { found, read, of } = lint(&folders)?;
    Ok((placed(composed, found), Ran::Changed { read, of }))
}

/// Findings with the locations of the files that people wrote.
fn placed(composed: &[Composed], found: Vec<InFolder>) -> Vec<Problem> {
    let place = |(folder, problem): InFolder| {
        let one = composed.iter().find(|one| one.folder == folder);
        let additional = one.and_then(|one| one.additional.as_deref());
        Problem { location: as_written(&problem.location, additional), ..problem }
    };
    found.into_iter().map(place).collect()
}

/// Composes and packages the templates of each environment; those that fit are written down for the linters.
pub fn composed(root: &Path, known: &[Environment], folder: &Path) -> Result<(Vec<Problem>, Vec<Composed>)> {
    let mut problems = Vec::new();
    let mut composed = Vec::new();
    for environment in known {
        match fitting(root, environment) {
            Ok(sources) => {
                let folder = folder.join(environment.name.as_str());
                for (path, bytes) in sources {
                    fs::write(&folder.join(path), &bytes)?;
                }
                let additional = environment.additional.templates.as_ref().map(ToString::to_string);
                composed.push(Composed { folder, additional });
            }
            // A fault in a child is found with each environment.
            Err(fail) => {
                let told = told(fail, &format!("templates/{MASTER}"));
                let new: Vec<Problem> = told.into_iter().filter(|one| !problems.contains(one)).collect();
                problems.extend(new);
            }
        }
    }
    Ok((problems, composed))
}

/// The composed templates, if they can be packaged and take what the environment gives.
fn fitting(root: &Path, environment: &Environment) -> Result<Sources> {
    let sources = templates::sources(root, environment)?;
    let (packaged, _) = templates::package_sources(environment, &sources)?;
    templates::fits(environment, &packaged)?;
    Ok(sources)
}
