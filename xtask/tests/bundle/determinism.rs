//! The same tree gives the same bytes, whatever surrounds it.

use crate::tree::{Child, Tree, random};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, SystemTime};

/// Small and large, text and random, names of several scripts, in folders that sort around files.
fn files() -> Vec<(String, Vec<u8>)> {
    let mut files = vec![
        ("dags/a.py".to_owned(), b"print('a')\n".repeat(40)),
        ("dags/a/b.py".to_owned(), b"print('b')\r\n".repeat(40)),
        ("dags/a-b.py".to_owned(), Vec::new()),
        ("dags/Zebra.py".to_owned(), b"z".to_vec()),
        ("dags/grün/日本.sql".to_owned(), "select 'ß'".into()),
        ("dags/data/random.bin".to_owned(), random(70_000)),
        ("dags/.airflowignore".to_owned(), b"data/\n".to_vec()),
    ];
    let mut large = b"0123456789,some text,".repeat(700_000);
    large.extend(random(1_000_000));
    files.push(("dags/data/large.csv".to_owned(), large));
    files.extend(
        (0..300).map(|i| (format!("dags/many/dag_{i}.py"), format!("# {i}\n").repeat(i).into_bytes())),
    );
    files
}

#[test]
fn the_bytes_depend_on_names_and_contents_alone() {
    let plain = Tree::new();
    for (path, content) in files() {
        plain.file(&path, content);
    }
    let digest = Child::of(&plain).run().result;

    let strange = Tree::at("another checkout/of é/the same");
    for (path, content) in files().into_iter().rev() {
        strange.file(&path, content);
        let file = fs::File::options().write(true).open(strange.path(&path)).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(915_148_800)).unwrap();
        let mode = if path.contains("many") { 0o777 } else { 0o600 };
        file.set_permissions(fs::Permissions::from_mode(mode)).unwrap();
    }
    let turkish = [("TZ", "Pacific/Kiritimati"), ("LC_ALL", "tr_TR.UTF-8"), ("LANG", "tr_TR.UTF-8")];
    let bare = [("TZ", "America/St_Johns"), ("LC_ALL", "C"), ("HOME", "/nonexistent")];
    for (threads, umask, env) in [(1, "077", &turkish), (8, "000", &bare), (3, "027", &turkish)] {
        for tree in [&plain, &strange] {
            let _ = fs::remove_dir_all(tree.cache());
            let said = Child { threads, umask, env, ..Child::of(tree) }.run();
            assert_eq!(said.result, digest, "{threads} threads, umask {umask}, {env:?}");
        }
    }
}

/// If this fails, every bundle of every project gets a new identity. When that is meant, raise
/// `archive::FORMAT` and say so in the change log.
#[test]
fn the_bytes_are_those_of_all_earlier_versions() {
    let tree = Tree::new();
    for (path, content) in files() {
        tree.file(&path, content);
    }
    let bundle = tree.bundle().unwrap();
    assert_eq!((bundle.files, bundle.bytes), (308, 16_035_043));
    assert_eq!(bundle.digest.to_string(), "7fa98f075f44db1e12fedac5663e1f57cf2bda02d883ce217c372a3f1cead426");
}

#[test]
fn the_digest_is_that_of_the_file_and_its_name() {
    let tree = Tree::new();
    tree.file("dags/a.py", "a");
    let bundle = tree.bundle().unwrap();
    let bytes = fs::read(&bundle.path).unwrap();
    assert_eq!(xtask::model::digest::Digest::of(&bytes), bundle.digest);
    assert_eq!(bundle.path, tree.cache().join(format!("bundles/{}.zip", bundle.digest)));
    assert_eq!(bundle.zip_bytes, bytes.len() as u64);
}

#[test]
fn a_changed_byte_name_or_mode_of_a_folder_matters_as_it_should() {
    let tree = Tree::new();
    tree.file("dags/a.py", "a").file("dags/b/c.py", "c");
    let first = tree.bundle().unwrap().digest;
    fs::set_permissions(tree.path("dags/b"), fs::Permissions::from_mode(0o700)).unwrap();
    fs::set_permissions(tree.path("dags/a.py"), fs::Permissions::from_mode(0o755)).unwrap();
    fs::create_dir(tree.path("dags/empty")).unwrap();
    assert_eq!(tree.bundle().unwrap().digest, first, "modes and empty folders are not content");
    tree.file("dags/a.py", "b");
    let second = tree.bundle().unwrap().digest;
    fs::rename(tree.path("dags/a.py"), tree.path("dags/d.py")).unwrap();
    let third = tree.bundle().unwrap().digest;
    assert!(first != second && second != third && first != third);
}
