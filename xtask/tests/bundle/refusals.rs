//! Whatever cannot be bundled the same way everywhere is refused, all of it at once.

use crate::tree::{Child, Tree};
use std::ffi::OsStr;
use std::fs;
use std::num::NonZeroUsize;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::process::Command;
use xtask::doors::archive;
use xtask::observe::tree::{self, Content, Modes, Source};

#[test]
fn a_missing_and_an_empty_folder() {
    let tree = Tree::new();
    insta::assert_snapshot!(tree.problems(), @"missing dags: there is no such folder -> create it: mkdir -p dags");
    tree.file("dags/.airflowignore", "x")
        .file("dags/.hidden.py", "x")
        .file("dags/__pycache__/a.cpython-311.pyc", "x");
    insta::assert_snapshot!(tree.problems(), @"empty dags: holds no file to deploy; hidden, compiled and git-ignored files do not count -> put a DAG there, for instance dags/hello.py");
}

#[test]
fn names() {
    let tree = Tree::new();
    tree.file("dags/back\\slash.py", "").file("dags/new\nline.py", "").file("dags/colon:fine.py", "");
    fs::write(tree.path("dags").join(OsStr::from_bytes(b"caf\xe9.py")), "").unwrap();
    tree.file("dags/sub/Case.py", "").file("dags/sub/case.py", "");
    tree.file("dags/Etl/a.py", "").file("dags/etl/b.py", "");
    insta::assert_snapshot!(tree.problems(), @r#"
    not_portable dags/back\\slash.py: has a name with a backslash, which zip readers take for a folder separator -> rename it
    not_utf8 dags/caf�.py: has a name that is not UTF-8 -> rename it: mv -- "$(printf 'caf\351.py')" new-name
    case_conflict dags/etl: differs from `Etl` only in case -> rename one of the two
    not_portable dags/new\nline.py: has a name with a control character -> rename it
    case_conflict dags/sub/case.py: differs from `Case.py` only in case -> rename one of the two
    "#);
}

#[test]
fn symbolic_links() {
    let tree = Tree::new();
    tree.file("shared/x.py", "").file("dags/a/a.py", "a").file("dags/b/b.py", "b");
    tree.link("dags/out", "../shared")
        .link("dags/out.py", "../shared/x.py")
        .link("dags/absolute.py", "/etc/hostname");
    tree.link("dags/broken.py", "nowhere.py").link("dags/a/up", "..").link("dags/self", "self");
    tree.link("dags/a/over", "../b").link("dags/b/back", "../a");
    insta::assert_snapshot!(tree.problems(), @r#"
    symlink_cycle dags/a/over/back: is a symbolic link to itself or to a folder above it -> remove the link, or let it lead to another folder
    symlink_cycle dags/a/up: is a symbolic link to itself or to a folder above it -> remove the link, or let it lead to another folder
    symlink_absolute dags/absolute.py: is a symbolic link to the absolute path `/etc/hostname` -> make it relative, for it leads elsewhere in another checkout: ln -sfnr TARGET LINK
    symlink_cycle dags/b/back/over: is a symbolic link to itself or to a folder above it -> remove the link, or let it lead to another folder
    symlink_cycle dags/b/back/up: is a symbolic link to itself or to a folder above it -> remove the link, or let it lead to another folder
    symlink_broken dags/broken.py: is a symbolic link to `nowhere.py`, which does not exist -> remove the link or restore what it leads to
    symlink_leaves dags/out: is a symbolic link that points outside the folder, to `../shared` -> put the files themselves there instead of the link
    symlink_leaves dags/out.py: is a symbolic link that points outside the folder, to `../shared/x.py` -> put the files themselves there instead of the link
    symlink_cycle dags/self: is a symbolic link to itself or to a folder above it -> remove the link, or let it lead to another folder
    "#);
}

#[test]
fn links_inside_the_folder_become_what_they_lead_to() {
    let tree = Tree::new();
    tree.file("dags/lib/x.py", "x").file("dags/lib/sub/y.py", "y");
    tree.link("dags/team/lib", "../lib").link("dags/z.py", "lib/x.py");
    let content = tree.content();
    let names: Vec<&String> = content.keys().collect();
    assert_eq!(names, ["lib/sub/y.py", "lib/x.py", "team/lib/sub/y.py", "team/lib/x.py", "z.py"]);
    assert_eq!(content["z.py"], b"x");
    assert_eq!(content["team/lib/sub/y.py"], b"y");
}

#[test]
fn the_folder_itself_may_be_a_link_within_the_project_only() {
    let tree = Tree::new();
    tree.file("src/flows/a.py", "a").link("dags", "src/flows");
    assert_eq!(tree.names(), ["a.py"]);
    let other = Tree::new();
    other.link("dags", tree.path("src/flows").to_str().unwrap());
    let problems = other.problems();
    assert!(
        problems.starts_with("symlink_leaves dags: is a symbolic link that points outside the folder, to `/"),
        "{problems}"
    );
}

#[test]
fn what_is_no_file() {
    let tree = Tree::new();
    tree.file("dags/a.py", "a");
    let _listener = UnixListener::bind(tree.path("dags/debug.sock")).unwrap();
    assert!(Command::new("mkfifo").arg(tree.path("dags/pipe")).status().unwrap().success());
    tree.link("dags/zero", "../../../../../../../../dev/null");
    insta::assert_snapshot!(tree.problems(), @r#"
    special_file dags/debug.sock: is a socket, not a file -> move it elsewhere, or leave it out by a line in `.gitignore`
    special_file dags/pipe: is a named pipe, not a file -> move it elsewhere, or leave it out by a line in `.gitignore`
    symlink_leaves dags/zero: is a symbolic link that points outside the folder, to `../../../../../../../../dev/null` -> put the files themselves there instead of the link
    "#);
}

#[test]
fn files_of_four_gib_and_patterns_nobody_understands() {
    let tree = Tree::new();
    tree.file("dags/a.py", "a")
        .file("dags/huge.parquet", "")
        .file("dags/.gitignore", "# fine\n*.log\n[z-a\n");
    fs::File::options().write(true).open(tree.path("dags/huge.parquet")).unwrap().set_len(1 << 32).unwrap();
    insta::assert_snapshot!(tree.problems(), @r#"
    bad_pattern dags/.gitignore:3: error parsing glob '[z-a': invalid range; 'z' > 'a' -> correct the line
    too_large dags/huge.parquet: is larger than 4 GiB -> keep it in S3 and let the DAG read it there
    "#);
}

#[test]
fn nothing_is_written_when_something_is_refused() {
    let tree = Tree::new();
    tree.file("dags/a.py", "a").link("dags/broken.py", "nowhere.py");
    tree.problems();
    assert!(!tree.cache().exists());
}

/// Root can read everything, so the work is done by `nobody` then.
#[test]
fn unreadable_files_and_folders() {
    let tree = Tree::new();
    tree.file("dags/a.py", "a").file("dags/secret.py", "s").file("dags/closed/b.py", "b");
    let mode =
        |path: &str, mode| fs::set_permissions(tree.path(path), fs::Permissions::from_mode(mode)).unwrap();
    mode("", 0o777);
    mode("dags/secret.py", 0o000);
    let as_nobody = Command::new("id").arg("-u").output().unwrap().stdout == b"0\n";
    let run = || Child { as_nobody, ..Child::of(&tree) }.run().result;
    insta::assert_snapshot!(run(), @r"unreadable dags/secret.py: cannot be read: Permission denied (os error 13) -> make it readable: chmod u+rX 'dags/secret.py'; or leave it out by a line in `.gitignore`");
    mode("dags/closed", 0o000);
    let both = run();
    mode("dags/closed", 0o755);
    insta::assert_snapshot!(both, @r#"
    unreadable dags/closed: cannot be read: Permission denied (os error 13) -> make it readable: chmod u+rX 'dags/closed'; or leave it out by a line in `.gitignore`
    unreadable dags/secret.py: cannot be read: Permission denied (os error 13) -> make it readable: chmod u+rX 'dags/secret.py'; or leave it out by a line in `.gitignore`
    "#);
}

#[test]
fn a_file_that_changes_while_it_is_read() {
    let tree = Tree::new();
    tree.file("dags/a.py", "a").file("dags/b.py", "b");
    let source = Source { folder: "dags", prefix: "", modes: Modes::Plain, content: Content::Users };
    let mut entries = tree::read(tree.root(), &[source], &mut Vec::new());
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    let write = || match archive::write(&entries, &tree.cache(), NonZeroUsize::new(2).unwrap()) {
        Err(archive::Error::Other(fail)) => fail,
        other => panic!("{other:?}"),
    };
    let same_length_later = || {
        tree.file("dags/b.py", "c");
        let later = std::time::SystemTime::now() + std::time::Duration::from_secs(1);
        fs::File::options().write(true).open(tree.path("dags/b.py")).unwrap().set_modified(later).unwrap();
    };
    let shorter = || {
        tree.file("dags/b.py", "");
    };
    let gone = || fs::remove_file(tree.path("dags/b.py")).unwrap();
    let changes: [&dyn Fn(); 3] = [&same_length_later, &|| shorter(), &gone];
    for change in changes {
        change();
        let fail = write();
        assert!(fail.message().ends_with("dags/b.py` changed while it was being read"), "{fail}");
        assert_eq!(fs::read_dir(tree.cache()).unwrap().count(), 0, "nothing half-done is left");
    }
}
