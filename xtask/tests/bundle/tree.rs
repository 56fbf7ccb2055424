//! A project in a scratch folder, and the bundling of it here or in a process of its own.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::num::NonZeroUsize;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;
use xtask::fail::Result;
use xtask::observe::bundle::{Bundle, bundle, bundle_on};

pub struct Tree {
    scratch: TempDir,
    root: PathBuf,
}

impl Tree {
    /// A project that is a git checkout as far as ignore files go.
    pub fn new() -> Self {
        Self::at("")
    }

    /// The same at a path of its own choice below the scratch folder.
    pub fn at(path: &str) -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let root = scratch.path().join(path);
        fs::create_dir_all(root.join(".git")).unwrap();
        Self { scratch, root }
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    pub fn path(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    pub fn file(&self, path: &str, content: impl AsRef<[u8]>) -> &Self {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
        self
    }

    pub fn link(&self, path: &str, target: &str) -> &Self {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(target, path).unwrap();
        self
    }

    pub fn cache(&self) -> PathBuf {
        self.scratch.path().join("state/cache")
    }

    pub fn bundle(&self) -> Result<Bundle> {
        bundle(&self.root, &self.cache())
    }

    /// What is in the bundle.
    pub fn content(&self) -> BTreeMap<String, Vec<u8>> {
        content(&self.bundle().unwrap().path)
    }

    pub fn names(&self) -> Vec<String> {
        self.content().into_keys().collect()
    }

    /// Every problem on a line of its own.
    pub fn problems(&self) -> String {
        problems(self.bundle())
    }
}

pub fn problems<T: std::fmt::Debug>(result: Result<T>) -> String {
    let fail = result.unwrap_err();
    let lines =
        fail.all_problems().iter().map(|p| format!("{} {}: {} -> {}", p.kind, p.location, p.message, p.hint));
    let lines: Vec<String> = lines.collect();
    assert!(!lines.is_empty(), "{fail}");
    assert_eq!(fail.kind().code(), 2);
    lines.join("\n")
}

pub fn content(zip: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut archive = zip::ZipArchive::new(fs::File::open(zip).unwrap()).unwrap();
    let mut found = BTreeMap::new();
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index).unwrap();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        let name = entry.name().unwrap().into_owned();
        assert!(found.insert(name.clone(), bytes).is_none(), "`{name}` twice");
    }
    found
}

/// The names in the order in which they are written.
pub fn names(zip: &Path) -> Vec<String> {
    let archive = zip::ZipArchive::new(fs::File::open(zip).unwrap()).unwrap();
    archive.file_names().map(|name| name.unwrap().into_owned()).collect()
}

/// Bytes that no compressor makes smaller, the same every time.
pub fn random(length: usize) -> Vec<u8> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    let mut bytes: Vec<u8> = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        bytes.extend(next());
    }
    bytes.truncate(length);
    bytes
}

/// A process that bundles a tree and says the digest, or what is wrong, and its peak of memory.
pub struct Child<'a> {
    pub tree: &'a Tree,
    pub threads: usize,
    pub env: &'a [(&'a str, &'a str)],
    pub umask: &'a str,
    /// Run as the user `nobody`; only root can.
    pub as_nobody: bool,
}

#[derive(Debug)]
pub struct Said {
    pub result: String,
    pub peak_kb: u64,
}

impl<'a> Child<'a> {
    pub fn of(tree: &'a Tree) -> Self {
        Self { tree, threads: 2, env: &[], umask: "022", as_nobody: false }
    }

    pub fn run(&self) -> Said {
        let mut program = std::env::current_exe().unwrap();
        let mut command = Command::new("/bin/sh");
        if self.as_nobody {
            // the build folder may be closed to others
            let copy = self.tree.scratch.path().join("bundler");
            fs::copy(&program, &copy).unwrap();
            program = copy;
            command.uid(65534).gid(65534);
        }
        let script = format!("umask {} && exec \"$0\" --exact child --nocapture", self.umask);
        command.args(["-c", &script]).arg(program).current_dir("/");
        command.env_clear().envs(self.env.iter().copied());
        command.env("BUNDLE_ROOT", &self.tree.root).env("BUNDLE_CACHE", self.tree.cache());
        let output = command.env("BUNDLE_THREADS", self.threads.to_string()).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let value =
            |name: &str| text.split_once(name).and_then(|(_, rest)| rest.split_once("<<")).map(|(v, _)| v);
        let result =
            value("result>>").unwrap_or_else(|| panic!("{text}{}", String::from_utf8_lossy(&output.stderr)));
        Said { result: result.to_owned(), peak_kb: value("peak>>").unwrap().parse().unwrap() }
    }

    /// The other side.
    pub fn work() {
        let Some(root) = std::env::var_os("BUNDLE_ROOT") else { return };
        let cache = PathBuf::from(std::env::var_os("BUNDLE_CACHE").unwrap());
        let threads: NonZeroUsize = std::env::var("BUNDLE_THREADS").unwrap().parse().unwrap();
        let result = match bundle_on(Path::new(&root), &cache, threads) {
            Ok(bundle) => bundle.digest.to_string(),
            Err(fail) if fail.all_problems().is_empty() => fail.to_string(),
            Err(fail) => problems::<()>(Err(fail)),
        };
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or("0 kB");
        println!("result>>{result}<<peak>>{}<<", peak.trim().trim_end_matches(" kB"));
    }
}
