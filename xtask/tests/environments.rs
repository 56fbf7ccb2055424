//! The environment files of this repository: valid, complete, and right about the defaults.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

use std::collections::BTreeSet;
use std::path::Path;
use xtask::config::{Environment, keys, resolve};
use xtask::model::contract::CONTRACT;
use xtask::observe::environment;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn dev() -> String {
    std::fs::read_to_string(root().join("environments/dev.toml")).unwrap()
}

fn resolved(text: &str) -> Environment {
    resolve("dev", text, "environments/dev.toml").unwrap_or_else(|problems| panic!("{problems:#?}"))
}

/// The `key = value` after `mark`, if the line consists of these.
fn behind<'l>(line: &'l str, mark: &str) -> Option<&'l str> {
    let rest = line.strip_prefix(mark)?;
    let key = rest.split_once(" = ")?.0;
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    (key.starts_with('"') || key.chars().all(plain)).then_some(rest)
}

/// The file with the lines after one of the marks no longer commented out.
fn uncommented(text: &str, marks: &[&str]) -> Vec<String> {
    let live = |line| marks.iter().find_map(|mark| behind(line, mark)).unwrap_or(line).to_owned();
    text.lines().map(live).collect()
}

#[test]
fn every_environment_of_the_repository_is_valid() {
    let names = environment::names(root()).unwrap();
    assert_eq!(names, ["dev", "local", "prod"]);
    for name in names {
        let environment = environment::load(root(), &name);
        environment.unwrap_or_else(|fail| panic!("{name}: {fail}: {:#?}", fail.all_problems()));
    }
}

#[test]
fn the_defaults_that_dev_toml_shows_are_the_defaults() {
    let shown = uncommented(&dev(), &["# "]).join("\n");
    assert_ne!(dev().trim_end(), shown);
    for (is, says) in resolved(&dev()).parameters().iter().zip(&resolved(&shown).parameters()) {
        assert_eq!(is, says, "correct the commented default in environments/dev.toml, or the default");
    }
    assert_eq!(resolved(&dev()), resolved(&shown));
}

#[test]
fn the_examples_of_dev_toml_are_valid() {
    let mut lines = uncommented(&dev(), &["# e.g. ", "# "]);
    // The examples show the alternatives: an existing VPC, a load balancer, logins with Google.
    for (default, other) in [
        ("url = \"http://airflow.dev.example.com:8080\"", "url = \"https://airflow.example.com\""),
        ("load_balancer = \"none\"", "load_balancer = \"internet_facing\""),
        ("method = \"password\"", "method = \"google\""),
    ] {
        let line = lines.iter_mut().find(|line| *line == default);
        line.unwrap_or_else(|| panic!("{default}")).replace_range(.., other);
    }
    let not_both = ["vpc_cidr", "zones", "nat", "url_secret"];
    lines.retain(|line| !not_both.contains(&line.split(" = ").next().unwrap_or_default()));
    resolved(&lines.join("\n"));
}

#[test]
fn the_example_of_an_existing_database_is_valid() {
    let secret = dev().lines().find_map(|line| {
        behind(line, "# e.g. ").filter(|key| key.starts_with("url_secret")).map(str::to_owned)
    });
    let text =
        dev().replace("[database]", &format!("[database]\nengine = \"existing\"\n{}", secret.unwrap()));
    assert!(!resolved(&text).parameters()["DatabaseUrlSecretArn"].is_empty());
}

/// `prod.toml` is the example of high availability.
#[test]
fn production_is_highly_available() {
    let production = environment::load(root(), "prod").unwrap();
    let parameters = production.parameters();
    for (name, value) in [
        ("Protected", "true"),
        ("NatMode", "per-zone"),
        ("EntryScheme", "internet-facing"),
        ("DatabaseMultiAz", "true"),
        ("ApiServerCount", "2"),
        ("SchedulerCount", "2"),
        ("AuditTrail", "true"),
    ] {
        assert_eq!(parameters[name], value, "{name}");
    }
    let sets = production.worker_sets();
    let sets: Vec<_> = sets.iter().map(|set| (&*set.name, set.min, set.max, set.on_scheduler)).collect();
    assert_eq!(sets, [("big", 0, 4, false), ("default", 2, 12, false), ("small", 0, 0, true)]);
}

#[test]
fn dev_toml_explains_every_key() {
    let text = dev();
    let mut explained = BTreeSet::new();
    let mut table = String::new();
    let mut before = "";
    for line in text.lines() {
        if let Some(name) = line.strip_prefix('[') {
            table = name.trim_end_matches(']').to_owned();
            explained.insert(table.clone());
        }
        let entry = behind(line, "# e.g. ").or_else(|| behind(line, "# ")).or_else(|| behind(line, ""));
        if let Some((key, _)) = entry.and_then(|entry| entry.split_once(" = ")) {
            let dotted = if table.is_empty() { key.to_owned() } else { format!("{table}.{key}") };
            let example = line.starts_with("# e.g. ");
            assert!(
                example || before.starts_with("# ") && behind(before, "# ").is_none(),
                "environments/dev.toml: write above `{dotted}` what it is and when to change it"
            );
            explained.insert(dotted);
        }
        before = line;
    }
    let missing: Vec<String> = keys().into_iter().filter(|key| !explained.contains(key)).collect();
    assert!(missing.is_empty(), "explain these keys in environments/dev.toml: {missing:?}");
}

/// Options that hosts would refuse in the middle of a deployment are refused before it starts.
#[test]
fn options_that_hosts_refuse_are_refused_here() {
    let options = &CONTRACT.options;
    let named = |pattern: &String| pattern.replace('*', "anything");
    let owned = options.owned.iter().map(|(pattern, owned)| (named(pattern), owned.cure.as_str()));
    let secret = options.secret.iter().map(|name| (name.clone(), "Secrets Manager"));
    let endings = options.secret_endings.iter().map(|ending| (format!("a.b{ending}"), "Secrets Manager"));
    let all: Vec<_> = owned.chain(secret).chain(endings).collect();
    assert!(all.len() > 50, "the contract no longer lists the options");
    for (option, cure) in all {
        let text = format!("[aws]\nendpoint = 'local'\n[airflow.config]\n'{option}' = 'x'\n");
        let problems = resolve("dev", &text, "dev.toml").expect_err(&option);
        assert_eq!(problems.len(), 1, "{option}: {problems:#?}");
        assert!(problems[0].location.contains(&option) && problems[0].hint.contains(cure), "{problems:#?}");
    }
}
