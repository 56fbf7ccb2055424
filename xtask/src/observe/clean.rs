//! Remembers, by content, the templates that a linter found clean, so that it reads only what has changed
//! since. Findings are never remembered: they are looked for and told every time.

use crate::doors::fs;
use crate::fail::Result;
use crate::model::digest::Digest;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// What one linter found clean.
#[derive(Debug)]
pub struct Clean {
    folder: PathBuf,
    linter: String,
}

/// The templates to read, by folder, and the number of different ones that there are.
#[derive(Debug, Default)]
pub struct Unread {
    pub files: Vec<(PathBuf, Vec<PathBuf>)>,
    pub of: usize,
    keys: Vec<Digest>,
}

impl Unread {
    #[must_use]
    pub fn count(&self) -> usize {
        self.keys.len()
    }
}

/// A template: its path below its folder, and its content.
type Source = (PathBuf, Vec<u8>);

impl Clean {
    /// `linter` is everything but templates that decides what the linter finds: version, options, settings.
    #[must_use]
    pub fn new(root: &Path, name: &str, linter: String) -> Self {
        Self { folder: root.join(".ductwork/cache/clean").join(name), linter }
    }

    /// The templates in the folders that are not known to be clean. What several folders have is read once.
    pub fn unread(&self, folders: &[PathBuf]) -> Result<Unread> {
        let mut seen = BTreeSet::new();
        let mut unread = Unread::default();
        for folder in folders {
            let sources = sources(folder)?;
            let mut files = Vec::new();
            for source in &sources {
                let key = self.key(source, &sources);
                if seen.insert(key) && !fs::exists(&self.marker(key)) {
                    files.push(source.0.clone());
                    unread.keys.push(key);
                }
            }
            if !files.is_empty() {
                unread.files.push((folder.clone(), files));
            }
        }
        unread.of = seen.len();
        Ok(unread)
    }

    /// Nothing was found in them.
    pub fn remember(&self, unread: &Unread) -> Result<()> {
        unread.keys.iter().try_for_each(|key| fs::write(&self.marker(*key), b""))
    }

    fn marker(&self, key: Digest) -> PathBuf {
        self.folder.join(key.to_string())
    }

    /// Everything that decides what is found in a template. One that nests others is judged with them.
    fn key(&self, source: &Source, sources: &[Source]) -> Digest {
        let nests = source.1.windows(NESTED.len()).any(|word| word == NESTED);
        let read = if nests { sources } else { std::slice::from_ref(source) };
        let line = |(path, bytes): &Source| format!("{} {}\n", path.display(), Digest::of(bytes));
        let text: String = read.iter().map(line).collect();
        Digest::of(format!("{}\n{}\n{text}", self.linter, source.0.display()).as_bytes())
    }
}

/// The property of a nested stack that names its template.
const NESTED: &[u8] = b"TemplateURL";

/// All templates below a folder.
fn sources(folder: &Path) -> Result<Vec<Source>> {
    let mut found = Vec::new();
    for path in fs::list(folder)? {
        let name = PathBuf::from(path.file_name().unwrap_or_default());
        if path.is_dir() {
            found.extend(sources(&path)?.into_iter().map(|(inner, bytes)| (name.join(inner), bytes)));
        } else {
            found.push((name, fs::read(&path)?));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Scratch(tempfile::TempDir);

    impl Scratch {
        /// Environments `a` and `b`, with a master of their own and a child that they share.
        fn new() -> Self {
            let scratch = Self(fs::scratch_dir(&std::env::temp_dir()).unwrap());
            for name in ["a", "b"] {
                scratch.write(
                    &format!("{name}/master.yaml"),
                    &format!("{name}: {{TemplateURL: inner/net.yaml}}"),
                );
                scratch.write(&format!("{name}/inner/net.yaml"), "n");
            }
            scratch
        }

        fn write(&self, path: &str, text: &str) {
            fs::write(&self.0.path().join(path), text.as_bytes()).unwrap();
        }

        fn clean(&self, linter: &str) -> Clean {
            Clean::new(self.0.path(), "linter", linter.to_owned())
        }

        fn unread(&self, linter: &str) -> (Unread, Vec<String>) {
            let folders = ["a", "b"].map(|name| self.0.path().join(name));
            let unread = self.clean(linter).unread(&folders).unwrap();
            let paths =
                unread.files.iter().flat_map(|(folder, files)| files.iter().map(|file| folder.join(file)));
            let name = |path: PathBuf| path.strip_prefix(self.0.path()).unwrap().display().to_string();
            let names = paths.map(name).collect();
            (unread, names)
        }
    }

    #[test]
    fn a_template_is_read_once_for_environments_that_share_it() {
        let (unread, names) = Scratch::new().unread("1");
        assert_eq!(names, ["a/inner/net.yaml", "a/master.yaml", "b/master.yaml"]);
        assert_eq!((unread.count(), unread.of), (3, 3));
    }

    #[test]
    fn what_was_clean_is_read_again_when_it_or_what_it_nests_or_the_linter_changes() {
        let scratch = Scratch::new();
        scratch.clean("1").remember(&scratch.unread("1").0).unwrap();
        let (unread, names) = scratch.unread("1");
        assert_eq!((names.len(), unread.count(), unread.of), (0, 0, 3));
        scratch.write("b/master.yaml", "another");
        assert_eq!(scratch.unread("1").1, ["b/master.yaml"]);
        scratch.write("a/inner/net.yaml", "changed");
        assert_eq!(scratch.unread("1").1, ["a/inner/net.yaml", "a/master.yaml", "b/master.yaml"]);
        assert_eq!(scratch.unread("2").1.len(), 4, "another linter has found nothing clean");
    }
}
