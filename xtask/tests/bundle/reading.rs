//! Other programs read what is written.

use crate::tree::{Tree, content, names, random};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::num::NonZeroUsize;
use std::process::Command;
use xtask::doors::archive::{self, Entry, Mode};
use xtask::doors::stat::Stat;

fn mixed() -> Tree {
    let tree = Tree::new();
    tree.file("dags/a.py", b"print('a')\n".repeat(100)).file("dags/empty.py", "");
    tree.file("dags/grün/日本.sql", "select 'ß'").file("dags/random.bin", random(5_000));
    let mut large = b"some text,".repeat(1_300_000);
    large.extend(random(3_000_000));
    tree.file("dags/large.csv", large);
    tree
}

#[test]
fn headers_are_fixed() {
    let tree = mixed();
    let zip = tree.bundle().unwrap().path;
    let mut archive = zip::ZipArchive::new(fs::File::open(&zip).unwrap()).unwrap();
    assert_eq!(names(&zip), ["a.py", "empty.py", "grün/日本.sql", "large.csv", "random.bin"]);
    for index in 0..archive.len() {
        let entry = archive.by_index(index).unwrap();
        assert_eq!(entry.last_modified(), Some(zip::DateTime::default()));
        assert_eq!(entry.unix_mode(), Some(0o100_644));
        assert_eq!(entry.extra_data(), None);
        assert_eq!(entry.comment(), "");
    }
}

#[test]
fn every_file_reads_back() {
    let tree = mixed();
    for (name, bytes) in tree.content() {
        assert!(bytes == fs::read(tree.path("dags").join(&name)).unwrap(), "{name}");
    }
}

/// Airflow's hosts unpack the bundle with Python's zipfile, CodeDeploy's agent with unzip.
#[test]
fn python_and_unzip_read_it() {
    let tree = mixed();
    let zip = tree.bundle().unwrap().path;
    let script = "import sys, zipfile\n\
        zip = zipfile.ZipFile(sys.argv[1])\n\
        assert zip.testzip() is None\n\
        assert {info.date_time for info in zip.infolist()} == {(1980, 1, 1, 0, 0, 0)}\n\
        assert not any(info.extra for info in zip.infolist())\n\
        zip.extractall(sys.argv[2])\n";
    let into = tempfile::tempdir().unwrap();
    let python = Command::new("python3").args(["-c", script]).arg(&zip).arg(into.path()).output().unwrap();
    assert!(python.status.success(), "{}", String::from_utf8_lossy(&python.stderr));
    for (name, bytes) in content(&zip) {
        assert!(fs::read(into.path().join(&name)).unwrap() == bytes, "{name}");
    }
    // unzip is not on every machine
    if let Ok(unzip) = Command::new("unzip").arg("-tqq").arg(&zip).output() {
        assert!(unzip.status.success(), "{}", String::from_utf8_lossy(&unzip.stdout));
    }
}

#[test]
fn more_entries_than_the_short_count_holds_are_read() {
    let tree = Tree::new();
    tree.file("source", "x");
    let source = tree.path("source");
    let stat = Stat::of(&source.metadata().unwrap());
    let entry = |i| Entry { name: format!("{i:06}"), source: source.clone(), stat, mode: Mode::Plain };
    for count in [65_534, 65_535, 70_000] {
        let entries: Vec<Entry> = (0..count).map(entry).collect();
        let zip = archive::write(&entries, &tree.cache(), NonZeroUsize::new(2).unwrap()).unwrap().path;
        assert_eq!(zip::ZipArchive::new(fs::File::open(&zip).unwrap()).unwrap().len(), count);
        let script = "import sys, zipfile; print(len(zipfile.ZipFile(sys.argv[1]).infolist()))";
        let python = Command::new("python3").args(["-c", script]).arg(&zip).output().unwrap();
        assert_eq!(String::from_utf8(python.stdout).unwrap().trim(), count.to_string());
    }
}

/// Paths of up to three parts whose names are taken as they are.
fn paths() -> impl Strategy<Value = BTreeMap<String, Vec<u8>>> {
    let part = "[a-zA-Z0-9é日 _=:'+~#-]([a-zA-Zé日 _.-]{0,6}[a-zA-Z0-9])?";
    let path = prop::collection::vec(part, 1..=3).prop_map(|parts| parts.join("/"));
    prop::collection::btree_map(path, prop::collection::vec(any::<u8>(), 0..200), 1..25)
}

/// Without those that collide: a file where a folder is, or another case of the same name.
fn compatible(paths: BTreeMap<String, Vec<u8>>) -> BTreeMap<String, Vec<u8>> {
    let mut spelled: BTreeMap<String, String> = BTreeMap::new();
    let (mut files, mut folders) = (BTreeSet::new(), BTreeSet::new());
    let mut kept = BTreeMap::new();
    for (path, bytes) in paths {
        let above: Vec<String> = path.match_indices('/').map(|(at, _)| path[..at].to_owned()).collect();
        let spelling = |p: &String| spelled.get(&p.to_lowercase()).is_none_or(|known| known == p);
        let fits = above.iter().chain([&path]).all(spelling)
            && !above.iter().any(|folder| files.contains(folder))
            && !folders.contains(&path)
            && !path.ends_with(".pyc");
        if fits {
            spelled.extend(above.iter().chain([&path]).map(|p| (p.to_lowercase(), p.clone())));
            folders.extend(above);
            files.insert(path.clone());
            kept.insert(path, bytes);
        }
    }
    kept
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_tree_reads_back_sorted_and_without_duplicates(paths in paths()) {
        let wanted = compatible(paths);
        let tree = Tree::new();
        for (path, bytes) in &wanted {
            tree.file(&format!("dags/{path}"), bytes);
        }
        let zip = tree.bundle().unwrap().path;
        let names = names(&zip);
        prop_assert!(names.windows(2).all(|pair| pair[0].as_bytes() < pair[1].as_bytes()), "{:?}", names);
        prop_assert_eq!(content(&zip), wanted);
    }
}
