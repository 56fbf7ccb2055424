//! Starts and stops the cloud of this machine (`localcloud/`).

use super::http::Http;
use super::proc::Cmd;
use super::toolchain::{self, Venv};
use super::{env, fs};
use crate::fail::{Fail, Kind, Result};
use crate::model::event::Sink;
use crate::model::text::tail;
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// `cloud.json`, written by the local cloud when it is ready.
#[derive(Clone, Debug, Deserialize)]
pub struct Cloud {
    pub endpoint: String,
    pub pid: u32,
    /// Whether it runs tasks of ECS as containers of Docker.
    #[serde(default)]
    pub containers: bool,
}

/// One that does not run refuses at once; on a busy machine an answer takes seconds.
const PATIENCE: Duration = Duration::from_secs(10);

/// What tasks of ECS are on this machine.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Tasks {
    Processes,
    /// Of Docker, which has to be there.
    Containers,
}

/// Where the local cloud keeps everything.
#[must_use]
pub fn state(root: &Path) -> PathBuf {
    root.join(".ductwork/local")
}

/// The folder that stands for `/` of an instance.
#[must_use]
pub fn instance(root: &Path, id: &str) -> PathBuf {
    state(root).join("instances").join(id)
}

/// Whether no cloud has ever run here.
#[must_use]
pub fn is_new(root: &Path) -> bool {
    !fs::exists(&state(root).join("cloud.json"))
}

/// The running cloud, if there is one that answers.
pub fn running(root: &Path) -> Result<Option<Cloud>> {
    let path = state(root).join("cloud.json");
    let Some(bytes) = fs::read_if_there(&path)? else { return Ok(None) };
    let cloud: Cloud = serde_json::from_slice(&bytes).map_err(|error| {
        Fail::usage(format!("the state of the local cloud is damaged: `{}`", path.display()))
            .because(error)
            .hint("delete it and start over: cargo xtask local reset")
    })?;
    let answer = Http::new(PATIENCE).get(&format!("{}/_ministack/health", cloud.endpoint), None);
    Ok(answer.is_ok_and(|answer| answer.status == 200).then_some(cloud))
}

/// The same with tasks of ECS as containers; one that runs already has them as it was told when it was started.
pub fn up_with_containers(root: &Path, sink: &Sink) -> Result<Cloud> {
    let cloud = start(root, Tasks::Containers, sink)?;
    if cloud.containers {
        return Ok(cloud);
    }
    Err(Fail::usage("the local cloud runs already, with tasks as processes")
        .hint("stop it first: cargo xtask local down"))
}

/// The running cloud, started first if it is not running.
pub fn up(root: &Path, sink: &Sink) -> Result<Cloud> {
    start(root, Tasks::Processes, sink)
}

fn start(root: &Path, tasks: Tasks, sink: &Sink) -> Result<Cloud> {
    if let Some(cloud) = running(root)? {
        return Ok(cloud);
    }
    let mut command = python(root, sink)?.args(["serve", "--state"]).arg(state(root));
    if tasks == Tasks::Containers {
        command = command.arg("--containers").envs(env::for_builders());
    }
    // Two commands that find it down at the same moment start it once. The lock lies beside the state,
    // which `wipe` deletes.
    let _turn = fs::lock(&root.join(".ductwork/local.lock"))?;
    if let Some(cloud) = running(root)? {
        return Ok(cloud);
    }
    let log = state(root).join("cloud.log");
    sink.progress("starting the local cloud");
    let mut child = command.spawn_detached(&log)?;
    let (mut ended, mut answers) = (None, None);
    toolchain::wait_until(Duration::from_secs(60), || {
        ended = child.try_wait().ok().flatten();
        answers = running(root)?.filter(|cloud| cloud.pid == child.id());
        Ok(ended.is_some() || answers.is_some())
    })?;
    match (answers, ended) {
        (_, Some(status)) => {
            Err(not_started(&log, &format!("it ended with {status}")).with_kind(Kind::Usage))
        }
        (Some(cloud), None) => Ok(cloud),
        (None, None) => Err(not_started(&log, "it did not answer within 60 s")),
    }
}

fn not_started(log: &Path, why: &str) -> Fail {
    let tail = tail(&fs::read_to_string(log).unwrap_or_default());
    let fail = Fail::failed("the local cloud does not start").cause(why);
    let fail = if tail.is_empty() { fail } else { fail.cause(tail) };
    fail.hint(format!("read its log: less '{}'", log.display()))
        .hint("or delete its state and start over: cargo xtask local reset")
}

/// Stops the cloud and every process it started.
pub fn down(root: &Path, sink: &Sink) -> Result<()> {
    if !fs::exists(&state(root)) {
        return Ok(());
    }
    python(root, sink)?.args(["stop", "--state"]).arg(state(root)).run().map(drop)
}

/// Stops everything and deletes the state.
pub fn wipe(root: &Path, sink: &Sink) -> Result<()> {
    if !fs::exists(&state(root)) {
        return Ok(());
    }
    python(root, sink)?.args(["wipe", "--state"]).arg(state(root)).run().map(drop)
}

/// What stands in for the plugin of the Session Manager, and takes the same arguments.
pub fn session_plugin(root: &Path, sink: &Sink) -> Result<Cmd> {
    let venv = toolchain::venv(root, Venv::Cloud, sink)?;
    let command = Cmd::new(venv.join("bin/python"), Path::new("."));
    Ok(command.args(["-m", "localcloud.sessions.plugin"]).env("PYTHONPATH", root))
}

/// `python -m localcloud` with the environment it needs and no other.
fn python(root: &Path, sink: &Sink) -> Result<Cmd> {
    let venv = toolchain::venv(root, Venv::Cloud, sink)?;
    let uv = toolchain::uv(root, None, sink)?;
    let command = Cmd::new(venv.join("bin/python"), root)
        .args(["-m", "localcloud"])
        .envs(env::for_installers())
        .env("PYTHONPATH", root)
        .env("DUCTWORK_VENVS", toolchain::venvs(root))
        .env("DUCTWORK_PYTHON", toolchain::python()?.path)
        .env("DUCTWORK_UV", uv);
    Ok(command)
}
