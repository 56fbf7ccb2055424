//! The whole process stays below 200 MB, however much is bundled. The benchmark does it with 1 GB.

use crate::tree::{Child, Tree, random};
use std::fs;
use std::io::Write as _;

const LIMIT_KB: u64 = 200_000;

fn assert_small(tree: &Tree, threads: usize) {
    let said = Child { threads, ..Child::of(tree) }.run();
    assert_eq!(said.result.len(), 64, "{}", said.result);
    assert!((1_000..LIMIT_KB).contains(&said.peak_kb), "{} kB on {threads} threads", said.peak_kb);
}

#[test]
fn ten_thousand_files() {
    let tree = Tree::new();
    for number in 0..10_000 {
        tree.file(&format!("dags/part_{}/dag_{number}.py", number / 100), format!("# {number}\n").repeat(9));
    }
    assert_small(&tree, 2);
}

#[test]
fn one_file_larger_than_the_limit() {
    let tree = Tree::new();
    tree.file("dags/large.bin", "");
    let mut file = fs::File::options().write(true).open(tree.path("dags/large.bin")).unwrap();
    file.write_all(&random(40 << 20)).unwrap();
    file.set_len(300 << 20).unwrap();
    assert_small(&tree, 4);
}

/// The worst: every file is held whole, nothing gets smaller, and there are more threads than room.
#[test]
fn many_random_files_on_many_threads() {
    let tree = Tree::new();
    let content = random(12 << 20);
    for number in 0..12 {
        tree.file(&format!("dags/{number}.bin"), &content);
    }
    assert_small(&tree, 16);
}
