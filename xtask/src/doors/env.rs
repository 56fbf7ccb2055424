//! Environment variables: every one the tool reads is a function here.
#![allow(clippy::disallowed_methods)]

use crate::model::secret::Secret;
use std::path::PathBuf;

fn text(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// `AWS_ENDPOINT_URL`: another cloud than AWS, for instance an emulator that somebody else started.
#[must_use]
pub fn aws_endpoint_url() -> Option<String> {
    text("AWS_ENDPOINT_URL")
}

/// `AWS_REGION`, as the AWS tools read it.
#[must_use]
pub fn aws_region() -> Option<String> {
    text("AWS_REGION").or_else(|| text("AWS_DEFAULT_REGION"))
}

/// `DUCTWORK_PYTHON`: the Python to use instead of the first fitting one on the path.
#[must_use]
pub fn python() -> Option<String> {
    text("DUCTWORK_PYTHON")
}

/// What a builder of images needs: where its service is, its settings, proxies, the index of Python packages.
#[must_use]
pub fn for_builders() -> Vec<(String, String)> {
    let wanted = |name: &str| {
        let upper = name.to_uppercase();
        upper.ends_with("_PROXY")
            || upper.starts_with("DOCKER_")
            || upper.starts_with("BUILDAH_")
            || matches!(name, "HOME" | "PATH" | "CONTAINER_HOST" | "XDG_RUNTIME_DIR" | "TMPDIR")
            || matches!(name, "PIP_INDEX_URL" | "PIP_EXTRA_INDEX_URL")
    };
    std::env::vars().filter(|(name, _)| wanted(name)).collect()
}

/// `PIP_CERT`, `REQUESTS_CA_BUNDLE` or `SSL_CERT_FILE`: the authorities that pip trusts on this machine.
#[must_use]
pub fn certificates() -> Option<PathBuf> {
    ["PIP_CERT", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"].into_iter().find_map(text).map(PathBuf::from)
}

/// `UV_PYTHON_PREFERENCE`: which Python uv may use; uv reads it itself.
#[must_use]
pub fn python_preference() -> Option<String> {
    text("UV_PYTHON_PREFERENCE")
}

/// `SOURCE_DATE_EPOCH`: the time that what is built is to carry, in seconds since 1970
/// (<https://reproducible-builds.org/specs/source-date-epoch/>).
#[must_use]
pub fn source_date_epoch() -> Option<i64> {
    text("SOURCE_DATE_EPOCH")?.parse().ok()
}

/// `DUCTWORK_REGISTRY_USERNAME` and `DUCTWORK_REGISTRY_PASSWORD`: the login at the registry of images.
#[must_use]
pub fn registry_login() -> Option<(String, Secret)> {
    Some((text("DUCTWORK_REGISTRY_USERNAME")?, Secret::new(text("DUCTWORK_REGISTRY_PASSWORD")?)))
}

/// `DUCTWORK_INDEX_USERNAME` and `DUCTWORK_INDEX_PASSWORD`: the login at the package index of the project.
#[must_use]
pub fn index_login() -> Option<(String, Secret)> {
    Some((text("DUCTWORK_INDEX_USERNAME")?, Secret::new(text("DUCTWORK_INDEX_PASSWORD")?)))
}

/// `UV_INDEX`: package indexes of the user's own.
#[must_use]
pub fn uv_index() -> Option<String> {
    text("UV_INDEX")
}

/// Whether this is a job of GitHub Actions.
#[must_use]
pub fn github_actions() -> bool {
    text("GITHUB_ACTIONS").as_deref() == Some("true")
}

/// What a job of GitHub Actions needs to speak to GitHub.
pub struct GithubJob {
    pub api: String,
    /// `owner/name`
    pub repository: String,
    /// The file with what started the job.
    pub event: PathBuf,
    pub token: Secret,
}

/// `GITHUB_API_URL`, `GITHUB_REPOSITORY`, `GITHUB_EVENT_PATH`, which every job has, and `GITHUB_TOKEN`, which it has to
/// be given.
#[must_use]
pub fn github_job() -> Option<GithubJob> {
    Some(GithubJob {
        api: text("GITHUB_API_URL")?,
        repository: text("GITHUB_REPOSITORY")?,
        event: text("GITHUB_EVENT_PATH")?.into(),
        token: Secret::new(text("GITHUB_TOKEN")?),
    })
}

/// `GITHUB_STEP_SUMMARY`: the file whose content the page of a job shows.
#[must_use]
pub fn step_summary() -> Option<PathBuf> {
    text("GITHUB_STEP_SUMMARY").map(PathBuf::from)
}

/// `CI`: set by every CI service; no live redraw then.
#[must_use]
pub fn ci() -> bool {
    text("CI").is_some()
}

/// Who deploys: the actor of a GitHub workflow, else the user of this machine.
#[must_use]
pub fn actor() -> String {
    text("GITHUB_ACTOR")
        .or_else(|| text("USER"))
        .or_else(|| text("LOGNAME"))
        .unwrap_or_else(|| "unknown".to_owned())
}

/// The address of the workflow run, where this is one.
#[must_use]
pub fn run_url() -> Option<String> {
    let server = text("GITHUB_SERVER_URL")?;
    let repository = text("GITHUB_REPOSITORY")?;
    let run = text("GITHUB_RUN_ID")?;
    Some(format!("{server}/{repository}/actions/runs/{run}"))
}

/// `DUCTWORK_STOP_AFTER`: kills the process with SIGKILL when the named step has ended.
/// Only the crash tests set it.
#[must_use]
pub fn stop_after() -> Option<String> {
    text("DUCTWORK_STOP_AFTER")
}

/// `DUCTWORK_HASTE`: the number by which pauses towards AWS are divided; see `haste`.
/// Only the tests of faults set it.
#[must_use]
pub fn haste() -> u32 {
    divisor("DUCTWORK_HASTE")
}

/// `DUCTWORK_IMPATIENCE`: the same of time-outs, which only answers that never come make necessary: those of a busy
/// machine come late.
#[must_use]
pub fn impatience() -> u32 {
    divisor("DUCTWORK_IMPATIENCE")
}

fn divisor(name: &str) -> u32 {
    text(name).and_then(|text| text.parse().ok()).filter(|number| *number > 0).unwrap_or(1)
}

/// `DUCTWORK_AIRFLOW_URL`: where this tool looks for Airflow, instead of at the address of the stack.
/// Only tests set it.
#[must_use]
pub fn airflow_url() -> Option<String> {
    text("DUCTWORK_AIRFLOW_URL")
}

/// The folders of `PATH`.
#[must_use]
pub fn path() -> Vec<PathBuf> {
    std::env::var_os("PATH").map(|path| std::env::split_paths(&path).collect()).unwrap_or_default()
}

/// `AIRFLOW_CONN_…` and `AIRFLOW_VAR_…`: what stands in on this machine for connections and variables that
/// DAGs read while they are imported.
#[must_use]
pub fn for_dags() -> Vec<(String, String)> {
    let wanted = |name: &str| name.starts_with("AIRFLOW_CONN_") || name.starts_with("AIRFLOW_VAR_");
    std::env::vars().filter(|(name, _)| wanted(name)).collect()
}

/// What a program needs whose output a person reads in this terminal, and no setting of Airflow or AWS.
#[must_use]
pub fn for_people() -> Vec<(String, String)> {
    let wanted = |name: &str| matches!(name, "TERM" | "COLUMNS" | "LINES" | "NO_COLOR" | "TZ");
    let terminal = std::env::vars().filter(|(name, _)| wanted(name));
    for_installers().into_iter().chain(terminal).collect()
}

/// `AWS_PROFILE`, as the AWS tools read it.
#[must_use]
pub fn aws_profile() -> Option<String> {
    text("AWS_PROFILE")
}

/// What a tool of AWS finds its credentials by.
#[must_use]
pub fn for_aws() -> Vec<(String, String)> {
    std::env::vars().filter(|(name, _)| name.starts_with("AWS_")).collect()
}

/// What a package installer needs to reach its registry: proxies, certificates, its own settings.
/// Everything else is withheld, so that a stray `AIRFLOW__…` of the user's shell changes nothing.
#[must_use]
pub fn for_installers() -> Vec<(String, String)> {
    let wanted = |name: &str| {
        let upper = name.to_uppercase();
        upper.ends_with("_PROXY")
            || upper.starts_with("PIP_")
            || upper.starts_with("UV_")
            || upper.starts_with("SSL_CERT_")
            || matches!(
                name,
                "HOME"
                    | "PATH"
                    | "LANG"
                    | "TMPDIR"
                    | "REQUESTS_CA_BUNDLE"
                    | "CURL_CA_BUNDLE"
                    | "XDG_CACHE_HOME"
            )
    };
    std::env::vars().filter(|(name, _)| wanted(name)).collect()
}
