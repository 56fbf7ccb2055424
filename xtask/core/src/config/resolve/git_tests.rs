//! DAGs from a git repository: what a file can say of it, and everything that is wrong with it at once.

use super::tests::{aws, bad, good};
use crate::config::Transport;

fn git(keys: &str) -> String {
    aws(&format!("[dags.git]\n{keys}\n"))
}

#[test]
fn a_repository_has_an_address_a_reference_a_folder_and_a_key() {
    assert_eq!(good(&aws("")).dags.git, None);
    let found =
        good(&aws("[dags]\ngit = {url = 'https://github.com/acme/dags', ref = 'main'}\n")).dags.git.unwrap();
    assert_eq!((found.url.transport(), &*found.reference, &*found.path), (Transport::Https, "main", "dags"));
    assert_eq!(found.key, None, "the repository is public");
    let all = "url = 'git@github.com:acme/dags.git'\nref = 'v1'\npath = '.'\nkey = 'ductwork/dev/dags/git'";
    let found = good(&git(all)).dags.git.unwrap();
    assert_eq!((&*found.path, found.key.as_deref()), (".", Some("ductwork/dev/dags/git")));
}

#[test]
fn what_is_missing_is_told_with_the_line_to_add() {
    insta::assert_snapshot!(bad(&git("path = 'dags'")), @"");
    insta::assert_snapshot!(bad(&git("url = 'git@github.com:acme/dags.git'\nref = 'main'")), @"");
}

#[test]
fn what_cannot_be_is_refused() {
    let key = "key = 'ductwork/dev/dags/git'";
    insta::assert_snapshot!(bad(&git(&format!("url = 'http://git.example.com/dags'\nref = 'main'\n{key}"))), @"");
    insta::assert_snapshot!(bad(&git(&format!("url = 'file:///srv/dags'\nref = 'main'\n{key}"))), @"");
    insta::assert_snapshot!(bad(&git("url = 'https://x:hunter2@h/d'\nref = '-x'\npath = '../d'\nkey = 'ghp_x'")), @"");
    let other = "url = 'https://h/d'\nref = 'main'\nkey = 'team/git'\n[github]\nrepository = 'acme/data'";
    insta::assert_snapshot!(bad(&git(other)), @"");
}
