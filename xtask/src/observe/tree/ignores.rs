//! The ignore files of a tree, with git's own rules: the deepest file that has an opinion decides.

use crate::fail::Problem;
use ignore::Match;
use ignore::gitignore::{Gitignore, GitignoreBuilder};
use std::fs::DirEntry;
use std::path::{Path, PathBuf};

const FILES: [&str; 2] = [".gitignore", ".ductworkignore"];

/// The rules that hold at one place of the walk, outermost first.
#[derive(Default)]
pub(super) struct Ignores {
    root: PathBuf,
    rules: Vec<Gitignore>,
}

impl Ignores {
    /// The rules of the folders above `folder`: from the top of the git checkout down, or from the
    /// root of the project where it is none. What lies further up is not part of the tree.
    pub fn above(root: &Path, folder: &Path, problems: &mut Vec<Problem>) -> Self {
        let top = root.ancestors().find(|path| path.join(".git").exists()).unwrap_or(root);
        let mut folders: Vec<&Path> =
            folder.ancestors().skip(1).take_while(|path| path.starts_with(top)).collect();
        folders.reverse();
        let mut ignores = Self { root: root.to_owned(), rules: Vec::new() };
        for folder in folders {
            for file in FILES.map(|name| folder.join(name)) {
                if file.is_file() {
                    ignores.add(folder, &file, problems);
                }
            }
        }
        ignores
    }

    /// Adds the rules of a folder; gives back what [`Ignores::leave`] wants.
    pub fn enter(&mut self, folder: &Path, children: &[DirEntry], problems: &mut Vec<Problem>) -> usize {
        let before = self.rules.len();
        for name in FILES.iter().filter(|name| children.iter().any(|child| child.file_name() == **name)) {
            self.add(folder, &folder.join(name), problems);
        }
        before
    }

    pub fn leave(&mut self, before: usize) {
        self.rules.truncate(before);
    }

    /// Whether a child of the present folder is ignored. A symbolic link counts as a file.
    pub fn cover(&self, child: &DirEntry) -> bool {
        !self.rules.is_empty() && self.says(&child.path(), child.file_type().is_ok_and(|kind| kind.is_dir()))
    }

    /// Whether a folder or one it is in is ignored.
    pub fn covers(&self, folder: &Path) -> bool {
        let known = |path: &&Path| self.rules.iter().any(|rules| path.starts_with(rules.path()));
        folder.ancestors().take_while(known).any(|path| self.says(path, true))
    }

    fn says(&self, path: &Path, is_folder: bool) -> bool {
        let opinions =
            self.rules.iter().rev().filter(|rules| path.starts_with(rules.path()) && path != rules.path());
        for rules in opinions {
            match rules.matched(path, is_folder) {
                Match::None => {}
                Match::Ignore(_) => return true,
                Match::Whitelist(_) => return false,
            }
        }
        false
    }

    fn add(&mut self, folder: &Path, file: &Path, problems: &mut Vec<Problem>) {
        let place = file.strip_prefix(&self.root).unwrap_or(file);
        match std::fs::File::open(file).and_then(std::io::read_to_string) {
            Ok(text) => self.rules.push(parsed(folder, file, place, &text, problems)),
            Err(error) => problems.push(super::cannot_read(place, &error)),
        }
    }
}

fn parsed(folder: &Path, file: &Path, place: &Path, text: &str, problems: &mut Vec<Problem>) -> Gitignore {
    let mut builder = GitignoreBuilder::new(folder);
    for (number, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        if let Err(error) = builder.add_line(Some(file.to_owned()), line) {
            let place = format!("{}:{}", place.display(), number + 1);
            problems.push(Problem::new("bad_pattern", place, error.to_string(), "correct the line"));
        }
    }
    builder.build().unwrap_or_else(|error| {
        let place = place.display().to_string();
        problems.push(Problem::new("bad_pattern", place, error.to_string(), "correct the file"));
        Gitignore::empty()
    })
}
