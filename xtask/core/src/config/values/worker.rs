//! Names of worker sets and queues, and paths of files in the project.

use super::checked::{checked_text, is_slug};
use crate::config::problems::Refusal;
use crate::model::contract::CONTRACT;
use crate::model::text::pascal_case;

checked_text! {
    /// The name of a worker set: a table under `workers`.
    WorkerSetName
}

checked_text! {
    /// The name of an external task: a table under `tasks`.
    TaskName
}

checked_text! {
    /// The name of a queue, as tasks use it.
    Queue
}

checked_text! {
    /// A JSON file of the project, by its path relative to the project root.
    DocumentPath
}

checked_text! {
    /// A folder of the project, by its path relative to the project root.
    FolderPath
}

impl WorkerSetName {
    pub const LONGEST: usize = 20;

    pub fn parse(text: &str) -> Result<Self, Refusal> {
        named(text, Self::LONGEST, "worker set").map(Self)
    }

    /// Whether this is the set that always exists.
    #[must_use]
    pub fn is_default(&self) -> bool {
        self.0 == CONTRACT.worker_set.default
    }

    /// The logical ID of its nested stack: `WorkerBigFish` for `big-fish`.
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

impl TaskName {
    pub const LONGEST: usize = 20;

    pub fn parse(text: &str) -> Result<Self, Refusal> {
        named(text, Self::LONGEST, "task").map(Self)
    }

    /// In logical IDs and parameters: `BigFish` for `big-fish`.
    #[must_use]
    pub fn pascal(&self) -> String {
        pascal_case(self)
    }
}

/// The name of a table that the user chooses.
fn named(text: &str, longest: usize, what: &str) -> Result<String, Refusal> {
    if is_slug(text) && text.len() <= longest {
        return Ok(text.to_owned());
    }
    let hint = format!(
        "use at most {longest} lower-case letters, digits and hyphens; start with a letter and do not end with a hyphen"
    );
    Err(Refusal::new(format!("invalid {what} name: `{text}`"), hint))
}

impl Queue {
    /// The queue of a worker set that does not name one: every name of a set is valid for a queue.
    #[must_use]
    pub fn of(set: &WorkerSetName) -> Self {
        Self(set.to_string())
    }

    /// Whether tasks that name no queue use this one.
    #[must_use]
    pub fn is_default(&self) -> bool {
        self.0 == CONTRACT.worker_set.default
    }

    /// Refuses commas in particular: they separate queues on the Celery command line.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"_.-".contains(&b);
        let first = text.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
        if first && text.len() <= 64 && text.bytes().all(plain) {
            return Ok(Self(text.to_owned()));
        }
        let hint = "use at most 64 letters, digits, `_`, `.` and `-`; start with a letter or a digit";
        Err(Refusal::new(format!("invalid queue name: `{text}`"), hint))
    }
}

/// The path without `./` if it stays in the project, otherwise what is wrong with it.
pub(super) fn inside(text: &str) -> Result<String, &'static str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._- ".contains(c);
    let parts: Vec<&str> = text.trim_end_matches('/').split('/').filter(|part| *part != ".").collect();
    match parts.as_slice() {
        _ if text.starts_with(['/', '~', '\\']) || text.get(1..3) == Some(":\\") => {
            Err("the path is absolute")
        }
        parts if parts.contains(&"..") => Err("the path leaves the project"),
        parts if parts.iter().any(|part| part.is_empty() || !part.chars().all(plain)) => {
            Err("the path may only contain letters, digits, `._-`, spaces and single slashes")
        }
        [] => Err("the path is empty"),
        parts => Ok(parts.join("/")),
    }
}

impl DocumentPath {
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        let hint = "use a path relative to the project root, such as `policies/read-lake.json`";
        let path = inside(text).map_err(|why| Refusal::new(format!("{why}: `{text}`"), hint))?;
        if !path.ends_with(".json") {
            return Err(Refusal::new(format!("the file name must end in `.json`: `{text}`"), hint));
        }
        Ok(Self(path))
    }

    /// The name of the file without its folder.
    #[must_use]
    pub fn file(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or_default()
    }
}

impl FolderPath {
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        let hint = "use the path of a folder relative to the project root, such as `templates/more`";
        inside(text).map(Self).map_err(|why| Refusal::new(format!("{why}: `{text}`"), hint))
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
