//! Everything that can go wrong between the tool and AWS, done to real deployments on the local cloud, with a stub in
//! place of Airflow. `DUCTWORK_ALL_FAULTS=1` runs every cell of the matrix instead of some of each kind.
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
    matrix("fargate", &["s3", "cloudformation", "secretsmanager"]);
}

/// What passes is put on every call once, the answers of first calls are lost; then comes what stays.
fn matrix(engine: &'static str, elsewhere: &[&str]) {
    let every = std::env::var_os("DUCTWORK_ALL_FAULTS").is_some();
    let journey = Journey::begin(engine);
    let mut found = Vec::new();
    for fault in PASSING.into_iter().filter(|_| every) {
        journey.go(&STOPS, &Mode::Once(vec![fault]), &mut found);
    }
    let (last, stops) = STOPS.split_last().unwrap();
    let mixed = Mode::Once(PASSING.to_vec());
    let used = journey.go(stops, &mixed, &mut found);
    let mut cells = cells::of(&used);
    cells.retain(|(_, cell)| !elsewhere.contains(&cell.operation.service.as_str()));
    let cells = if every { cells } else { cells::chosen(cells) };
    cells::run(&journey, &cells, &mut found);
    journey.go(&[*last], &mixed, &mut found);
    matrix::show(engine, &journey.injector.done());
    assert!(found.is_empty(), "{} defects:\n{}", found.len(), found.join("\n\n"));
}
