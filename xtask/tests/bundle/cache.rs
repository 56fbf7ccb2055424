//! An unchanged tree is not read again, and a changed one never passes for unchanged.

use crate::tree::Tree;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::Duration;

fn inode(path: &Path) -> u64 {
    path.metadata().unwrap().ino()
}

/// Until the files are old enough for their times to be trusted.
fn age() {
    std::thread::sleep(Duration::from_millis(4_100));
}

#[test]
fn an_edit_of_the_same_size_at_the_same_moment_is_seen() {
    let tree = Tree::new();
    tree.file("dags/a.py", "0000");
    let modified = tree.path("dags/a.py").metadata().unwrap().modified().unwrap();
    let mut last = tree.bundle().unwrap().digest;
    for number in 1..200 {
        tree.file("dags/a.py", format!("{number:04}"));
        fs::File::options().write(true).open(tree.path("dags/a.py")).unwrap().set_modified(modified).unwrap();
        let next = tree.bundle().unwrap().digest;
        assert_ne!(next, last, "edit {number} was not seen");
        last = next;
    }
}

#[test]
fn an_unchanged_tree_is_not_packed_again_and_any_change_is_seen() {
    let tree = Tree::new();
    tree.file("dags/a.py", "1111").file("dags/b/c.py", "2222").file("dags/x.log", "3");
    age();
    let first = tree.bundle().unwrap();
    let there = inode(&first.path);
    assert_eq!(tree.bundle().unwrap(), first);
    assert_eq!(inode(&first.path), there, "packed again");

    // the same size, and the time of the last modification put back
    let modified = tree.path("dags/a.py").metadata().unwrap().modified().unwrap();
    tree.file("dags/a.py", "1112");
    fs::File::options().write(true).open(tree.path("dags/a.py")).unwrap().set_modified(modified).unwrap();
    assert_ne!(tree.bundle().unwrap().digest, first.digest);
    tree.file("dags/a.py", "1111");
    age();
    assert_eq!(tree.bundle().unwrap().digest, first.digest);

    // an ignore file decides about a file that stays as it is
    let there = inode(&first.path);
    tree.file(".gitignore", "*.log");
    assert_eq!(tree.bundle().unwrap().files, 2);
    fs::remove_file(tree.path(".gitignore")).unwrap();
    assert_eq!(tree.bundle().unwrap().files, 3);
    assert_ne!(inode(&first.path), there);

    // an archive that is not the one that was made
    fs::write(&first.path, vec![0; usize::try_from(first.zip_bytes).unwrap()]).unwrap();
    assert_eq!(tree.bundle().unwrap(), first);
    assert_eq!(xtask::model::digest::Digest::of(&fs::read(&first.path).unwrap()), first.digest);
    fs::remove_file(&first.path).unwrap();
    assert_eq!(tree.bundle().unwrap(), first);
    assert!(first.path.is_file());

    // a record that says nothing, or nothing that this version understands
    let record = first.path.with_file_name("last.json");
    let good = fs::read_to_string(&record).unwrap();
    for bad in [
        "",
        "{",
        "[]",
        "null",
        &good.replace("fingerprint", "other"),
        &good.replace("digest\":\"", "digest\":\"0"),
    ] {
        fs::write(&record, bad).unwrap();
        assert_eq!(tree.bundle().unwrap(), first);
    }
}

#[test]
fn old_archives_and_what_interrupted_runs_left_are_removed() {
    let tree = Tree::new();
    tree.file("dags/a.py", "0");
    let folder = tree.bundle().unwrap().path.parent().unwrap().to_owned();
    let abandoned = folder.join(".tmpABCDEF");
    let busy = folder.join(".tmpGHIJKL");
    fs::write(&abandoned, "x").unwrap();
    fs::write(&busy, "x").unwrap();
    let long_ago = std::time::SystemTime::now() - Duration::from_secs(7_200);
    fs::File::options().write(true).open(&abandoned).unwrap().set_modified(long_ago).unwrap();
    for number in 1..12 {
        tree.file("dags/a.py", number.to_string());
        assert!(tree.bundle().unwrap().path.is_file());
    }
    let zips = fs::read_dir(&folder)
        .unwrap()
        .filter(|e| e.as_ref().unwrap().path().extension().is_some_and(|e| e == "zip"));
    assert_eq!(zips.count(), 5);
    assert!(!abandoned.exists() && busy.exists());
}
