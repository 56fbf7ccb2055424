//! Faults that do not pass: one operation goes wrong from some moment on, whatever the tool does.

use crate::fault::Fault;
use crate::injector::{Cell, Mode};
use crate::journey::{Journey, Stop, Used, said};
use crate::operation::{Kind, Operation};
use crate::support::{Run, say};
use crate::whole::Here;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

/// Where an operation is tried: where most hangs on it.
const STOPS: [Stop; 7] =
    [Stop::Rollout, Stop::Stack, Stop::Back, Stop::Dag, Stop::Nothing, Stop::Create, Stop::Destroy];

/// What begins something that goes on without the tool: reads that follow it only watch.
const BEGINNINGS: [(Stop, &str); 3] = [
    (Stop::Stack, "ExecuteChangeSet"),
    (Stop::Rollout, "CreateDeployment"),
    (Stop::Rollout, "UpdateService"),
];

/// How a fault that stays is different from others that stay: throttling and a connection that is reset before are a
/// 500 to the tool.
const LASTING: [Fault; 7] = [
    Fault::ServerError,
    Fault::ResetAfter,
    Fault::Malformed,
    Fault::Expired,
    Fault::Refused,
    Fault::Busy,
    Fault::Hang,
];

/// Exit codes of the contract that a deployment can end with.
const CODES: [i32; 6] = [0, 1, 2, 4, 5, 6];

/// A cell, and the command that it is tried with.
#[derive(Clone, Debug)]
pub struct Part {
    pub stop: Stop,
    pub cell: Cell,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Cell { operation, fault, after } = &self.cell;
        write!(f, "{:?} {operation} {}", self.stop, fault.word())?;
        after.map_or(Ok(()), |after| write!(f, " since {after}"))
    }
}

/// All cells; a read that follows a beginning is tried from the first call on, and only while it watches.
pub fn of(used: &Used) -> Vec<Part> {
    let mut parts = Vec::new();
    for operation in used.values().flatten().collect::<BTreeSet<_>>() {
        let stop = STOPS.into_iter().find(|stop| used.get(stop).is_some_and(|all| all.contains(operation)));
        let Some(stop) = stop else { continue };
        let part = |fault, after| Part { stop, cell: Cell { operation: operation.clone(), fault, after } };
        let after = BEGINNINGS.into_iter().find(|(at, name)| {
            let begins = |one: &Operation| one.name == *name;
            *at == stop && operation.kind == Kind::Read && used[&stop].iter().any(begins)
        });
        for fault in LASTING.into_iter().filter(|fault| fault.fate(operation).is_some()) {
            parts.push(part(fault, None));
            if let Some((_, name)) = after {
                parts.push(part(fault, Some(name)));
            }
        }
    }
    // A read that hangs costs its time-outs, a write even more; one of them tells of all.
    parts.retain(|part| part.cell.fault != Fault::Hang || part.cell.operation.kind == Kind::Read);
    parts
}

/// Makes the environment that cells are tried on, with an earlier release to go back to.
pub fn begin(journey: &Journey) {
    journey.deploy().expect(0);
    journey.edit(Stop::Rollout);
    end(journey);
}

/// Whatever was left to the next deployment is done by this one.
pub fn end(journey: &Journey) {
    journey.deploy().expect(0);
    Here::look(journey).is_whole();
}

/// Tries one, and leaves an environment that is whole.
pub fn run(journey: &Journey, part: &Part) {
    let begun = Instant::now();
    let tried = catch_unwind(AssertUnwindSafe(|| try_one(journey, part)));
    journey.injector.set(Mode::Nothing);
    let seconds = begun.elapsed().as_secs_f64();
    let told = tried.as_ref().map_or("FAILED", String::as_str);
    say(&format!("    {} {part}: {told}, {seconds:.1} s", journey.engine));
    if let Err(panic) = tried {
        panic!("{part}: {}", said(&*panic));
    }
}

fn try_one(journey: &Journey, part: &Part) -> String {
    let Part { stop, cell } = part;
    if *stop == Stop::Create {
        journey.run(Stop::Destroy).expect(0);
    }
    let before = Here::look(journey).release().to_owned();
    journey.edit(*stop);
    journey.injector.set(Mode::Always(cell.clone()));
    let run = journey.run(*stop);
    let hits = journey.injector.hits();
    journey.injector.set(Mode::Nothing);
    let code = run.code.unwrap_or(-1);
    assert!(CODES.contains(&code), "exit code {:?}\n{}\n{}", run.code, run.stdout, run.stderr);
    assert!(!run.stderr.contains("panicked"), "{}", run.stderr);
    let result = run.json();
    if code != 0 {
        speaks(&run, &result, cell);
    }
    if *stop == Stop::Destroy {
        is_destroyed(journey, code);
    } else {
        is_as_told(journey, (&run, &result), cell, &before);
    }
    // What was refused before it began, and what went well, has the next cell for its next deployment.
    if matches!(stop, Stop::Create | Stop::Destroy) {
        begin(journey);
    } else if code != 0 && has_begun(&result) {
        let again = journey.deploy().expect(0).json();
        let here = Here::look(journey);
        here.is_whole();
        assert_eq!(here.release(), again["release"]);
    }
    if hits == 0 { format!("not met, exit {code}") } else { format!("exit {code}") }
}

/// What is left of an environment goes with the next command.
#[track_caller]
fn is_destroyed(journey: &Journey, code: i32) {
    if code != 0 {
        journey.run(Stop::Destroy).expect(0);
    }
    Here::look(journey).is_gone();
}

/// One release is whole, and it is the one that the command told of.
#[track_caller]
fn is_as_told(journey: &Journey, (run, result): (&Run, &Value), cell: &Cell, before: &str) {
    let here = Here::look(journey);
    let code = run.code.unwrap_or(-1);
    let expired = cell.fault == Fault::Expired;
    let text = format!("{}{}", run.stdout, run.stderr);
    if code == 0 {
        here.is_at_one(&text);
    } else if code != 5 && !expired {
        // Without credentials nothing can be taken back, nor said.
        assert_eq!(here.release(), before, "{text}");
        if before == "none" {
            here.is_clear(&text);
        } else {
            here.is_at_one(&text);
        }
    }
    is_told(&here, result, run, expired);
}

/// The error says what was being done, what the service said, and what to do.
#[track_caller]
fn speaks(run: &Run, result: &Value, cell: &Cell) {
    let error = &result["error"];
    let text = format!("{error:#}\n{}", run.stderr);
    assert!(error["message"].as_str().is_some_and(|message| message.len() > 10), "no message: {text}");
    assert!(error["causes"].as_array().is_some_and(|causes| !causes.is_empty()), "no cause: {text}");
    assert!(error["hints"].as_array().is_some_and(|hints| !hints.is_empty()), "no cure: {text}");
    let named = cell.fault == Fault::Expired || text.contains(cell.operation.title());
    assert!(named || matches!(cell.fault, Fault::Refused | Fault::Busy), "not a word of the service: {text}");
}

/// Once the lease is taken, a record tells what happened, or the command why there is none.
#[track_caller]
fn is_told(here: &Here<'_>, result: &Value, run: &Run, expired: bool) {
    if has_begun(result) && !expired && !run.stderr.contains("could not be recorded") {
        here.tells(result);
    }
}

/// Whether a command came to a step that touches something.
fn has_begun(result: &Value) -> bool {
    let begun = |step: &Value| step["name"] != "setup" && step["name"] != "validate";
    result["steps"].as_array().is_some_and(|steps| steps.iter().any(begun))
}
