//! Everything that can go wrong between the tool and AWS, done to real deployments on the local cloud, with a stub in
//! place of Airflow. What passes is put on every call of hosts; `DUCTWORK_ALL_FAULTS=1` runs the whole matrix, with what
//! stays and with tasks of ECS, which takes an hour.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods, clippy::print_stderr)]

mod cells;
mod fault;
mod injector;
mod journey;
mod matrix;
mod operation;
#[path = "../support/mod.rs"]
mod support;
mod whole;

use fault::PASSING;
use injector::Mode;
use journey::{Journey, STOPS};

#[test]
fn on_hosts() {
    matrix("ec2", &[]);
}

/// What engines have in common is tried on hosts.
#[test]
fn in_tasks() {
    if !every() {
        return support::say("SKIPPED: faults of ECS take an hour: DUCTWORK_ALL_FAULTS=1");
    }
    matrix("fargate", &["s3", "cloudformation", "secretsmanager"]);
}

fn every() -> bool {
    std::env::var_os("DUCTWORK_ALL_FAULTS").is_some()
}

/// What passes is put on every call once, the answers of first calls are lost; then comes what stays.
fn matrix(engine: &'static str, elsewhere: &[&str]) {
    let journey = Journey::begin(engine);
    let mut found = Vec::new();
    for fault in PASSING.into_iter().filter(|_| every()) {
        journey.go(&STOPS, &Mode::Once(vec![fault]), &mut found);
    }
    let (last, stops) = STOPS.split_last().unwrap();
    let mixed = Mode::Once(PASSING.to_vec());
    let used = journey.go(stops, &mixed, &mut found);
    if every() {
        let mut cells = cells::of(&used);
        cells.retain(|(_, cell)| !elsewhere.contains(&cell.operation.service.as_str()));
        cells::run(&journey, &cells, &mut found);
    }
    journey.go(&[*last], &mixed, &mut found);
    matrix::show(engine, &journey.injector.done());
    assert!(found.is_empty(), "{} defects:\n{}", found.len(), found.join("\n\n"));
}
