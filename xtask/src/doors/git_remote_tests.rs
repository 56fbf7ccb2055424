//! Real repositories, asked by a real git.

use super::*;
use std::process::Command;

const SECRET: &str = "hunter2-hunter2";

fn git(folder: &Path, args: &[&str]) -> String {
    let identity = ["-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "init.defaultBranch=main"];
    #[expect(clippy::disallowed_methods, reason = "the repository of a test")]
    let output = Command::new("git").args(identity).args(args).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// A repository with a file, a branch and an annotated tag, and its commit.
fn repository() -> (tempfile::TempDir, String, String) {
    let folder = tempfile::tempdir().unwrap();
    git(folder.path(), &["init", "-q"]);
    std::fs::create_dir(folder.path().join("dags")).unwrap();
    fs::write(&folder.path().join("dags/a.py"), b"A").unwrap();
    git(folder.path(), &["add", "-A"]);
    git(folder.path(), &["commit", "-qm", "one"]);
    git(folder.path(), &["tag", "-a", "v1", "-m", "one"]);
    let commit = git(folder.path(), &["rev-parse", "HEAD"]);
    let url = format!("file://{}", folder.path().display());
    (folder, url, commit)
}

#[tokio::test]
async fn references_name_commits_and_a_commit_has_files_without_a_history() {
    let (_folder, url, commit) = repository();
    let remote = Remote::new(&url, Access::Everybody).unwrap();
    let names = ["refs/heads/main".to_owned(), "refs/tags/v1^{}".to_owned(), "refs/heads/no".to_owned()];
    let found = remote.references(&names).await.unwrap().unwrap();
    let of = |name: &str| found.iter().find(|(one, _)| one == name).map(|(_, commit)| commit.clone());
    assert_eq!(of("refs/heads/main"), Some(commit.clone()));
    assert_eq!(of("refs/tags/v1^{}"), Some(commit.clone()), "not the tag's own id");
    assert_eq!(found.len(), 2);
    assert_eq!(remote.references(&[]).await.unwrap().unwrap().len(), 3);

    let into = tempfile::tempdir().unwrap();
    remote.fetch(&commit, into.path()).await.unwrap().unwrap();
    assert_eq!(fs::read(&into.path().join("dags/a.py")).unwrap(), b"A");
    assert_eq!(elsewhere(into.path(), ".").unwrap(), Elsewhere::default());
    let kept = fs::read_to_string(&into.path().join(".git/config")).unwrap();
    assert!(!kept.contains(&url), "{kept}");
    let refused =
        remote.fetch(&"0".repeat(40), tempfile::tempdir().unwrap().path()).await.unwrap().unwrap_err();
    assert_eq!(refused.seems, Seems::NoCommit, "{refused:?}");
}

#[tokio::test]
async fn what_is_not_there_is_told_in_gits_words() {
    let remote = Remote::new("file:///nowhere/at/all", Access::Everybody).unwrap();
    let refused = remote.references(&[]).await.unwrap().unwrap_err();
    assert_eq!(refused.seems, Seems::Unreachable);
    assert!(refused.words.contains("/nowhere/at/all"), "{refused:?}");
}

#[tokio::test]
async fn submodules_and_files_of_lfs_are_elsewhere() {
    let (folder, url, _) = repository();
    let commit = git(folder.path(), &["rev-parse", "HEAD"]);
    git(folder.path(), &["update-index", "--add", "--cacheinfo", &format!("160000,{commit},dags/sub")]);
    fs::write(&folder.path().join(".gitattributes"), b"*.bin filter=lfs\n").unwrap();
    fs::write(&folder.path().join("dags/big.bin"), b"pointer").unwrap();
    git(folder.path(), &["add", ".gitattributes", "dags/big.bin"]);
    git(folder.path(), &["commit", "-qm", "two"]);
    let commit = git(folder.path(), &["rev-parse", "HEAD"]);
    let into = tempfile::tempdir().unwrap();
    let remote = Remote::new(&url, Access::Everybody).unwrap();
    remote.fetch(&commit, into.path()).await.unwrap().unwrap();
    let found = elsewhere(into.path(), "dags").unwrap();
    assert_eq!((found.submodules, found.lfs), (vec!["dags/sub".to_owned()], vec!["dags/big.bin".to_owned()]));
    assert_eq!(elsewhere(into.path(), "other").unwrap(), Elsewhere::default());
}

#[test]
fn a_key_is_in_files_that_nobody_else_reads_and_in_no_argument_or_variable() {
    use std::os::unix::fs::PermissionsExt as _;
    let accesses = [
        Access::Ssh { key: Secret::new(SECRET), known_hosts: Vec::new() },
        Access::Login { server: "https://h".into(), user: "x".into(), password: Secret::new(SECRET) },
    ];
    for access in accesses {
        let remote = Remote::new("u", access).unwrap();
        let shown = format!("{:?}", remote.git(Path::new("/")).unwrap());
        assert!(!shown.contains(SECRET) && !format!("{remote:?}").contains(SECRET), "{shown}");
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(remote.private.path()), 0o700);
        let files = fs::list(remote.private.path()).unwrap();
        assert!(!files.is_empty() && files.iter().all(|file| mode(file) == 0o600));
        assert_eq!(remote.redacted(&format!("bad {SECRET}!")), "bad …!");
        let folder = remote.private.path().to_owned();
        drop(remote);
        assert!(!folder.exists());
    }
}

#[test]
fn words_of_git_and_ssh_choose_a_hint() {
    for (words, seems) in [
        ("No ED25519 host key is known for h and you have requested strict checking.", Seems::Unknown),
        ("Load key \"/t/key\": error in libcrypto; git@h: Permission denied (publickey).", Seems::NoKey),
        ("git@h: Permission denied (publickey).", Seems::Unauthorised),
        ("fatal: Authentication failed for 'https://h/d'", Seems::Unauthorised),
        ("fatal: could not read Username for 'https://h': terminal prompts disabled", Seems::Unauthorised),
        ("remote: Repository not found.", Seems::Unauthorised),
        ("fatal: remote error: upload-pack: not our ref 0", Seems::NoCommit),
        ("ssh: Could not resolve hostname h", Seems::Unreachable),
    ] {
        assert_eq!(Seems::of(words), seems, "{words}");
    }
}
