//! DAGs from a git repository: what has to be known of it, and which key it needs.

use crate::config::environment::GitDags;
use crate::config::file::{File, Text};
use crate::config::problems::{Location, Problems, Reported};
use crate::config::values::{EnvironmentName, GitKey, GitPath, GitRef, GitUrl, Transport};
use crate::model::names;

/// The folder of the DAGs in a repository, as in this project.
const PATH: &str = "dags";

/// The repository, if one is named. `name` is that of the environment.
pub fn dags(
    file: &File,
    name: Option<&EnvironmentName>,
    problems: &mut Problems,
) -> Result<Option<GitDags>, Reported> {
    let written = &file.dags.git;
    let keys = [&written.url, &written.r#ref, &written.path, &written.key];
    if keys.iter().all(|key| key.is_none()) {
        return Ok(None);
    }
    let url = problems.text(&written.url, GitUrl::parse);
    let url = problems.required(
        url,
        "dags.git.url",
        || "add `url = \"git@github.com:acme/dags.git\"`, the address of the repository, under `[dags.git]`",
    );
    let reference = problems.text(&written.r#ref, GitRef::parse);
    let reference = problems.required(
        reference,
        "dags.git.ref",
        || "add `ref = \"main\"` under `[dags.git]`: a branch, a tag, or all 40 digits of a commit",
    );
    let path = problems.text(&written.path, GitPath::parse);
    let path = path.and_then(|path| {
        path.map_or_else(|| problems.valid(&Location::missing("dags.git.path"), GitPath::parse(PATH)), Ok)
    });
    let key = problems.text(&written.key, GitKey::parse);
    let (url, key) = (url?, key?);
    opens(&url, key.as_ref(), &written.key, name, problems)?;
    if let (Some(key), Some(name)) = (&key, name) {
        deploy_role_reads(key, name, file, problems)?;
    }
    Ok(Some(GitDags { url, reference: reference?, path: path?, key }))
}

/// Whether there is a key where one is needed, and none that would be sent in plain text or to nobody.
fn opens(
    url: &GitUrl,
    key: Option<&GitKey>,
    written: &Text,
    name: Option<&EnvironmentName>,
    problems: &mut Problems,
) -> Result<(), Reported> {
    let environment = name.map_or("NAME", |name| name.as_str());
    let secret = names::secret(environment, names::GIT_SECRET);
    match (url.transport(), written) {
        (Transport::Ssh, None) => Err(problems.missing(
            "dags.git.key",
            format!(
                "add `key = \"{secret}\"` under `[dags.git]`, and store a deploy key that may read the repository: \
                 cargo xtask secret set {} --env {environment} < KEY_FILE",
                names::GIT_SECRET
            ),
        )),
        (Transport::File, Some(written)) => {
            Err(problems.conflict(&written.location, "a folder of this machine has no key", "remove it"))
        }
        (Transport::Http, Some(written)) if key.is_some() && !url.is_private() => {
            let message = "the key would be sent unencrypted";
            Err(problems.conflict(&written.location, message, "use an address that begins with `https://`"))
        }
        _ => Ok(()),
    }
}

/// Jobs of GitHub may read only the secret of that name (`templates/delivery.yaml`).
fn deploy_role_reads(
    key: &GitKey,
    name: &EnvironmentName,
    file: &File,
    problems: &mut Problems,
) -> Result<(), Reported> {
    let secret = names::secret(name, names::GIT_SECRET);
    match (&file.github.repository, &file.dags.git.key) {
        (Some(_), Some(written)) if !key.is(&secret) => {
            let message = format!("the role that jobs of `github.repository` get may only read `{secret}`");
            Err(problems.conflict(
                &written.location,
                message,
                format!(
                    "store the key under that name: cargo xtask secret set {} --env {name} < KEY_FILE",
                    names::GIT_SECRET
                ),
            ))
        }
        _ => Ok(()),
    }
}
