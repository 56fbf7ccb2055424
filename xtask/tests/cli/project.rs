//! A scratch project, the binary run in it with a clean environment, and what holds for every run.

pub use crate::support::{Run, free_ports, repository};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// What a project needs to be planned and packed.
const PARTS: [&str; 7] =
    ["Cargo.toml", "airflow", "dags", "environments", "localcloud/requirements.lock", "plugins", "templates"];

pub struct Project {
    scratch: tempfile::TempDir,
    name: String,
}

/// No line is longer than 80 columns, unless it holds a path, a URL or an ARN.
#[track_caller]
pub fn fits(text: &str) {
    for line in text.lines() {
        let whole = line.contains('/') || line.contains("arn:");
        assert!(whole || line.chars().count() <= 80, "{} columns: {line}", line.chars().count());
    }
}

fn copy(from: &Path, to: &Path) {
    let name = from.file_name().unwrap().to_string_lossy().into_owned();
    if from.is_dir() && name != "__pycache__" && !name.starts_with('.') {
        fs::create_dir_all(to).unwrap();
        for entry in fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            copy(&entry.path(), &to.join(entry.file_name()));
        }
    } else if from.is_file() {
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(from, to).unwrap();
    }
}

impl Project {
    /// A copy of this project with free ports of its own and nothing made by the tool. The path is as
    /// long on every machine, since lines are broken by length.
    pub fn new() -> Self {
        Self::named("ductwork")
    }

    /// The same in a folder of that name.
    pub fn named(name: &str) -> Self {
        let scratch = tempfile::Builder::new().prefix("cli-").rand_bytes(6).tempdir_in("/tmp").unwrap();
        let project = Self { scratch, name: name.to_owned() };
        for part in PARTS {
            copy(&repository().join(part), &project.path(part));
        }
        project.program("python3", "echo 3.12.1");
        let port = free_ports();
        project.write(
            "environments/local.toml",
            &format!("[aws]\nendpoint = \"local\"\n[airflow]\nport = {port}\n"),
        );
        project
    }

    pub fn root(&self) -> PathBuf {
        self.scratch.path().join(&self.name)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.root().join(name)
    }

    /// The only folder of programs that the binary finds.
    pub fn bin(&self) -> PathBuf {
        self.scratch.path().join("bin")
    }

    pub fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub fn remove(&self, name: &str) {
        let path = self.path(name);
        if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }.unwrap();
    }

    /// Puts a program on the path.
    pub fn program(&self, name: &str, script: &str) {
        let path = self.bin().join(name);
        fs::create_dir_all(self.bin()).unwrap();
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// The binary with nothing of this process's environment but what is named here.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        command.args(args).current_dir(self.root()).stdin(Stdio::null()).env_clear();
        command.env("PATH", self.bin()).env("HOME", self.scratch.path()).env("COLUMNS", "80");
        command.env("AWS_EC2_METADATA_DISABLED", "true");
        command
    }

    pub fn run(&self, args: &[&str]) -> Run {
        self.run_with(args, &[])
    }

    pub fn run_with(&self, args: &[&str], env: &[(&str, &str)]) -> Run {
        self.seen(&self.command(args).envs(env.iter().copied()).output().unwrap())
    }

    /// The run, with the path of the project and durations made the same everywhere; it fits a terminal.
    #[track_caller]
    pub fn seen(&self, output: &Output) -> Run {
        let duration = regex::Regex::new(r" +\d+(\.\d)? m?s\b").unwrap();
        let text = |bytes: &[u8]| {
            let text = String::from_utf8(bytes.to_vec()).unwrap();
            let text = text.replace(&*self.root().to_string_lossy(), "[PROJECT]");
            let text = text.replace(&*self.scratch.path().to_string_lossy(), "[SCRATCH]");
            duration.replace_all(&text, " [TIME]").into_owned()
        };
        let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
        fits(&stderr);
        if !stdout.starts_with(['{', '[']) {
            fits(&stdout);
        }
        Run { code: output.status.code(), stdout, stderr }
    }

    /// What is told of a bad input: exit code 2, nothing on standard output, and nothing changed.
    #[track_caller]
    pub fn refused(&self, args: &[&str]) -> String {
        self.refused_with(args, &[])
    }

    #[track_caller]
    pub fn refused_with(&self, args: &[&str], env: &[(&str, &str)]) -> String {
        let before = self.content();
        let run = self.run_with(args, env).expect(2);
        assert_eq!(run.stdout, "");
        let after = self.content();
        let changed: Vec<_> = before.iter().filter(|(path, _)| !after.contains_key(*path)).collect();
        assert!(changed.is_empty(), "gone: {changed:?}");
        let changed: Vec<_> = after
            .iter()
            .filter(|(path, bytes)| before.get(*path) != Some(bytes))
            .map(|(path, _)| path)
            .collect();
        assert!(changed.is_empty(), "written: {changed:?}");
        run.stderr
    }

    /// Every file and folder with what is in it. Left out is what may be made at any time and is never
    /// more than a copy: packed archives, and environments that are not complete.
    fn content(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut found = BTreeMap::new();
        let mut open = vec![self.root()];
        while let Some(path) = open.pop() {
            if path.ends_with(".ductwork/cache") {
                continue;
            }
            let incomplete = path.starts_with(self.path(".ductwork/venvs")) && !path.ends_with(".complete");
            if path.is_dir() {
                open.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            } else if !incomplete {
                found.insert(path.clone(), fs::read(&path).unwrap());
            }
        }
        assert!(found.len() > 20, "the project is not where this test looks");
        found
    }
}

/// A port where nobody listens.
pub fn closed_port() -> u16 {
    std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}
