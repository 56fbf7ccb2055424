//! Where the project is, and its environment files.

use crate::config::Environment;
use crate::fail::{Fail, Result};
use crate::observe;
use std::path::{Path, PathBuf};

#[derive(Clone, Debug)]
pub struct Project {
    pub root: PathBuf,
}

impl Project {
    /// The nearest folder upwards that holds `environments/` and `dags/` or `Cargo.toml`.
    pub fn find() -> Result<Self> {
        let here = std::env::current_dir()
            .map_err(|e| Fail::usage("the current folder no longer exists").because(e))?;
        let is_root =
            |folder: &&Path| folder.join("environments").is_dir() && folder.join("Cargo.toml").is_file();
        match here.ancestors().find(is_root) {
            Some(root) => Self::at(root),
            None => Err(Fail::usage(format!("`{}` is not in a Ductwork project", here.display()))
                .cause("neither it nor a folder above it holds `environments/` and `Cargo.toml`")
                .hint("change to your clone of the repository and run the command again")),
        }
    }

    /// Some characters mean something to the programs that are told the folder: `%` to supervisord and to
    /// Airflow's database migrations, `:` to Python's search path.
    fn at(root: &Path) -> Result<Self> {
        let path = root.display().to_string();
        match path.chars().find(|c| ['%', ':'].contains(c)) {
            None => Ok(Self { root: root.to_owned() }),
            Some(bad) => Err(Fail::usage(format!("the project's path contains `{bad}`: `{path}`"))
                .cause("supervisord, Python or Airflow treats that character specially")
                .hint(format!("rename the folder, for instance: mv '{path}' '{}'", path.replace(bad, "-")))),
        }
    }

    /// The folder of everything that this tool makes.
    #[must_use]
    pub fn state(&self) -> PathBuf {
        self.root.join(".ductwork")
    }

    /// The environment file, complete and checked.
    pub fn environment(&self, name: &str) -> Result<Environment> {
        observe::environment::load(&self.root, name)
    }
}
