//! Reads `airflow/objects.toml`. Decides nothing: what is right in it, `config` knows.

use super::environment;
use crate::config::{self, OBJECTS};
use crate::doors::fs;
use crate::fail::{Fail, Problem, Result};
use crate::model::objects::Objects;
use crate::model::text::count;
use std::path::Path;

/// The objects of an environment; none if there is no such file.
///
/// # Errors
/// Every problem of the file.
pub fn load(root: &Path, environment: &str) -> Result<Objects> {
    let Some(bytes) = fs::read_if_there(&root.join(OBJECTS))? else { return Ok(Objects::default()) };
    let text = String::from_utf8(bytes).map_err(|_| told(vec![not_text()]))?;
    config::objects(&text, environment, &environment::names(root)?).map_err(told)
}

/// What is wrong for any environment; a mistake that concerns several is told once.
///
/// # Errors
/// Anything else that goes wrong.
pub fn problems(root: &Path) -> Result<Vec<Problem>> {
    let mut problems: Vec<Problem> = Vec::new();
    for environment in environment::names(root)? {
        let found = load(root, &environment).err().map_or(Ok(Vec::new()), Fail::into_problems)?;
        let new: Vec<Problem> = found.into_iter().filter(|one| !problems.contains(one)).collect();
        problems.extend(new);
    }
    Ok(problems)
}

fn told(problems: Vec<Problem>) -> Fail {
    Fail::problems(format!("`{OBJECTS}` has {}", count(problems.len(), "problem")), problems)
}

fn not_text() -> Problem {
    Problem::new("not_utf8", OBJECTS, "is not UTF-8", "save it in UTF-8")
}
