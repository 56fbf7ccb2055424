//! The login at the package index, for what is installed for an environment.

use super::Session;
use crate::doors::package_index::Index;
use crate::doors::toolchain::{self, Venv};
use crate::fail::Result;
use crate::observe::image::login;
use std::path::Path;

/// With the login that is stored for the environment, unless variables give one. Whether the index asks for one at all,
/// nobody knows yet: that its cloud cannot be asked is told only if it does.
pub async fn logged_in(index: Index, environment: &str) -> Index {
    if !index.wants_login() {
        return index;
    }
    let stored = async {
        let session = Session::open(environment).await?;
        login::of_packages(&session.aws, &session.environment).await
    };
    index.with(stored.await)
}

/// Where the packages of Airflow's environment come from on this machine; none if they are there already.
pub async fn of_airflow(root: &Path, environment: &str) -> Result<Option<Index>> {
    if toolchain::is_made(root, Venv::Airflow)? {
        return Ok(None);
    }
    Ok(Some(logged_in(Index::of(root)?, environment).await))
}
