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
    insta::assert_snapshot!(bad(&git("path = 'dags'")), @r#"
    environments/dev.toml `dags.git.url`: required key is missing [missing_key]
        add `url = "git@github.com:acme/dags.git"`, the address of the repository, under `[dags.git]`
    environments/dev.toml `dags.git.ref`: required key is missing [missing_key]
        add `ref = "main"` under `[dags.git]`: a branch, a tag, or all 40 digits of a commit
    "#);
    insta::assert_snapshot!(bad(&git("url = 'git@github.com:acme/dags.git'\nref = 'main'")), @r#"
    environments/dev.toml `dags.git.key`: required key is missing [missing_key]
        add `key = "ductwork/dev/dags/git"` under `[dags.git]`, and store a deploy key that may read the repository: cargo xtask secret set dags/git --env dev < KEY_FILE
    "#);
}

#[test]
fn what_cannot_be_is_refused() {
    let key = "key = 'ductwork/dev/dags/git'";
    insta::assert_snapshot!(bad(&git(&format!("url = 'http://git.example.com/dags'\nref = 'main'\n{key}"))), @r"
    environments/dev.toml:9 `dags.git.key`: the key would be sent unencrypted [conflict]
        use an address that begins with `https://`
    ");
    insta::assert_snapshot!(bad(&git(&format!("url = 'file:///srv/dags'\nref = 'main'\n{key}"))), @r"
    environments/dev.toml:9 `dags.git.key`: a folder of this machine has no key [conflict]
        remove it
    ");
    insta::assert_snapshot!(bad(&git("url = 'https://x:hunter2@h/d'\nref = '-x'\npath = '../d'\nkey = 'ghp_x'")), @r"
    environments/dev.toml:7 `dags.git.url`: the address contains a user name or password, and secrets do not belong in this file [invalid_value]
        remove everything up to the `@`, and store the token as a secret: cargo xtask secret set dags/git --env NAME
    environments/dev.toml:8 `dags.git.ref`: not a name that git accepts: `-x` [invalid_value]
        use a branch, a tag, or all 40 digits of a commit
    environments/dev.toml:9 `dags.git.path`: the path leaves the repository: `../d` [invalid_value]
        use the path of a folder in the repository, such as `dags`, or `.` for all of it
    environments/dev.toml:10 `dags.git.key`: expected the name of a secret, with a slash in it, or its ARN, and no key or token [invalid_value]
        store the key by `cargo xtask secret set dags/git --env NAME`, and write `ductwork/NAME/dags/git`
    ");
    let other = "url = 'https://h/d'\nref = 'main'\nkey = 'team/git'\n[github]\nrepository = 'acme/data'";
    insta::assert_snapshot!(bad(&git(other)), @r"
    environments/dev.toml:9 `dags.git.key`: the role that jobs of `github.repository` get may only read `ductwork/dev/dags/git` [conflict]
        store the key under that name: cargo xtask secret set dags/git --env dev < KEY_FILE
    ");
}
