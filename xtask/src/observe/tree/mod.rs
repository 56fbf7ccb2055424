//! Walks the folders that go into an archive and says what is in them; never writes, never guesses.
//!
//! Left out: hidden files and folders (but `.airflowignore` stays), `__pycache__`, `*.pyc`, what a
//! `.gitignore` of the repository names, and what a `.ductworkignore` names in the same syntax.
//! Only ignore files in the tree count, not those of the user or of `.git/info`: the same tree must
//! give the same archive on every machine.
//!
//! What `.airflowignore` names **stays in**. Airflow uses it to decide what to parse for DAGs, not
//! what may be imported: projects list helper packages and SQL folders there, and a bundle without
//! them would fail at run time. So the file itself goes along and Airflow obeys it, in the syntax
//! (`[core] dag_ignore_file_syntax`) that its own configuration says.
//!
//! Whatever cannot be packed the same way everywhere is a [`Problem`]; all are found in one walk.

mod ignores;
mod names;
mod symlinks;

use crate::doors::archive::{Entry, LARGEST, Mode};
use crate::doors::stat::Stat;
use crate::fail::Problem;
use ignores::Ignores;
use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::{DirEntry, File, FileType, Metadata};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};

/// A folder of the project and where its content goes.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// Relative to the root of the project.
    pub folder: &'a str,
    /// What is put in front of the names: empty, or ending in a slash.
    pub prefix: &'a str,
    pub modes: Modes,
    pub content: Content,
}

/// What permissions entries get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Modes {
    /// Nothing can be executed.
    Plain,
    /// What its owner may execute can be executed.
    Programs,
}

/// Whose files they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// The user's: everything counts.
    Users,
    /// This project's own runtime: `tests` folders and `README*` are left out.
    Runtime,
}

/// The entries of all sources, not yet sorted. Adds to `problems` whatever is wrong.
pub fn read(root: &Path, sources: &[Source<'_>], problems: &mut Vec<Problem>) -> Vec<Entry> {
    let mut entries = Vec::new();
    for source in sources {
        let mut walk = Walk {
            root,
            source,
            top: PathBuf::new(),
            ignores: Ignores::default(),
            above: Vec::new(),
            entries: &mut entries,
            problems,
        };
        walk.run();
    }
    entries
}

/// Those that cannot be opened. Slow, so only for when something is wrong anyway.
pub fn unreadable(root: &Path, entries: &[Entry]) -> Vec<Problem> {
    let failed = |entry: &Entry| {
        let error = File::open(&entry.source).err()?;
        Some(cannot_read(entry.source.strip_prefix(root).unwrap_or(&entry.source), &error))
    };
    entries.iter().filter_map(failed).collect()
}

fn cannot_read(place: &Path, error: &std::io::Error) -> Problem {
    let place = place.display().to_string();
    let cure = format!("make it readable: chmod u+rX '{place}'; or leave it out by a line in `.gitignore`");
    Problem::new("unreadable", place, format!("cannot be read: {error}"), cure)
}

struct Walk<'a> {
    root: &'a Path,
    source: &'a Source<'a>,
    /// The folder itself, without symbolic links: nothing outside it is taken.
    top: PathBuf,
    ignores: Ignores,
    /// Device and inode of the folders from the top down to the present one.
    above: Vec<(u64, u64)>,
    entries: &'a mut Vec<Entry>,
    problems: &'a mut Vec<Problem>,
}

impl Walk<'_> {
    fn run(&mut self) {
        let folder = self.root.join(self.source.folder);
        if !folder.is_dir() {
            let name = self.source.folder;
            let cure = match self.source.content {
                Content::Users => format!("create it: mkdir -p {name}"),
                Content::Runtime => format!("restore it, for instance: git checkout -- {name}"),
            };
            return self.problem(&folder, "missing", "there is no such folder", cure);
        }
        let tops = (folder.canonicalize(), self.root.canonicalize());
        match tops {
            (Ok(top), Ok(root)) if top.starts_with(&root) => self.top = top,
            (Err(error), _) | (_, Err(error)) => return self.unreadable(&folder, &error),
            _ => return symlinks::leaves(self, &folder),
        }
        self.ignores = Ignores::above(self.root, &folder, self.problems);
        if self.ignores.covers(&folder) {
            return self.problem(
                &folder,
                "ignored",
                "git ignores the whole folder",
                "take the line that names it out of `.gitignore`",
            );
        }
        match folder.metadata() {
            Ok(meta) => self.folder(&folder, self.source.prefix, &meta),
            Err(error) => self.unreadable(&folder, &error),
        }
    }

    fn folder(&mut self, folder: &Path, prefix: &str, meta: &Metadata) {
        let stat = Stat::of(meta);
        let children: Result<Vec<DirEntry>, _> = folder.read_dir().and_then(Iterator::collect);
        let mut children = match children {
            Ok(children) => children,
            Err(error) => return self.unreadable(folder, &error),
        };
        let here = self.ignores.enter(folder, &children, self.problems);
        self.above.push((stat.device, stat.inode));
        children.retain(|child| !self.left_out(child));
        self.case_conflicts(folder, &children);
        for child in &children {
            self.child(child, prefix);
        }
        self.above.pop();
        self.ignores.leave(here);
    }

    fn left_out(&self, child: &DirEntry) -> bool {
        let name = child.file_name();
        let name = name.as_bytes();
        if name.starts_with(b".") {
            return name != b".airflowignore";
        }
        let runtime = self.source.content == Content::Runtime;
        name == b"__pycache__"
            || name.ends_with(b".pyc")
            || (runtime && (name == b"tests" || name.starts_with(b"README")))
            || self.ignores.cover(child)
    }

    fn child(&mut self, child: &DirEntry, prefix: &str) {
        let path = child.path();
        let name = child.file_name();
        let Some(name) = names::checked(self, &path, &name) else { return };
        let name = format!("{prefix}{name}");
        match child.file_type() {
            Ok(kind) if kind.is_symlink() => symlinks::follow(self, &path, &name),
            Ok(kind) => match child.metadata() {
                Ok(meta) => self.found(&path, &name, kind, &meta),
                Err(error) => self.unreadable(&path, &error),
            },
            Err(error) => self.unreadable(&path, &error),
        }
    }

    fn found(&mut self, path: &Path, name: &str, kind: FileType, meta: &Metadata) {
        if kind.is_dir() {
            self.folder(path, &format!("{name}/"), meta);
        } else if kind.is_file() {
            self.file(path, name, meta);
        } else {
            let what = match kind {
                kind if kind.is_socket() => "a socket",
                kind if kind.is_fifo() => "a named pipe",
                _ => "a device",
            };
            let cure = "move it elsewhere, or leave it out by a line in `.gitignore`";
            self.problem(path, "special_file", format!("is {what}, not a file"), cure);
        }
    }

    fn file(&mut self, path: &Path, name: &str, meta: &Metadata) {
        let stat = Stat::of(meta);
        if stat.size > LARGEST {
            let cure = "keep it in S3 and let the DAG read it there";
            return self.problem(path, "too_large", "is larger than 4 GiB", cure);
        }
        let program = self.source.modes == Modes::Programs && stat.is_program();
        let mode = if program { Mode::Program } else { Mode::Plain };
        self.entries.push(Entry { name: name.to_owned(), source: path.to_owned(), stat, mode });
    }

    /// Two such names are one file on macOS and Windows.
    fn case_conflicts(&mut self, folder: &Path, children: &[DirEntry]) {
        let mut seen: HashMap<String, OsString> = HashMap::with_capacity(children.len());
        let mut names: Vec<OsString> = children.iter().map(DirEntry::file_name).collect();
        names.sort();
        for name in names {
            let lower = name.to_string_lossy().to_lowercase();
            if let Some(other) = seen.get(&lower) {
                let message = format!("differs from `{}` only in case", other.to_string_lossy());
                self.problem(&folder.join(&name), "case_conflict", message, "rename one of the two");
            } else {
                seen.insert(lower, name);
            }
        }
    }

    fn unreadable(&mut self, path: &Path, error: &std::io::Error) {
        self.problems.push(cannot_read(self.place(path), error));
    }

    fn problem(&mut self, path: &Path, kind: &str, message: impl Into<String>, cure: impl Into<String>) {
        let place = self.place(path).to_string_lossy().escape_debug().to_string();
        self.problems.push(Problem::new(kind, place, message, cure));
    }

    fn place<'p>(&self, path: &'p Path) -> &'p Path {
        path.strip_prefix(self.root).unwrap_or(path)
    }
}
