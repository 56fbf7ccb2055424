//! Which migrations the locked Airflow has, read from its packages without a database.

use crate::doors::package_index::Index;
use crate::doors::proc::Cmd;
use crate::doors::toolchain::{self, Venv};
use crate::doors::{env, fs};
use crate::fail::{Fail, Result};
use crate::model::digest::Digest;
use crate::model::event::Sink;
use crate::model::schema::Schema;
use std::path::Path;

/// Installs the lock if need be. A lock's answer is kept, since it never changes.
pub fn of_lock(root: &Path, index: Option<Index>, sink: &Sink) -> Result<Schema> {
    let lock = fs::read(&root.join("airflow/requirements.lock"))?;
    let kept = root.join(format!(".ductwork/cache/schema-{}.json", Digest::of(&lock).short()));
    let found = fs::read_if_there(&kept)?.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    if let Some(schema) = found {
        return Ok(schema);
    }
    let python = toolchain::venv_from(root, Venv::Airflow, index, sink)?.join("bin/python");
    let told = Cmd::new(python, root)
        .args(["-m", "ductwork_airflow.release.heads"])
        .envs(env::for_dags())
        .env("PYTHONPATH", root.join("airflow"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .run()
        .map_err(|fail| fail.context("cannot read the migrations of the locked Airflow"))?;
    let schema = serde_json::from_str(&told)
        .map_err(|error| Fail::bug("the migrations of the locked Airflow are not readable").because(error))?;
    if let Some(folder) = kept.parent() {
        fs::create_dir(folder)?;
    }
    fs::write(&kept, told.as_bytes())?;
    Ok(schema)
}
