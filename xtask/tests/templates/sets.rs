//! How many worker sets an environment can have: as many as CloudFormation takes, on each engine.

use super::template::{FARGATE, folder};
use std::fmt::Write as _;
use xtask::fail::Result;
use xtask::plan::templates::Sources;
use xtask::session::templates;

/// The environment of `text` with so many worker sets besides the default one.
fn composed(text: &str, sets: usize) -> Result<Sources> {
    let mut text = text.to_owned();
    for number in 1..sets {
        let _ = writeln!(text, "[workers.set-{number:03}]\nmin = 0\nmax = 25");
    }
    let environment = xtask::config::resolve("extreme", &text, "extreme").unwrap();
    templates::sources(folder().parent().unwrap(), &environment)
}

fn refusal(text: &str, sets: usize) -> String {
    let fail = composed(text, sets).unwrap_err();
    fail.all_problems().iter().map(|problem| format!("{}; {}\n", problem.message, problem.hint)).collect()
}

#[test]
fn x() {
    let ec2 = std::fs::read_to_string(folder().parent().unwrap().join("environments/dev.toml")).unwrap();
    for text in [&ec2, FARGATE] {
        for n in [1, 10, 20, 30, 40, 60, 200] {
            match composed(text, n) {
                Ok(s) => eprintln!("{n} fits, {} bytes", s["master.yaml"].len()),
                Err(_) => eprintln!("{n}: {}", refusal(text, n)),
            }
        }
    }
}
