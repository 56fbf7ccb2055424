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
    insta::assert_snapshot!(run.stdout, @"
    Releases this Airflow project: DAGs, hosts and stacks, on AWS or on this
    machine.

    Describe an environment in `environments/NAME.toml`, then deploy it. `local`
    needs no account:

        cargo xtask deploy --env local

    Usage: cargo xtask [OPTIONS] <COMMAND>

    Commands:
      check         Check the project without a cloud, and tell every finding at
                    once
      bundle-dags   Pack `dags/` into the bundle that is named by its content
      package       Package the templates into a folder, as a deployment would
                    upload them
      lock          Lock the versions of all Python packages, with their checksums
      upgrade-test  Try another version of Airflow, before anything is upgraded to
                    it
      image         Build and push the container image: Airflow, the locked packages
                    and this project
      plan          Show what a deployment would do: steps, DAGs, every change to
                    the stacks, and what each gate says
      deploy        Bring an environment to what this tree says: stacks, hosts and
                    DAGs
      rollback      Bring an environment back to an earlier release: bundle, hosts,
                    templates and parameters
      status        Show what an environment runs, and whether each component is
                    well
      history       List the deployments of an environment, newest first
      diff          Show what is different between two releases: parameters,
                    templates, DAGs, objects and packages
      secret        Print or store a secret of an environment
      airflow       Run Airflow's own command line with the settings and secrets of
                    an environment
      run           Run a command once, with the settings and secrets of an
                    environment
      exec          Open a session in a running component, with its settings and
                    secrets
      unlock        Take an environment from a deployment that holds it and does not
                    end
      destroy       Delete an environment: its stacks, hosts, database, logs and
                    records
      doctor        Check whether the AWS account has what an environment needs
      local         Start, stop or throw away the cloud of this machine
      help          Print this message or the help of the given subcommand(s)

    Options:
      -h, --help
              Print help (see a summary with '-h')

      -V, --version
              Print version

    Common options:
          --format <FORMAT>
              What goes to standard output

              Possible values:
              - text:     For people
              - json:     One JSON document on standard output
              - markdown: For a page, such as a pull request
              
              [default: text]

          --yes
              Answer yes to every question; without a terminal this is the only way
              to answer

      -q, --quiet
              Say nothing but the result and errors

      -v, --verbose
              Say more: every note of every step

    Exit codes: 0 done or nothing to do, 1 failed, 2 refused before anything was
    touched (usage, configuration, a gate), 3 changes found, 4 rolled back,
    5 rollback failed, 6 locked, 70 a bug, 130 interrupted.
    ");
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
    assert!(seen >= 14, "only {seen}");
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
    insta::assert_snapshot!(project.refused(&["frobnicate"]), @r"
    error: unrecognized subcommand 'frobnicate'

    Usage: cargo xtask [OPTIONS] <COMMAND>

    For more information, try '--help'.
    ");
    insta::assert_snapshot!(project.refused(&["upgrade-test", "--airflow", "3.4"]), @r"
    error: invalid value '3.4' for '--airflow <VERSION>': three numbers, as in 3.4.0

    For more information, try '--help'.
    ");
    insta::assert_snapshot!(project.refused(&["deplyo"]), @r"
    error: unrecognized subcommand 'deplyo'

      tip: a similar subcommand exists: 'deploy'

    Usage: cargo xtask [OPTIONS] <COMMAND>

    For more information, try '--help'.
    ");
    insta::assert_snapshot!(project.refused(&["deploy", "--enviroment", "local"]), @r"
    error: unexpected argument '--enviroment' found

      tip: a similar argument exists: '--env'

    Usage: cargo xtask deploy --env <NAME>

    For more information, try '--help'.
    ");
    insta::assert_snapshot!(project.refused(&["secret", "set"]), @r"
    error: the following required arguments were not provided:
      <NAME>

    Usage: cargo xtask secret set <NAME>

    For more information, try '--help'.
    ");
    insta::assert_snapshot!(project.refused(&["plan", "--format", "yaml"]), @r"
    error: invalid value 'yaml' for '--format <FORMAT>'
      [possible values: text, json, markdown]

    For more information, try '--help'.
    ");
    insta::assert_snapshot!(project.refused(&["plan", "-q", "-v"]), @r"
    error: the argument '--quiet' cannot be used with '--verbose'

    Usage: cargo xtask plan --quiet

    For more information, try '--help'.
    ");
    fits(&project.refused(&[]));
}
