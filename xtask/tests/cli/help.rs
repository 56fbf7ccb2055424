//! Help fits a terminal, names every verb, and agrees with the README.

use crate::project::{Project, fits};
use std::collections::BTreeSet;

/// Verbs with their own, as `help` lists them.
fn verbs(help: &str) -> Vec<String> {
    let lines =
        help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let names = lines.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let names = names.filter_map(|line| line.split_whitespace().next());
    names.filter(|name| *name != "help").map(str::to_owned).collect()
}

#[test]
fn of_the_tool() {
    let run = Project::new().run(&["--help"]).expect(0);
    assert_eq!(run.stderr, "");
    insta::assert_snapshot!(run.stdout, @"");
}

#[test]
fn of_every_verb() {
    let project = Project::new();
    let mut open: Vec<Vec<String>> =
        verbs(&project.run(&["--help"]).stdout).into_iter().map(|verb| vec![verb]).collect();
    assert!(open.len() >= 10, "{open:?}");
    let mut seen = 0;
    while let Some(verb) = open.pop() {
        let words: Vec<&str> = verb.iter().map(String::as_str).collect();
        let long = project.run(&[&words[..], &["--help"]].concat()).expect(0);
        let example = format!("\nExample: cargo xtask {}", words.join(" "));
        assert!(long.stdout.contains(&example), "{}", long.stdout);
        let strict = |text: &str| text.lines().all(|line| line.chars().count() <= 80);
        assert!(strict(&long.stdout), "{}", long.stdout);
        assert_eq!(project.run(&[&["help"], &words[..]].concat()).expect(0).stdout, long.stdout);
        assert!(strict(&project.run(&[&words[..], &["-h"]].concat()).expect(0).stdout));
        open.extend(verbs(&long.stdout).into_iter().map(|inner| [verb.clone(), vec![inner]].concat()));
        seen += 1;
    }
    assert!(seen >= 13, "only {seen}");
}

#[test]
fn as_the_readme_says() {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md")).unwrap();
    let rows = readme
        .lines()
        .filter(|line| line.starts_with("| "))
        .filter_map(|line| line.split_once("`cargo xtask "));
    let told: BTreeSet<String> =
        rows.map(|(_, rest)| rest.split([' ', '`']).next().unwrap().to_owned()).collect();
    let there: BTreeSet<String> = verbs(&Project::new().run(&["--help"]).stdout).into_iter().collect();
    assert_eq!(told, there, "the table of README.md and the verbs of `cargo xtask --help`");
}

#[test]
fn a_command_line_that_is_none() {
    let project = Project::new();
    insta::assert_snapshot!(project.refused(&["frobnicate"]), @"");
    insta::assert_snapshot!(project.refused(&["deplyo"]), @"");
    insta::assert_snapshot!(project.refused(&["deploy", "--enviroment", "local"]), @"");
    insta::assert_snapshot!(project.refused(&["secret"]), @"");
    insta::assert_snapshot!(project.refused(&["plan", "--format", "yaml"]), @"");
    insta::assert_snapshot!(project.refused(&["plan", "-q", "-v"]), @"");
    fits(&project.refused(&[]));
}
