//! Environments whose DAGs are in a real repository, with a Secrets Manager in memory.

use super::*;
use crate::config::resolve;
use crate::doors::proc::Cmd;
use crate::doors::{env, proc};
use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::error::ErrorMetadata;
use aws_sdk_secretsmanager::operation::get_secret_value::{GetSecretValueError, GetSecretValueOutput};
use aws_smithy_mocks::{MockResponse, RuleMode, mock, mock_client};

const SECRET: &str = "hunter2hunter2";

fn git(folder: &Path, args: &[&str]) -> String {
    let identity = ["-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "init.defaultBranch=main"];
    let git = Cmd::new(proc::find("git").unwrap(), folder).envs(env::for_installers()).args(identity);
    git.args(args).run().unwrap().trim().to_owned()
}

/// A repository with a commit on `main`, and its address.
fn repository() -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    git(folder.path(), &["init", "-q"]);
    commit(folder.path(), "dags/a.py", "A");
    let url = format!("file://{}", folder.path().display());
    (folder, url)
}

fn commit(folder: &Path, name: &str, text: &str) -> String {
    fs::write(&folder.join(name), text.as_bytes()).unwrap();
    git(folder, &["add", "-A"]);
    git(folder, &["commit", "-qm", "x"]);
    git(folder, &["rev-parse", "HEAD"])
}

fn environment(url: &str, reference: &str, more: &str) -> Environment {
    let text = format!("[aws]\nendpoint = 'local'\n[dags.git]\nurl = '{url}'\nref = '{reference}'\n{more}");
    resolve("dev", &text, "environments/dev.toml").unwrap()
}

/// Secrets Manager has the secret `dags/git` of the environment with this value, and no other.
fn aws(value: &'static str) -> Aws {
    let get = mock!(Client::get_secret_value).then_compute_response(move |request| {
        if request.secret_id() == Some("ductwork/dev/dags/git") {
            return MockResponse::Output(GetSecretValueOutput::builder().secret_string(value).build());
        }
        let missing = ErrorMetadata::builder().code("ResourceNotFoundException").build();
        MockResponse::Error(GetSecretValueError::generic(missing))
    });
    let mut aws = Aws::nowhere();
    aws.secrets = mock_client!(aws_sdk_secretsmanager, RuleMode::MatchAny, [&get]);
    aws
}

async fn checkout(project: &Path, environment: &Environment, aws: &Aws) -> Result<Checkout> {
    Asked::of(project, environment).unwrap().checkout(aws).await
}

/// The only problem of a refusal, as `place: message [kind] -- cure`.
async fn refusal(project: &Path, environment: &Environment, aws: &Aws) -> String {
    let fail = checkout(project, environment, aws).await.unwrap_err();
    assert_eq!(fail.kind().code(), 2);
    assert!(!format!("{fail:?}").contains(SECRET), "{fail:?}");
    let Problem { kind, location, message, hint } = fail.into_problems().unwrap().remove(0);
    format!("{location}: {message} [{kind}] -- {hint}")
}

#[tokio::test]
async fn a_reference_is_what_it_names_now_and_a_commit_is_fetched_once() {
    let project = tempfile::tempdir().unwrap();
    let (folder, url) = repository();
    let aws = aws(SECRET);
    let main = environment(&url, "main", "");
    let first = checkout(project.path(), &main, &aws).await.unwrap();
    assert_eq!((first.source.reference.as_str(), first.source.path.as_str()), ("main", "dags"));
    let next = commit(folder.path(), "dags/a.py", "B");
    let second = checkout(project.path(), &main, &aws).await.unwrap();
    assert_eq!((second.source.commit.as_str(), second.root == first.root), (next.as_str(), false));
    assert_eq!(Asked::of(project.path(), &main).unwrap().reached(&aws).await.unwrap(), next);

    let pinned = environment(&url, &first.source.commit, "path = '.'");
    drop(folder);
    let again = checkout(project.path(), &pinned, &aws).await.unwrap();
    assert_eq!((again.root, again.source.path.as_str()), (first.root, "."), "without the repository");
    let gone = refusal(project.path(), &main, &aws).await;
    assert!(gone.starts_with("environments/dev.toml `dags.git.url`: git cannot read `file://"), "{gone}");
    assert!(gone.contains("[unreachable] -- see whether git reaches it from here: git ls-remote file://"));
}

#[tokio::test]
async fn the_cache_keeps_the_latest_commits() {
    let project = tempfile::tempdir().unwrap();
    let (folder, url) = repository();
    let (aws, main) = (aws(SECRET), environment(&url, "main", ""));
    let mut latest = checkout(project.path(), &main, &aws).await.unwrap();
    for number in 0..=KEPT {
        commit(folder.path(), "dags/a.py", &number.to_string());
        latest = checkout(project.path(), &main, &aws).await.unwrap();
    }
    let kept = fs::list(&project.path().join(".ductwork/cache/git")).unwrap();
    assert!(kept.len() == KEPT && kept.contains(&latest.root), "{kept:?}");
}

#[tokio::test]
async fn what_the_repository_lacks_is_told_with_what_it_has() {
    let project = tempfile::tempdir().unwrap();
    let (folder, url) = repository();
    git(folder.path(), &["tag", "-a", "v1.0", "-m", "x"]);
    let aws = aws(SECRET);
    let refused = async |reference: &str, more: &str| {
        let environment = environment(&url, reference, more);
        refusal(project.path(), &environment, &aws).await.replace(&url, "URL")
    };
    assert_eq!(
        refused("mian", "").await,
        "environments/dev.toml `dags.git.ref`: `URL` has no branch or tag `mian` [unknown_ref] -- write `main`, the \
         nearest name"
    );
    assert!(refused("release", "").await.ends_with("write one of its branches and tags, such as main, v1.0"));
    assert!(refused("0123456", "").await.ends_with("write all 40 digits of a commit"));
    assert!(refused(&"0".repeat(40), "").await.contains("`dags.git.ref`: git cannot read `URL`: "));
    let path = refused("main", "path = 'airflow'").await;
    assert!(path.starts_with("environments/dev.toml `dags.git.path`: main at "), "{path}");
    assert!(
        path.ends_with("[missing] -- write `path = \".\"` for its root, or one of its folders: dags"),
        "{path}"
    );
    git(folder.path(), &["branch", "v1.0"]);
    assert!(refused("v1.0", "").await.ends_with("write `refs/heads/v1.0` or `refs/tags/v1.0`"));
    for whole in ["refs/heads/v1.0", "refs/tags/v1.0"] {
        let head = git(folder.path(), &["rev-parse", "HEAD"]);
        let found = checkout(project.path(), &environment(&url, whole, ""), &aws).await.unwrap();
        assert_eq!(found.source.commit, head, "an annotated tag is what it names");
    }
}

#[tokio::test]
async fn a_key_that_is_missing_or_of_another_kind_is_refused_before_git_is_asked() {
    let project = tempfile::tempdir().unwrap();
    let ssh = "git@git.example.com:acme/dags.git";
    let refused = async |url: &str, key: &str, value: &'static str| {
        let environment = environment(url, "main", &format!("key = '{key}'"));
        refusal(project.path(), &environment, &aws(value)).await
    };
    let own = "ductwork/dev/dags/git";
    let missing = refused(ssh, "team/git", SECRET).await;
    assert!(
        missing.starts_with("environments/dev.toml `dags.git.key`: the secret `team/git` does not exist")
    );
    assert!(missing.contains("cargo xtask secret set dags/git --env dev < KEY_FILE"), "{missing}");
    assert!(
        refused(ssh, own, SECRET)
            .await
            .contains("does not hold a private key [bad_key] -- store a private key")
    );
    let https = "https://git.example.com/acme/dags.git";
    for value in
        ["{\"username\": \"hunter2hunter2\"}", "a\nhunter2hunter2", "", "-----BEGIN OPENSSH PRIVATE KEY-----"]
    {
        let told = refused(https, own, value).await;
        assert!(told.contains("does not hold a token or a login [bad_key] -- store a token"), "{told}");
    }
    let key = "-----BEGIN OPENSSH PRIVATE KEY-----\nhunter2hunter2\n-----END OPENSSH PRIVATE KEY-----";
    assert_eq!(
        refused("ssh://git@git.example.com:2222/dags", own, key).await,
        "environments/known_hosts: there is no such file, so no server may be trusted with the key [unknown_host] -- \
         add its key: ssh-keyscan -p 2222 -t ed25519 git.example.com >> environments/known_hosts; then compare it with \
         what the owner of the server has published, and commit the file"
    );
}

#[test]
fn a_token_stands_alone_or_with_its_user() {
    let of =
        |text: &str| login(&Secret::new(text)).map(|(user, password)| (user, password.expose().to_owned()));
    assert_eq!(of("t0ken\n"), Some(("x-access-token".to_owned(), "t0ken".to_owned())));
    assert_eq!(of(r#"{"username": "u", "password": "p"}"#), Some(("u".to_owned(), "p".to_owned())));
}
