//! An environment from nothing to nothing, by every kind of deployment that there is.

use crate::injector::{Injector, Mode};
use crate::operation::Operation;
use crate::support::project::Project;
use crate::support::{Run, say};
use crate::whole::{Here, deployments};
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Stdio;
use std::time::{Duration, Instant};

/// The kinds of deployments, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stop {
    Create,
    Nothing,
    Dag,
    Stack,
    Rollout,
    Back,
    Destroy,
}

pub const STOPS: [Stop; 7] =
    [Stop::Create, Stop::Nothing, Stop::Dag, Stop::Stack, Stop::Rollout, Stop::Back, Stop::Destroy];

/// The operations of each stop.
pub type Used = BTreeMap<Stop, BTreeSet<Operation>>;

/// After this a command counts as hanging.
const STUCK: Duration = Duration::from_secs(600);
/// What pauses towards AWS are divided by while something goes wrong, and time-outs while answers may never come.
const HASTE: &str = "20";

pub struct Journey {
    pub engine: &'static str,
    pub project: Project,
    pub injector: Injector,
    edits: Cell<usize>,
}

impl Journey {
    pub fn begin(engine: &'static str) -> Self {
        let project = match engine {
            "ec2" => Project::without_airflow(),
            _ => Project::without_airflow_in_tasks(),
        };
        project.remove("environments/local-fargate.toml");
        project.run(&["local", "up"]).expect(0);
        let injector = Injector::before(&project);
        let journey = Self { engine, project, injector, edits: Cell::default() };
        journey.environment(0);
        journey
    }

    /// The environment file; a budget is a resource of the stack that no host reads.
    fn environment(&self, edit: usize) {
        let (engine, port) = (self.engine, self.project.port);
        let hosts = match engine {
            "ecs-ec2" => "\n[network]\nnat = \"single\"\n\n[cluster]\nmax = 8\n",
            _ => "",
        };
        let text = format!(
            "engine = \"{engine}\"\n\n[aws]\nendpoint = \"local\"\n\n[airflow]\nport = {port}\n{hosts}\n\
             [alerts]\nemail = \"a@example.com\"\nbudget_usd = {}\n",
            50 + edit
        );
        self.project.write("environments/local.toml", &text);
    }

    /// Gives the next deployment what it is about.
    pub fn edit(&self, stop: Stop) {
        let edit = self.edits.get() + 1;
        self.edits.set(edit);
        match stop {
            Stop::Dag => self.project.write("dags/orders.py", &format!("# edit {edit}\n")),
            Stop::Stack => self.environment(edit),
            Stop::Rollout if self.engine == "ec2" => {
                self.project.write("airflow/host/edit", &format!("{edit}\n"));
            }
            Stop::Rollout => self.project.write("plugins/edit.py", &format!("# edit {edit}\n")),
            Stop::Create | Stop::Nothing | Stop::Back | Stop::Destroy => {}
        }
    }

    /// Runs the command of a stop, through the proxy.
    pub fn run(&self, stop: Stop) -> Run {
        match stop {
            Stop::Destroy => self.command(&["destroy", "--env", "local", "--yes", "--format", "json"]),
            Stop::Back => self.command(&["rollback", "--env", "local", "--yes", "--format", "json"]),
            _ => self.deploy(),
        }
    }

    pub fn deploy(&self) -> Run {
        self.command(&["deploy", "--env", "local", "--yes", "--format", "json"])
    }

    fn command(&self, words: &[&str]) -> Run {
        let mut command = self.project.command(words);
        let (is_wrong, hangs) = self.injector.mode();
        for (name, _) in
            [("DUCTWORK_HASTE", is_wrong), ("DUCTWORK_IMPATIENCE", hangs)].iter().filter(|one| one.1)
        {
            command.env(name, HASTE);
        }
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn().unwrap();
        let pid = child.id();
        let ended = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let watched = ended.clone();
        std::thread::spawn(move || {
            let begun = Instant::now();
            while !watched.load(std::sync::atomic::Ordering::Relaxed) {
                if begun.elapsed() > STUCK {
                    let _ = std::process::Command::new("kill").arg(pid.to_string()).status();
                    return;
                }
                std::thread::sleep(Duration::from_millis(100));
            }
        });
        let output = child.wait_with_output().unwrap();
        ended.store(true, std::sync::atomic::Ordering::Relaxed);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Run { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }

    /// Stops of the way, each with a mode. It has to do what it would without the faults; what it does not is `found`.
    pub fn go(&self, stops: &[Stop], mode: &Mode, found: &mut Vec<String>) -> Used {
        let mut used = Used::new();
        for stop in stops {
            self.edit(*stop);
            let tried = catch_unwind(AssertUnwindSafe(|| self.stop(*stop, mode)));
            let calls = self.injector.calls();
            self.injector.set(Mode::Nothing);
            if let Err(panic) = tried {
                found.push(format!("{stop:?} with {mode:?}: {}", said(&*panic)));
                let again = if *stop == Stop::Destroy { self.run(*stop) } else { self.deploy() };
                again.expect(0);
            }
            used.insert(*stop, calls.into_keys().collect());
        }
        used
    }

    fn stop(&self, stop: Stop, mode: &Mode) {
        let before = deployments(self);
        self.injector.set(mode.clone());
        let watch = Instant::now();
        let run = self.run(stop);
        let calls = self.injector.calls();
        say(&format!(
            "    {} {stop:?}: {} calls of {} operations, {:.1} s, exit {:?}",
            self.engine,
            calls.values().sum::<usize>(),
            calls.len(),
            watch.elapsed().as_secs_f64(),
            run.code
        ));
        let run = run.expect(0);
        self.ended_well(stop, &run);
        if self.engine == "ec2" && stop == Stop::Rollout {
            let begun = deployments(self).difference(&before).count();
            assert_eq!(begun, 3, "a deployment of CodeDeploy for each group");
        }
    }

    fn ended_well(&self, stop: Stop, run: &Run) {
        let result = &run.json();
        let expected = match stop {
            Stop::Nothing => "unchanged",
            Stop::Destroy => "destroyed",
            _ => "deployed",
        };
        assert_eq!(result["outcome"], expected, "{stop:?}: {}\n{}", result["steps"], run.stderr);
        if stop == Stop::Destroy {
            return Here::look(self).is_gone();
        }
        let here = Here::look(self);
        here.is_whole();
        if stop != Stop::Nothing {
            here.tells(result);
        }
        assert_eq!(here.release(), result["release"]);
    }
}

/// What a test that failed said.
pub fn said(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or_default().to_owned()
}
