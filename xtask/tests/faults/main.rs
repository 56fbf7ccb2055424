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

use fault::{Fault, PASSING};
use injector::Mode;
use journey::{Journey, STOPS};

#[test]
fn on_hosts() {
    matrix("ec2");
}

#[test]
fn in_tasks() {
    matrix("fargate");
}

/// First what passes, put on every call once, then what stays.
fn matrix(engine: &'static str) {
    let every = std::env::var_os("DUCTWORK_ALL_FAULTS").is_some();
    let journey = Journey::begin(engine);
    let kinds: Vec<Vec<Fault>> = match every {
        true => PASSING.map(|fault| vec![fault]).to_vec(),
        false => vec![vec![Fault::ResetAfter]],
    };
    let mut found = Vec::new();
    for faults in kinds {
        journey.go(&STOPS, &Mode::Once(faults), &mut found);
    }
    let (last, stops) = STOPS.split_last().unwrap();
    let mixed = Mode::Once(PASSING.to_vec());
    let used = journey.go(stops, &mixed, &mut found);
    cells::run(&journey, &cells::of(&used, every), &mut found);
    journey.go(&[*last], &mixed, &mut found);
    matrix::show(engine, &journey.injector.done());
    assert!(found.is_empty(), "{} defects:\n{}", found.len(), found.join("\n\n"));
}
