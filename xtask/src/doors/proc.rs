//! Processes of this machine: run to the end with their output, or started to stay.
//!
//! The environment of a child is what the caller gives it, nothing is inherited by accident.
#![allow(clippy::disallowed_methods)]

use crate::fail::{Fail, Result};
use crate::model::text::tail;
use rustix::io::Errno;
use rustix::process::{Pid, Signal, getpid, kill_process, test_kill_process};
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// A command line with its folder and its whole environment. `Display` is a line to paste.
#[derive(Clone, Debug)]
pub struct Cmd {
    program: PathBuf,
    args: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    dir: PathBuf,
}

impl Cmd {
    pub fn new(program: impl Into<PathBuf>, dir: &Path) -> Self {
        Self { program: program.into(), args: Vec::new(), env: Vec::new(), dir: dir.to_owned() }
    }

    #[must_use]
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    #[must_use]
    pub fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.args.extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    #[must_use]
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.env.push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    #[must_use]
    pub fn envs(mut self, pairs: impl IntoIterator<Item = (String, String)>) -> Self {
        self.env.extend(pairs.into_iter().map(|(name, value)| (name.into(), value.into())));
        self
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.args).env_clear().envs(self.env.iter().cloned()).current_dir(&self.dir);
        command.stdin(Stdio::null());
        command
    }

    /// Runs to the end, whatever the exit code.
    pub fn output(&self) -> Result<Output> {
        self.command().output().map_err(|error| self.not_started(error))
    }

    /// Runs to the end; another exit code than 0 is a failure with the last lines of its output.
    pub fn run(&self) -> Result<String> {
        let output = self.output()?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.push_str(&String::from_utf8_lossy(&output.stderr));
        Err(Fail::failed(format!("`{self}` ended with {}", output.status)).cause(tail(&text)))
    }

    /// Becomes the program, with this process's terminal, input, output and pid: signals and exit code are the
    /// program's own. Returns only if it cannot be started.
    pub fn replace_this_process(&self) -> Fail {
        let mut command = self.command();
        command.stdin(Stdio::inherit());
        self.not_started(command.exec())
    }

    /// Starts a process that outlives this one, in a session of its own, its output in `log`.
    pub fn spawn_detached(&self, log: &Path) -> Result<std::process::Child> {
        let out = super::fs::open_append(log)?;
        let err = out.try_clone().map_err(|error| self.not_started(error))?;
        let mut command = self.command();
        command.stdout(out).stderr(err).process_group(0);
        command.spawn().map_err(|error| self.not_started(error))
    }

    /// Starts a process whose output can be read while it runs; killed when dropped.
    pub fn tokio(&self) -> tokio::process::Command {
        let mut command = tokio::process::Command::from(self.command());
        command.kill_on_drop(true);
        command
    }

    fn not_started(&self, error: std::io::Error) -> Fail {
        Fail::failed(format!("cannot run `{}`", self.program.display())).because(error)
    }
}

impl fmt::Display for Cmd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.program.display())?;
        for arg in &self.args {
            write!(f, " {}", quoted(&arg.to_string_lossy()))?;
        }
        Ok(())
    }
}

fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// The first executable of that name on `PATH`.
#[must_use]
pub fn find(name: &str) -> Option<PathBuf> {
    super::env::path().into_iter().map(|folder| folder.join(name)).find(|path| path.is_file())
}

/// The name of this machine.
#[must_use]
pub fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

#[must_use]
pub fn pid() -> u32 {
    std::process::id()
}

/// Where pids of this process count: this boot of this machine, and the process namespace (containers
/// of one machine may share its name and not its pids). None where the system does not tell.
#[must_use]
pub fn realm() -> Option<String> {
    let boot = super::fs::read_to_string(Path::new("/proc/sys/kernel/random/boot_id")).ok()?;
    let namespace = std::fs::read_link("/proc/self/ns/pid").ok()?;
    Some(format!("{} {}", boot.trim(), namespace.display()))
}

/// Whether a process of this machine is known to be gone. One of another user is not: it cannot be
/// signalled either, but for another reason.
#[must_use]
pub fn is_gone(pid: u32) -> bool {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    pid.is_none_or(|pid| test_kill_process(pid) == Err(Errno::SRCH))
}

/// Ends this very process at once, as `kill -9` would: for the crash tests.
pub fn kill_self() {
    let _ = kill_process(getpid(), Signal::KILL);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_can_be_pasted() {
        let cmd = Cmd::new("/bin/echo", Path::new("/")).arg("a b").arg("it's").arg("plain");
        assert_eq!(cmd.to_string(), r"/bin/echo 'a b' 'it'\''s' plain");
        assert_eq!(cmd.run().unwrap(), "a b it's plain\n");
    }

    #[test]
    fn nothing_is_inherited() {
        let cmd = Cmd::new("/usr/bin/env", Path::new("/")).env("ONLY", "this");
        assert_eq!(cmd.run().unwrap(), "ONLY=this\n");
    }

    #[test]
    fn only_what_is_not_there_is_gone() {
        assert!(!is_gone(pid()));
        assert!(!is_gone(1), "of another user, perhaps, but there");
        let child = Command::new("/bin/true").spawn().and_then(|mut child| child.wait().map(|_| child.id()));
        assert!(is_gone(child.unwrap()));
        assert_eq!(realm(), realm());
    }

    #[test]
    fn a_failure_shows_the_end_of_the_output() {
        let cmd = Cmd::new("/bin/sh", Path::new("/")).args(["-c", "echo why >&2; exit 3"]);
        let fail = cmd.run().unwrap_err();
        assert!(fail.to_string().contains("exit status: 3"), "{fail}");
        assert_eq!(fail.causes(), ["why"]);
    }
}
