//! Faults that do not pass: one operation goes wrong from some moment on, whatever the tool does.

use crate::fault::Fault;
use crate::injector::{Cell, Mode};
use crate::journey::{Journey, Stop, Used, said};
use crate::operation::{Kind, Operation};
use crate::support::{Run, say};
use crate::whole::Here;
use serde_json::Value;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

/// Where an operation is tried: where most hangs on it.
const STOPS: [Stop; 5] = [Stop::Rollout, Stop::Stack, Stop::Back, Stop::Dag, Stop::Nothing];

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

/// All cells; a read that follows a beginning is tried from the first call on, and only while it watches.
pub fn of(used: &Used) -> Vec<(Stop, Cell)> {
    let mut cells = Vec::new();
    for operation in used.values().flatten().collect::<std::collections::BTreeSet<_>>() {
        let stop = STOPS.into_iter().find(|stop| used.get(stop).is_some_and(|all| all.contains(operation)));
        let Some(stop) = stop else { continue };
        let cell = |fault, after| (stop, Cell { operation: operation.clone(), fault, after });
        let after = BEGINNINGS.into_iter().find(|(at, name)| {
            let begins = |one: &Operation| one.name == *name;
            *at == stop && operation.kind == Kind::Read && used[&stop].iter().any(begins)
        });
        for fault in LASTING.into_iter().filter(|fault| fault.fate(operation).is_some()) {
            cells.push(cell(fault, None));
            if let Some((_, name)) = after {
                cells.push(cell(fault, Some(name)));
            }
        }
    }
    // A read that hangs costs its time-outs, a write even more; one of them tells of all.
    cells.retain(|(_, cell)| cell.fault != Fault::Hang || cell.operation.kind == Kind::Read);
    cells
}

/// One for each fault with each kind of operation, of as many operations as there are; of reads, those that watch.
pub fn chosen(mut cells: Vec<(Stop, Cell)>) -> Vec<(Stop, Cell)> {
    let kind = |cell: &Cell| (cell.fault, cell.operation.kind);
    let mut chosen: Vec<(Stop, Cell)> = Vec::new();
    cells.sort_by_key(|(_, cell)| cell.after.is_none());
    for others_only in [true, false] {
        for (stop, cell) in &cells {
            let tried = |(_, one): &(Stop, Cell)| others_only && one.operation == cell.operation;
            let same = |(_, one): &(Stop, Cell)| kind(one) == kind(cell);
            if !chosen.iter().any(|one| tried(one) || same(one)) {
                chosen.push((*stop, cell.clone()));
            }
        }
    }
    chosen
}

/// Tries them one after the other, each from an environment that is whole.
pub fn run(journey: &Journey, cells: &[(Stop, Cell)], found: &mut Vec<String>) {
    for (stop, cell) in cells {
        let name =
            format!("{stop:?} {} {} {}", cell.operation, cell.fault.word(), cell.after.unwrap_or_default());
        let begun = Instant::now();
        let tried = catch_unwind(AssertUnwindSafe(|| try_one(journey, *stop, cell)));
        let seconds = begun.elapsed().as_secs_f64();
        let told = tried.unwrap_or_else(|panic| {
            found.push(format!("{name}: {}", said(&*panic)));
            "FAILED".to_owned()
        });
        say(&format!("    {name}: {told}, {seconds:.1} s"));
        journey.injector.set(Mode::Nothing);
        if told == "FAILED" {
            journey.deploy();
        }
    }
}

fn try_one(journey: &Journey, stop: Stop, cell: &Cell) -> String {
    let before = Here::look(journey).release().to_owned();
    journey.edit(stop);
    journey.injector.set(Mode::Always(cell.clone()));
    let run = journey.run(stop);
    journey.injector.set(Mode::Nothing);
    let code = run.code.unwrap_or(-1);
    assert!(CODES.contains(&code), "exit code {:?}\n{}\n{}", run.code, run.stdout, run.stderr);
    assert!(!run.stderr.contains("panicked"), "{}", run.stderr);
    let result = run.json();
    let here = Here::look(journey);
    let expired = cell.fault == Fault::Expired;
    let text = format!("{}{}", run.stdout, run.stderr);
    if code == 0 {
        here.is_at_one(&text);
    } else {
        speaks(&run, &result, cell);
        // Without credentials nothing can be taken back, nor said.
        if code != 5 && !expired {
            assert_eq!(here.release(), before, "{text}");
            here.is_at_one(&text);
        }
    }
    is_told(&here, &result, &run, expired);
    let again = journey.deploy().expect(0).json();
    let here = Here::look(journey);
    here.is_whole();
    assert_eq!(here.release(), again["release"]);
    format!("exit {code}")
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
    let begun = |step: &Value| step["name"] != "setup" && step["name"] != "validate";
    let begun = result["steps"].as_array().is_some_and(|steps| steps.iter().any(begun));
    if begun && !expired && !run.stderr.contains("could not be recorded") {
        here.tells(result);
    }
}
