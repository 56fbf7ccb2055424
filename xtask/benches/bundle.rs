//! Times the DAG bundle against `zip -qr`, against a writer on the `zip` crate, and against reading plus sha256
//! alone, and weighs it.
//!
//! By hand: `cargo bench --profile dev --bench bundle` for the tool as `cargo xtask` builds and runs
//! it, without `--profile dev` for a release build; with `-- --large` it also packs 1 GB.
//! Each figure is the best of several runs of a process of its own; files are in the page cache.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::print_stdout)]

use sha2::{Digest as _, Sha256};
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};
use xtask::observe::bundle::bundle;

fn main() {
    let args: Vec<String> = std::env::args().collect();
    if let Some(at) = args.iter().position(|arg| arg == "--child") {
        return child(&args[at + 1], Path::new(&args[at + 2]), Path::new(&args[at + 3]));
    }
    let scratch = tempfile::tempdir().unwrap();
    let small = scratch.path().join("small");
    write_tree(&small, 10_000, 4_000);
    let big = scratch.path().join("big");
    write_tree(&big, 20, 9_000_000);
    // younger files are not trusted to be unchanged
    std::thread::sleep(Duration::from_secs(4));
    println!(
        "{:<28} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9}",
        "", "zip -qr", "zip crate", "cold", "unchanged", "floor", "peak RSS"
    );
    measure("10,000 files, 40 MB", &small);
    measure("20 files, 180 MB", &big);
    if args.iter().any(|arg| arg == "--large") {
        for (name, text) in [("one file of 1 GB, text", true), ("one file of 1 GB, random", false)] {
            let root = scratch.path().join("large");
            let _ = fs::remove_dir_all(&root);
            write_large(&root, text);
            measure(name, &root);
        }
        fs::remove_dir_all(scratch.path().join("large")).unwrap();
        let many = scratch.path().join("many");
        write_tree(&many, 110, 9_000_000);
        measure("110 files, 1 GB", &many);
    }
}

fn child(what: &str, root: &Path, cache: &Path) {
    if what == "floor" {
        let mut hash = Sha256::new();
        for folder in fs::read_dir(root.join("dags")).unwrap() {
            for file in fs::read_dir(folder.unwrap().path()).unwrap() {
                hash.update(fs::read(file.unwrap().path()).unwrap());
            }
        }
        println!("{:x?}", &hash.finalize()[..4]);
    } else if what == "crate" {
        by_crate(root, cache);
    } else {
        println!("{}", bundle(root, cache).unwrap().digest);
    }
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or("0 kB").trim();
    println!("{peak}");
}

/// What the `zip` crate takes for the same files, one after the other, and the digest of what it wrote.
fn by_crate(root: &Path, cache: &Path) {
    fs::create_dir_all(cache).unwrap();
    let path = cache.join("crate.zip");
    let mut zip = zip::ZipWriter::new(fs::File::create(&path).unwrap());
    let options = zip::write::SimpleFileOptions::default().last_modified_time(zip::DateTime::default());
    for folder in fs::read_dir(root.join("dags")).unwrap() {
        for file in fs::read_dir(folder.unwrap().path()).unwrap() {
            let file = file.unwrap().path();
            let name = file.strip_prefix(root).unwrap().to_string_lossy().into_owned();
            zip.start_file(name, options.large_file(file.metadata().unwrap().len() > 1 << 31)).unwrap();
            std::io::copy(&mut fs::File::open(&file).unwrap(), &mut zip).unwrap();
        }
    }
    zip.finish().unwrap();
    println!("{:x?}", &Sha256::digest(fs::read(&path).unwrap())[..4]);
}

/// The best time of a few runs, and what the last of them said.
fn best(mut command: impl FnMut() -> Command) -> (Duration, String) {
    let mut once = || {
        let mut command = command();
        let start = Instant::now();
        let output = command.output().unwrap();
        let took = start.elapsed();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        (took, String::from_utf8(output.stdout).unwrap())
    };
    (0..5).map(|_| once()).min().unwrap()
}

/// The tool itself.
fn tool(root: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command.args(["bundle-dags", "--format", "json"]).current_dir(root);
    command
}

/// This program as a child.
fn own(what: &str, root: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.arg("--child").arg(what).arg(root).arg(root.join("other"));
    command
}

fn zip(root: &Path) -> Option<Duration> {
    let target = root.join("reference.zip");
    let once = || {
        let _ = fs::remove_file(&target);
        let start = Instant::now();
        let status =
            Command::new("zip").arg("-qr").arg(&target).arg("dags").current_dir(root).status().ok()?;
        status.success().then(|| start.elapsed())
    };
    let best = (0..2).filter_map(|_| once()).min();
    let _ = fs::remove_file(&target);
    best
}

fn measure(name: &str, root: &Path) {
    let reference = zip(root);
    let (cold, _) = best(|| {
        let _ = fs::remove_dir_all(root.join(".ductwork"));
        tool(root)
    });
    let (unchanged, _) = best(|| tool(root));
    let (floor, _) = best(|| own("floor", root));
    let (by_crate, _) = best(|| own("crate", root));
    let said = String::from_utf8(own("bundle", root).output().unwrap().stdout).unwrap();
    let peak = said.lines().nth(1).unwrap();
    let cell = |time: Duration| format!("{:.3} s", time.as_secs_f64());
    let reference_cell = reference.map_or("no zip".to_owned(), cell);
    println!(
        "{name:<28} {reference_cell:>9} {:>9} {:>9} {:>9} {:>9} {peak:>9}",
        cell(by_crate),
        cell(cold),
        cell(unchanged),
        cell(floor)
    );
    let Some(reference) = reference else { return };
    let ratio = |time: Duration| format!("1/{:.1}", reference.as_secs_f64() / time.as_secs_f64());
    let ratios = [by_crate, cold, unchanged, floor].map(ratio);
    println!("{:<28} {:>9} {:>9} {:>9} {:>9} {:>9}", "", "1", ratios[0], ratios[1], ratios[2], ratios[3]);
}

/// Lines that look like Python; the same in every run.
struct Source(u64);

impl Source {
    fn next(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % below
    }

    fn word(&mut self) -> String {
        let seed = self.next(3_000);
        let mut letters = Source(seed * 7_919 + 1);
        letters.next(1);
        (0..3 + seed % 8).map(|_| char::from(b'a' + u8::try_from(letters.next(26)).unwrap())).collect()
    }

    fn text(&mut self, size: usize) -> String {
        let mut text = String::new();
        while text.len() < size {
            let (a, b, c) = (self.word(), self.word(), self.word());
            let (indent, number) = (4 * self.next(4), self.next(1_000_000));
            let line = format!(
                "{:1$}{a} = {b}(\"{c}\", {number})  # {2}\n",
                "",
                usize::try_from(indent).unwrap(),
                self.word()
            );
            text.push_str(&line);
        }
        text.truncate(size);
        text
    }
}

/// What makes a folder a project.
fn project(root: &Path) {
    fs::create_dir_all(root.join("environments")).unwrap();
    fs::write(root.join("Cargo.toml"), "").unwrap();
}

fn write_tree(root: &Path, files: usize, size: usize) {
    project(root);
    let mut source = Source(42);
    for number in 0..files {
        let folder = root.join(format!("dags/part_{:03}", number / 100));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(format!("dag_{number:05}.py")), source.text(size)).unwrap();
    }
}

fn write_large(root: &Path, text: bool) {
    project(root);
    fs::create_dir_all(root.join("dags/data")).unwrap();
    let mut file = fs::File::create(root.join("dags/data/large.bin")).unwrap();
    let mut source = Source(7);
    let piece = if text { source.text(1 << 20).into_bytes() } else { Vec::new() };
    for _ in 0..1024 {
        if text {
            file.write_all(&piece).unwrap();
        } else {
            let random: Vec<u8> = (0..1 << 17)
                .flat_map(|_| {
                    source.next(1);
                    source.0.to_le_bytes()
                })
                .collect();
            file.write_all(&random).unwrap();
        }
    }
}
