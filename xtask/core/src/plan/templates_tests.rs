//! Packaging: what is put in, what stays, what is refused, and what changes with what.

use super::*;
use crate::model::names::child_url as url;
use proptest::prelude::*;

fn sources(files: &[(&str, &str)]) -> Sources {
    files.iter().map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec())).collect()
}

fn stack(id: &str, child: &str) -> String {
    format!("  {id}:\n    Type: AWS::CloudFormation::Stack\n    Properties:\n      TemplateURL: {child}\n")
}

fn problems(files: &[(&str, &str)], root: &str) -> Vec<String> {
    let fail = package(&sources(files), root).unwrap_err();
    fail.all_problems().iter().map(|p| format!("{} {}: {}", p.location, p.kind, p.message)).collect()
}

const MASTER: &str = r#"# über alles
AWSTemplateFormatVersion: "2010-09-09"
Parameters:
  Port: {Type: Number, Default: 8080}
  Name:
    Type: String
Resources:
  Storage: # kept
    Properties:
      Parameters:   {Name: !Ref Name}
      TemplateURL:   "parts/storage.yaml"   # a child
    Type: AWS::CloudFormation::Stack
  'Other': { Type: AWS::CloudFormation::Stack, Properties: { TemplateURL: ./parts/../leaf.yaml } }
  Foreign:
    Type: "AWS::CloudFormation::Stack"
    Properties: {TemplateURL: 'https://s3.amazonaws.com/theirs/x.yaml'}
  Fn::ForEach::Zones:
    - Zone
    - [a, b]
    - Net${Zone}:
        Type: AWS::CloudFormation::Stack
        Properties:
          TemplateURL: 'leaf.yaml'
"#;

#[test]
fn only_the_references_change_and_the_root_is_last() {
    let leaf = "Resources: {}\n";
    let storage = format!("Resources:\n{}", stack("Leaf", "../leaf.yaml"));
    let files = sources(&[
        ("master.yaml", MASTER),
        ("parts/storage.yaml", &storage),
        ("leaf.yaml", leaf),
        ("unused.yaml", "\t["),
    ]);
    let package = package(&files, "master.yaml").unwrap();
    let paths: Vec<&str> = package.all().map(|template| template.path.as_str()).collect();
    assert_eq!(paths, ["leaf.yaml", "parts/storage.yaml", "master.yaml"]);

    let leaf_url = url(&Digest::of(leaf.as_bytes()));
    let storage = storage.replace("../leaf.yaml", &leaf_url);
    let storage_url = url(&Digest::of(storage.as_bytes()));
    let expected = MASTER
        .replace("\"parts/storage.yaml\"", &storage_url)
        .replace("./parts/../leaf.yaml", &leaf_url)
        .replace("'leaf.yaml'", &leaf_url);
    assert_eq!(package.root().body, expected);
    assert_eq!(package.root().digest, Digest::of(expected.as_bytes()));
    let again = yaml::parse(&package.root().body).unwrap();
    assert!(again.get("Resources").is_some());
}

#[test]
fn every_problem_is_told_at_once_with_file_and_line() {
    let master = format!(
        "Resources:\n{}{}{}{}{}{}  NoUrl:\n    Type: AWS::CloudFormation::Stack\n",
        stack("A", "absent.yaml"),
        stack("B", "../outside.yaml"),
        stack("C", "/etc/passwd"),
        stack("D", "!Sub '${X}.yaml'"),
        stack("E", "s3://bucket/key"),
        stack("F", "broken.yaml"),
    );
    let found =
        problems(&[("master.yaml", &master), ("broken.yaml", "Resources:\n  A: [1\nB: 2\n")], "master.yaml");
    insta::assert_snapshot!(found.join("\n"), @"
    templates/master.yaml:17 bad_template_url: `TemplateURL` is not a plain string
    templates/master.yaml:21 bad_template_url: `s3://bucket/key` is neither a path nor an http(s) URL
    templates/master.yaml:27 bad_template_url: a nested stack without `TemplateURL`
    templates/master.yaml:5 missing_child: there is no `templates/absent.yaml`
    templates/master.yaml:9 outside: `../outside.yaml` points outside `templates/`
    templates/master.yaml:13 outside: `/etc/passwd` points outside `templates/`
    templates/broken.yaml:3 not_yaml: not YAML: invalid indentation
    ");
}

#[test]
fn a_circle_is_shown_as_one() {
    let to = |child: &str| format!("Resources:\n{}", stack("Child", child));
    let (a, b, c) = (to("b/b.yaml"), to("../c.yaml"), to("b/b.yaml"));
    let found = problems(&[("a.yaml", &a), ("b/b.yaml", &b), ("c.yaml", &c)], "a.yaml");
    insta::assert_snapshot!(found.join("\n"), @"templates/c.yaml:5 circular: the templates refer to each other in a circle: b/b.yaml → c.yaml → b/b.yaml");
    let own = to("a.yaml");
    let found = problems(&[("a.yaml", &own)], "a.yaml");
    insta::assert_snapshot!(found.join("\n"), @"templates/a.yaml:5 circular: the templates refer to each other in a circle: a.yaml → a.yaml");
}

#[test]
fn what_cloudformation_cannot_read_is_refused() {
    let mut files = sources(&[("a.yaml", "")]);
    files.insert("a.yaml".to_owned(), vec![0xff, 0xfe]);
    let fail = package(&files, "a.yaml").unwrap_err();
    assert_eq!(fail.all_problems()[0].kind, "not_utf8");

    let large = format!("# {}\nResources: {{}}\n", "x".repeat(LIMIT));
    let fail = package(&sources(&[("a.yaml", &large)]), "a.yaml").unwrap_err();
    assert_eq!(fail.all_problems()[0].kind, "too_large");

    // The longer URLs bring it over the limit.
    let mut text = format!("Resources:\n{}", stack("Child", "b.yaml"));
    text.push_str(&"#".repeat(LIMIT - text.len()));
    let fail = package(&sources(&[("a.yaml", &text), ("b.yaml", "Resources: {}")]), "a.yaml").unwrap_err();
    assert_eq!(fail.all_problems()[0].kind, "too_large");

    let fail = package(&sources(&[]), "a.yaml").unwrap_err();
    assert_eq!(fail.message(), "there is no `templates/a.yaml`");
}

#[test]
fn parameters_come_with_their_defaults() {
    let found = parameters(MASTER);
    let expected = [("Name", None), ("Port", Some("8080"))];
    let expected = expected.map(|(name, default)| (name.to_owned(), default.map(str::to_owned)));
    assert_eq!(found, Parameters::from(expected));
}

#[test]
fn templates_are_the_same_but_for_comments() {
    assert!(same("a: 1", "a: 1 # c\n"));
    assert!(!same("a: 1", "a: 2"));
    assert!(same("[", "["));
    assert!(!same("[", "a: 1"));
}

/// A tree of templates: entry `i` refers to some of the later ones.
fn trees() -> impl Strategy<Value = Vec<Vec<usize>>> {
    (2..9usize).prop_flat_map(|size| {
        let node = move |i: usize| proptest::collection::vec(i + 1..=size, 0..3);
        (0..size).map(node).collect::<Vec<_>>()
    })
}

fn write(tree: &[Vec<usize>], salts: &[String]) -> Sources {
    let text = |i: usize, children: &[usize]| {
        let mut text = format!("# {}\nResources:\n", salts[i]);
        text.push_str("  Queue: {Type: AWS::SQS::Queue}\n");
        for (n, child) in children.iter().filter(|child| **child < tree.len()).enumerate() {
            text.push_str(&stack(&format!("S{n}"), &format!("t{child}.yaml # ß")));
        }
        text.into_bytes()
    };
    tree.iter().enumerate().map(|(i, children)| (format!("t{i}.yaml"), text(i, children))).collect()
}

fn reaches(tree: &[Vec<usize>], from: usize, to: usize) -> bool {
    from == to || tree[from].iter().any(|child| *child < tree.len() && reaches(tree, *child, to))
}

proptest! {
    #[test]
    fn a_change_changes_all_ancestors_and_nothing_else(tree in trees(), at in 0..9usize) {
        let at = at % tree.len();
        let mut salts: Vec<String> = (0..tree.len()).map(|i| format!("äöü {i}")).collect();
        let before = package(&write(&tree, &salts), "t0.yaml").unwrap();
        prop_assert_eq!(&before, &package(&write(&tree, &salts), "t0.yaml").unwrap());
        salts[at].push_str(" changed");
        let after = package(&write(&tree, &salts), "t0.yaml").unwrap();
        for (old, new) in before.all().zip(after.all()) {
            prop_assert_eq!(&old.path, &new.path);
            let index: usize = old.path[1..2].parse().unwrap();
            prop_assert_eq!(old.digest != new.digest, reaches(&tree, index, at), "{}", old.path);
        }
    }
}
