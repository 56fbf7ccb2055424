//! A copy of this project in a scratch folder, with a port of its own, and the binary run in it.

use super::{Run, free_ports, repository};
use base64::Engine as _;
use serde_json::Value;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use xtask::doors::toolchain::{self, Venv};
use xtask::model::event::Sink;

pub struct Project {
    scratch: tempfile::TempDir,
    pub port: u16,
    /// What `restore` puts back: every file below `EDITED`, by name.
    kept: RefCell<BTreeMap<String, Vec<u8>>>,
}

/// What stages edit.
const EDITED: [&str; 6] = ["dags", "plugins", "tasks", "airflow/host", "environments", "templates"];

impl Project {
    /// Copies what git would: tracked files, and untracked ones that are not ignored. The Python
    /// environments are shared with the repository, so that they are installed once.
    pub fn new() -> Self {
        let root = repository();
        let scratch = tempfile::tempdir().unwrap();
        let list = Command::new("git")
            .args(["ls-files", "-co", "--exclude-standard"])
            .current_dir(&root)
            .output()
            .unwrap();
        for name in String::from_utf8(list.stdout).unwrap().lines() {
            let (from, to) = (root.join(name), scratch.path().join(name));
            if from.is_file() {
                fs::create_dir_all(to.parent().unwrap()).unwrap();
                fs::copy(from, to).unwrap();
            }
        }
        fs::create_dir_all(root.join(".ductwork/venvs")).unwrap();
        fs::create_dir_all(scratch.path().join(".ductwork")).unwrap();
        std::os::unix::fs::symlink(root.join(".ductwork/venvs"), scratch.path().join(".ductwork/venvs"))
            .unwrap();
        let port = free_ports();
        let project = Self { scratch, port, kept: RefCell::default() };
        project.edit("environments/local.toml", |text| format!("{text}\n[airflow]\nport = {port}\n"));
        project
    }

    /// Remembers the files as they are now.
    pub fn keep(&self) {
        *self.kept.borrow_mut() = self.edited();
    }

    /// Puts them back as they were.
    pub fn restore(&self) {
        let kept = self.kept.borrow();
        for name in self.edited().into_keys().filter(|name| !kept.contains_key(name)) {
            self.remove(&name);
        }
        for (name, bytes) in &*kept {
            if fs::read(self.path().join(name)).ok().as_ref() != Some(bytes) {
                fs::write(self.path().join(name), bytes).unwrap();
            }
        }
    }

    fn edited(&self) -> BTreeMap<String, Vec<u8>> {
        let mut found = BTreeMap::new();
        for folder in EDITED {
            collect(self.path(), Path::new(folder), &mut found);
        }
        found
    }

    /// The same with hosts that run no Airflow, but what answers the tool like one (`host/stub.py`): a
    /// deployment goes through every step in seconds.
    pub fn without_airflow() -> Self {
        let project = Self::new();
        let hosts = project.path().join("airflow/host");
        fs::remove_dir_all(&hosts).unwrap();
        copy(&repository().join("xtask/tests/support/host"), &hosts);
        project
    }

    /// And tasks of ECS that run no Airflow either: the stub is in the image, whose packages are shared with other tests.
    pub fn without_airflow_in_tasks() -> Self {
        let project = Self::without_airflow();
        let support = repository().join("xtask/tests/support");
        let images = project.path().join("airflow/ductwork_airflow/images");
        copy(&support.join("container"), &images);
        copy(&support.join("host/stub.py"), &images.join("stub.py"));
        let plugin = "airflow/host/ductwork.dist-info";
        copy(&repository().join(plugin), &project.path().join(plugin));
        project.share_layers();
        project
    }

    /// Layers that this repository's tests have built are not built again.
    pub fn share_layers(&self) {
        let shared = repository().join(".ductwork/cache/image");
        fs::create_dir_all(&shared).unwrap();
        fs::create_dir_all(self.path().join(".ductwork/cache")).unwrap();
        std::os::unix::fs::symlink(shared, self.path().join(".ductwork/cache/image")).unwrap();
    }

    pub fn path(&self) -> &Path {
        self.scratch.path()
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path().join(name)).unwrap()
    }

    pub fn write(&self, name: &str, text: &str) {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub fn remove(&self, name: &str) {
        fs::remove_file(self.path().join(name)).unwrap();
    }

    pub fn edit(&self, name: &str, change: impl FnOnce(&str) -> String) {
        let text = change(&self.read(name));
        self.write(name, &text);
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        command.args(args).current_dir(self.path()).stdin(Stdio::null());
        for name in ["AWS_ENDPOINT_URL", "AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION"] {
            command.env_remove(name);
        }
        // In a job of GitHub Actions the tool speaks to it, too.
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("GITHUB_")) {
            command.env_remove(name);
        }
        command
    }

    pub fn run(&self, args: &[&str]) -> Run {
        self.run_with(args, &[])
    }

    pub fn run_with(&self, args: &[&str], env: &[(&str, &str)]) -> Run {
        let output = self.command(args).envs(env.iter().copied()).output().unwrap();
        run_of(&output)
    }

    pub fn spawn(&self, args: &[&str]) -> Child {
        self.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// What a verb that was spawned with `--format json` has printed once it has ended well.
    #[track_caller]
    pub fn result(&self, child: Child) -> Value {
        run_of(&child.wait_with_output().unwrap()).expect(0).json()
    }

    /// `deploy --env local` with its JSON result.
    #[track_caller]
    pub fn deploy(&self) -> Value {
        self.run(&["deploy", "--env", "local", "--yes", "--format", "json"]).expect(0).json()
    }

    /// A Python program of this project in the environment of the local cloud, on its state.
    pub fn python(&self, args: &[&str]) -> Run {
        let venv = toolchain::venv(self.path(), Venv::Cloud, &Sink::null()).unwrap();
        let mut command = Command::new(venv.join("bin/python"));
        command.args(args).arg("--state").arg(self.path().join(".ductwork/local"));
        command.current_dir(self.path()).env("PYTHONPATH", self.path()).env("PYTHONDONTWRITEBYTECODE", "1");
        run_of(&command.output().unwrap())
    }

    /// Where this project's cloud answers.
    pub fn endpoint(&self) -> String {
        let cloud: Value = serde_json::from_str(&self.read(".ductwork/local/cloud.json")).unwrap();
        cloud["endpoint"].as_str().unwrap().to_owned()
    }

    /// What the cloud's S3 holds under a key of the artifact bucket.
    pub fn object(&self, key: &str) -> Option<Value> {
        let endpoint = self.endpoint();
        let url = format!("{endpoint}/ductwork-000000000000-us-east-1/{key}");
        let mut answer = ureq::get(&url).call().ok()?;
        serde_json::from_str(&answer.body_mut().read_to_string().unwrap()).ok()
    }

    pub fn pointer(&self) -> Value {
        self.object("environments/local/current.json").unwrap_or(Value::Null)
    }

    /// What the workers of its hosts have logged.
    pub fn worker_logs(&self) -> Vec<String> {
        let hosts = fs::read_dir(self.path().join(".ductwork/local/instances")).unwrap().flatten();
        hosts
            .filter_map(|host| fs::read_to_string(host.path().join("var/log/ductwork/worker.log")).ok())
            .collect()
    }

    /// What the containers of a component's tasks on ECS have written, of those that the cloud still knows.
    pub fn task_logs(&self, component: &str) -> String {
        let tasks = fs::read_dir(self.path().join(".ductwork/local/tasks")).unwrap().flatten();
        let log = |task: fs::DirEntry| task.path().join("containers").join(component).join("log");
        tasks
            .filter_map(|task| fs::read(log(task)).ok())
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .collect()
    }

    /// What hooks have said, a text for each deployment on each of its hosts.
    pub fn deployment_logs(&self) -> Vec<String> {
        let mut found = BTreeMap::new();
        let hosts = Path::new(".ductwork/local/instances");
        for host in fs::read_dir(self.path().join(hosts)).unwrap().flatten() {
            let agent = hosts.join(host.file_name()).join("opt/codedeploy-agent");
            collect(self.path(), &agent, &mut found);
        }
        let logs = found.into_iter().filter(|(name, _)| name.ends_with("logs/scripts.log"));
        logs.map(|(_, bytes)| String::from_utf8_lossy(&bytes).into_owned()).collect()
    }

    /// Live processes that belong to this project's local cloud: pid → command line.
    pub fn processes(&self) -> BTreeMap<u32, String> {
        let state = self.path().join(".ductwork/local");
        let state = state.to_string_lossy().into_owned();
        let mut found = BTreeMap::new();
        for entry in fs::read_dir("/proc").unwrap().flatten() {
            let Ok(pid) = entry.file_name().to_string_lossy().parse::<u32>() else { continue };
            let read = |name: &str| fs::read(entry.path().join(name)).unwrap_or_default();
            let (line, environment) = (read("cmdline"), read("environ"));
            let ours = |bytes: &[u8]| String::from_utf8_lossy(bytes).contains(&state);
            if pid != std::process::id() && (ours(&line) || ours(&environment)) {
                found.insert(pid, String::from_utf8_lossy(&line).replace('\0', " "));
            }
        }
        found
    }

    /// Pids of the Airflow components themselves, by component: the processes that their supervisor
    /// started, not what these started in turn.
    pub fn components(&self) -> BTreeMap<String, u32> {
        let marked: BTreeMap<u32, String> =
            self.processes().into_keys().filter_map(|pid| Some((pid, component_of(pid)?))).collect();
        let is_child = |pid: u32| parent_of(pid).is_some_and(|parent| marked.contains_key(&parent));
        let own = marked.iter().filter(|(pid, _)| !is_child(**pid));
        own.map(|(pid, component)| (component.clone(), *pid)).collect()
    }

    pub fn airflow(&self) -> xtask::doors::airflow::Airflow {
        let secret = self.run(&["secret", "admin", "--env", "local"]).expect(0).stdout;
        let mut airflow = xtask::doors::airflow::Airflow::new(&format!("http://127.0.0.1:{}", self.port));
        airflow.log_in("admin", &xtask::model::secret::Secret::new(secret.trim())).unwrap();
        airflow
    }
}

impl Project {
    /// What Airflow's API shows as the log of the first try of a task in the newest run of its DAG.
    pub fn task_log(&self, dag: &str, task: &str) -> String {
        let api = format!("http://127.0.0.1:{}/api/v2/dags/{dag}/dagRuns", self.port);
        let password = self.run(&["secret", "admin", "--env", "local"]).expect(0).stdout;
        let login = base64::engine::general_purpose::STANDARD.encode(format!("admin:{}", password.trim()));
        let get = |url: &str| {
            let asked = ureq::get(url).header("Authorization", format!("Basic {login}"));
            asked.header("Accept", "application/json").call().unwrap().body_mut().read_to_string().unwrap()
        };
        let runs: Value = serde_json::from_str(&get(&format!("{api}?order_by=-run_after&limit=1"))).unwrap();
        let run = runs["dag_runs"][0]["dag_run_id"].as_str().unwrap().replace('+', "%2B");
        get(&format!("{api}/{run}/taskInstances/{task}/logs/1?full_content=true"))
    }
}

/// Every file below a folder, by its name from `root`.
fn collect(root: &Path, folder: &Path, found: &mut BTreeMap<String, Vec<u8>>) {
    for entry in fs::read_dir(root.join(folder)).unwrap().flatten() {
        let name = folder.join(entry.file_name());
        if root.join(&name).is_dir() {
            collect(root, &name, found);
        } else {
            let bytes = fs::read(root.join(&name)).unwrap();
            found.insert(name.to_string_lossy().into_owned(), bytes);
        }
    }
}

fn copy(from: &Path, to: &Path) {
    if from.is_file() {
        fs::copy(from, to).unwrap();
        return;
    }
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().flatten() {
        copy(&entry.path(), &to.join(entry.file_name()));
    }
}

impl Drop for Project {
    fn drop(&mut self) {
        let _ = self.command(&["local", "down"]).output();
    }
}

/// The mark that a component's start wrapper leaves in its environment.
fn component_of(pid: u32) -> Option<String> {
    let bytes = fs::read(format!("/proc/{pid}/environ")).ok()?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    text.split('\0').find_map(|pair| pair.strip_prefix("DUCTWORK_COMPONENT=").map(str::to_owned))
}

fn parent_of(pid: u32) -> Option<u32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("PPid:"))?.trim().parse().ok()
}

fn run_of(output: &Output) -> Run {
    Run {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}
