//! Worker sets and their queues, and files of the project that belong to an environment.

use super::super::problems::Wrong;
use super::{checked_text, is_slug};

checked_text! {
    /// The name of a worker set: a table below `workers`.
    WorkerSetName
}

checked_text! {
    /// A queue, as tasks name it.
    Queue
}

checked_text! {
    /// A JSON document of the project, by its path relative to the root.
    DocumentPath
}

checked_text! {
    /// A folder of the project, by its path relative to the root.
    FolderPath
}

impl WorkerSetName {
    /// The set that is always there.
    pub const DEFAULT: &str = "default";
    pub const LONGEST: usize = 20;

    pub fn parse(text: &str) -> Result<Self, Wrong> {
        if is_slug(text) && text.len() <= Self::LONGEST {
            return Ok(Self(text.to_owned()));
        }
        let hint = format!(
            "use at most {} lower-case letters, digits and inner hyphens, beginning with a letter",
            Self::LONGEST
        );
        Err(Wrong::new(format!("`{text}` is no name for a worker set"), hint))
    }

    /// The name of its nested stack: `WorkerBigFish` for `big-fish`.
    #[must_use]
    pub fn prefix(&self) -> String {
        let mut prefix = String::from("Worker");
        for part in self.split('-') {
            let mut letters = part.chars();
            prefix.extend(letters.next().map(|first| first.to_ascii_uppercase()));
            prefix.push_str(letters.as_str());
        }
        prefix
    }
}

impl Queue {
    /// The one that tasks go to which name none; `operators.default_queue` of the hosts.
    pub const DEFAULT: &str = "default";

    /// No comma, which separates queues on Celery's command line.
    pub fn parse(text: &str) -> Result<Self, Wrong> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"_.-".contains(&b);
        let first = text.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
        if first && text.len() <= 64 && text.bytes().all(plain) {
            return Ok(Self(text.to_owned()));
        }
        let hint = "use at most 64 letters, digits, `_`, `.` and `-`, beginning with a letter or digit";
        Err(Wrong::new(format!("`{text}` is no name for a queue"), hint))
    }
}

/// The path without `./`, if it stays in the project; the cause if not.
fn inside(text: &str) -> Result<String, &'static str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._- ".contains(c);
    let parts: Vec<&str> = text.trim_end_matches('/').split('/').filter(|part| *part != ".").collect();
    match parts.as_slice() {
        _ if text.starts_with(['/', '~', '\\']) || text.get(1..3) == Some(":\\") => Err("is absolute"),
        parts if parts.contains(&"..") => Err("leaves the project"),
        parts if parts.iter().any(|part| part.is_empty() || !part.chars().all(plain)) => {
            Err("has more than letters, digits, `._-` and blanks between single slashes")
        }
        [] => Err("names nothing"),
        parts => Ok(parts.join("/")),
    }
}

impl DocumentPath {
    pub fn parse(text: &str) -> Result<Self, Wrong> {
        let hint = "write a path relative to the root of the project, like `policies/read-lake.json`";
        let path = inside(text).map_err(|why| Wrong::new(format!("`{text}` {why}"), hint))?;
        if !path.ends_with(".json") {
            return Err(Wrong::new(format!("`{text}` is no JSON file"), hint));
        }
        Ok(Self(path))
    }

    /// The last part.
    #[must_use]
    pub fn file(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or_default()
    }
}

impl FolderPath {
    pub fn parse(text: &str) -> Result<Self, Wrong> {
        let hint = "write the path of a folder relative to the root of the project, like `templates/more`";
        inside(text).map(Self).map_err(|why| Wrong::new(format!("`{text}` {why}"), hint))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_worker_sets() {
        for (good, prefix) in [
            ("default", "WorkerDefault"),
            ("big-fish", "WorkerBigFish"),
            ("gpu2", "WorkerGpu2"),
            ("abcdefghij-123456789", "WorkerAbcdefghij123456789"),
        ] {
            assert_eq!(WorkerSetName::parse(good).unwrap().prefix(), prefix);
        }
        for bad in ["", "Big", "2nd", "big_fish", "big-", "abcdefghij-1234567890"] {
            assert!(WorkerSetName::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn queues() {
        for good in ["default", "Big.1_x-y", "1"] {
            assert!(Queue::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "a,b", "a b", "-a", "ä"] {
            assert!(Queue::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn paths() {
        let document = DocumentPath::parse("./policies/read lake.json").unwrap();
        assert_eq!((document.as_str(), document.file()), ("policies/read lake.json", "read lake.json"));
        assert_eq!(FolderPath::parse("templates/more/").unwrap().as_str(), "templates/more");
        for bad in [
            "",
            "/etc/passwd.json",
            "~/x.json",
            "../x.json",
            "a/../../x.json",
            "a//x.json",
            "C:\\x.json",
            "x.yaml",
            ".",
        ] {
            assert!(DocumentPath::parse(bad).is_err(), "{bad}");
        }
        for bad in ["", "/", ".", "..", "/srv"] {
            assert!(FolderPath::parse(bad).is_err(), "{bad}");
        }
    }
}
