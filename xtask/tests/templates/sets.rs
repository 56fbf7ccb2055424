//! How many worker sets an environment can have: as many as CloudFormation takes, on each engine.

use super::template::{FARGATE, Template, folder};
use std::fmt::Write as _;
use xtask::fail::Result;
use xtask::plan::templates::Sources;
use xtask::session::templates;

/// The environment of `text` with so many worker sets.
fn composed(text: &str, sets: usize) -> Result<Sources> {
    let mut text = text.to_owned();
    let written = text.matches("\n[workers.").count();
    for number in written..sets {
        let _ = writeln!(text, "[workers.set-{number:03}]\nmin = 0\nmax = 5");
    }
    let environment = xtask::config::resolve("extreme", &text, "extreme").unwrap();
    templates::sources(folder().parent().unwrap(), &environment)
}

/// The number of worker sets that fit, as the refusal of 200 says.
fn fitting(text: &str) -> usize {
    let fail = composed(text, 200).unwrap_err();
    let told: Vec<usize> = fail
        .all_problems()
        .iter()
        .map(|problem| {
            assert!(problem.message.starts_with("with 200 worker sets it has "), "{}", problem.message);
            println!("{}; {}", problem.message, problem.hint);
            let most = problem.hint.strip_prefix("have at most ").and_then(|rest| rest.split(' ').next());
            most.unwrap().parse().unwrap()
        })
        .collect();
    told.into_iter().min().unwrap()
}

/// The most that this process has held so far.
fn peak_kb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    peak.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or_default()
}

#[test]
fn an_environment_has_as_many_worker_sets_as_cloudformation_takes() {
    let dev = std::fs::read_to_string(folder().parent().unwrap().join("environments/dev.toml")).unwrap();
    for (engine, text, fewest) in [("ec2", dev.as_str(), 30), ("fargate", FARGATE, 20)] {
        let fit = fitting(text);
        assert!(fit >= fewest, "{engine}: only {fit}");
        let sources = composed(text, fit).unwrap();
        let body = &sources["master.yaml"];
        assert!(body.len() < 1_000_000, "{engine}: {} bytes", body.len());
        let master = Template::new("master.yaml", std::str::from_utf8(body).unwrap());
        for (section, most) in [("Outputs", 200), ("Parameters", 200), ("Resources", 500)] {
            assert!(master.section_names(section).len() <= most, "{engine}: {section}");
        }
        assert!(composed(text, fit + 2).is_err(), "{engine}: {fit} is too low");
    }
    let peak = peak_kb();
    println!("{peak} kB at most");
    assert!(peak < 300_000, "{peak} kB");
}
