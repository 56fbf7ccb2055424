//! Everything that can go wrong between the tool and AWS, done to real deployments on the local cloud, with a stub in
//! place of Airflow. By default what passes is put on every call of hosts. `DUCTWORK_ALL_FAULTS=1` runs the whole
//! matrix, with what stays and with tasks of ECS; other words in it run what has all of them in its name, for instance
//! `DUCTWORK_ALL_FAULTS="CreateChangeSet garbled" cargo test --test faults -- on_hosts`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods, clippy::print_stderr)]

mod cells;
mod fault;
mod injector;
mod journey;
mod lanes;
mod matrix;
mod operation;
#[path = "../support/mod.rs"]
mod support;
mod wanted;
mod whole;

use fault::PASSING;
use injector::Mode;
use journey::{Journey, STOPS, Used};
use lanes::Lanes;
use operation::Operation;
use std::collections::BTreeSet;
use std::sync::Mutex;
use wanted::Wanted;

#[test]
fn on_hosts() {
    let wanted = Wanted::told();
    matrix("ec2", &wanted, |_| true);
}

/// What engines have in common stays wrong on hosts only.
#[test]
fn in_tasks() {
    let Some(wanted) = more() else { return };
    let shared = ["s3", "cloudformation", "secretsmanager"];
    matrix("fargate", &wanted, |operation| !shared.contains(&operation.service.as_str()));
}

/// What tasks on Fargate do not call.
#[test]
fn in_tasks_on_hosts() {
    let Some(wanted) = more() else { return };
    let others = every(&plain("fargate"));
    let added = every(&plain("ecs-ec2")).difference(&others).cloned().collect::<BTreeSet<_>>();
    let names: Vec<String> = added.iter().map(ToString::to_string).collect();
    support::say(&format!("ecs-ec2 calls what fargate does not: {names:?}"));
    matrix("ecs-ec2", &wanted, |operation| added.contains(operation));
}

fn more() -> Option<Wanted> {
    let wanted = Wanted::told();
    if wanted == Wanted::Default {
        support::say("SKIPPED: faults of ECS take long: DUCTWORK_ALL_FAULTS=1");
        return None;
    }
    Some(wanted)
}

/// What a way without faults uses.
fn plain(engine: &'static str) -> Used {
    let mut found = Vec::new();
    let used = Journey::begin(engine).go(&STOPS, &Mode::Nothing, &mut found);
    assert!(found.is_empty(), "{}", found.join("\n"));
    used
}

fn every(used: &Used) -> BTreeSet<Operation> {
    used.values().flatten().cloned().collect()
}

/// What passes is put on every call once, the answers of first calls are lost; then comes what stays.
fn matrix(engine: &'static str, wanted: &Wanted, stays: impl Fn(&Operation) -> bool) {
    let mut laps = vec![("lap mixed".to_owned(), Mode::Once(PASSING.to_vec()))];
    laps.extend(PASSING.map(|fault| (format!("lap {}", fault.word()), Mode::Once(vec![fault]))));
    laps.retain(|(name, _)| wanted.has(name));
    if laps.is_empty() {
        laps.push(("lap plain".to_owned(), Mode::Nothing));
    }
    let mut lanes = Lanes::begin(engine, if laps.len() == 1 { 1 } else { lanes::COUNT });
    let used = Mutex::new(Used::new());
    lanes.each(&laps, [|_| {}, |_| {}], |journey, (_, mode), found| {
        for (stop, operations) in journey.go(&STOPS, mode, found) {
            used.lock().unwrap().entry(stop).or_default().extend(operations);
        }
    });
    let mut cells = cells::of(&used.into_inner().unwrap());
    cells.retain(|part| stays(&part.cell.operation) && wanted.has(&part.to_string()));
    assert!(!cells.is_empty() || laps[0].0 != "lap plain", "nothing is called {wanted:?}");
    support::say(&format!("    {engine}: {} laps done, {} cells to try", laps.len(), cells.len()));
    lanes.widen(cells.len().min(lanes::COUNT));
    lanes.each(&cells, [cells::begin, cells::end], |journey, part, _| cells::run(journey, part));
    let (done, found) = lanes.end();
    matrix::show(engine, &done);
    assert!(found.is_empty(), "{} defects:\n{}", found.len(), found.join("\n\n"));
}
