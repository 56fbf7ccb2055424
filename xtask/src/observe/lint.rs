//! Linters of the development environment, run over files of the project; what they say, as problems.

use super::clean::Clean;
use crate::doors::proc::Cmd;
use crate::doors::toolchain::{self, Venv};
use crate::doors::{env, fs};
use crate::fail::{Fail, Problem, Result};
use crate::model::event::Sink;
use crate::model::text::tail;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// A finding in the templates of one environment: the folder they were written to, and the problem.
pub type InFolder = (PathBuf, Problem);

/// What a linter found in the templates of all environments.
#[derive(Debug)]
pub struct Linted {
    pub found: Vec<InFolder>,
    /// How many templates it had to read; the others are unchanged since they were last clean.
    pub read: usize,
    pub of: usize,
}

/// cfn-lint over the templates of each environment, with the project's own settings.
pub fn cfn_lint(root: &Path, folders: &[PathBuf], sink: &Sink) -> Result<Linted> {
    let (program, settings) = (program(root, Venv::Dev, "cfn-lint", sink)?, root.join(".cfnlintrc.yaml"));
    let command = |folder: &Path| {
        let command = quiet(program.clone(), folder).args(["--format", "json", "--config-file"]);
        command.arg(&settings).arg("--")
    };
    let linter = format!("{}\n{}", command(root), fs::read_to_string(&settings)?);
    unread(&Clean::new(root, "cfn-lint", linter), folders, |folder, files| {
        let found: Vec<CfnLint> = answer(&command(folder).args(files))?;
        Ok(found.into_iter().map(CfnLint::problem).collect())
    })
}

/// checkov over the same.
pub fn checkov(root: &Path, folders: &[PathBuf], sink: &Sink) -> Result<Linted> {
    let program = program(root, Venv::Checkov, "checkov", sink)?;
    let options =
        ["--framework", "cloudformation", "--quiet", "--compact", "--skip-download", "-o", "json", "-f"];
    let command = |folder: &Path| quiet(program.clone(), folder).args(options);
    unread(&Clean::new(root, "checkov", command(root).to_string()), folders, |folder, files| {
        failed_checks(&answer(&command(folder).args(files))?)
    })
}

/// Lints what is not known to be clean. The path of a program has its locked version in it, so a program
/// and its options are a part of what it found clean.
fn unread(
    clean: &Clean,
    folders: &[PathBuf],
    lint: impl Fn(&Path, &[PathBuf]) -> Result<Vec<Problem>>,
) -> Result<Linted> {
    let unread = clean.unread(folders)?;
    let mut found = Vec::new();
    for (folder, files) in &unread.files {
        found.extend(lint(folder, files)?.into_iter().map(|problem| (folder.clone(), problem)));
    }
    if found.is_empty() {
        clean.remember(&unread)?;
    }
    Ok(Linted { found, read: unread.count(), of: unread.of })
}

/// What checkov found; its answer is a bare summary where that is nothing.
fn failed_checks(report: &Value) -> Result<Vec<Problem>> {
    let results = &report["results"];
    if results.is_null() && report.get("passed").is_none() {
        return Err(Fail::failed("unexpected output of checkov").cause(report.to_string()));
    }
    let unread = results["parsing_errors"].as_array().into_iter().flatten().map(|file| {
        let place = format!("templates/{}", file.as_str().unwrap_or_default().trim_start_matches('/'));
        Problem::new("checkov", place, "cannot be read", "correct its syntax")
    });
    let mut problems: Vec<Problem> = unread.collect();
    for check in results["failed_checks"].as_array().into_iter().flatten() {
        let check: Checkov =
            serde_json::from_value(check.clone()).map_err(|error| shape("checkov", &error))?;
        problems.push(check.problem());
    }
    Ok(problems)
}

/// ruff over every Python file of the project that git does not ignore.
pub fn ruff(root: &Path, sink: &Sink) -> Result<Vec<Problem>> {
    let program = program(root, Venv::Dev, "ruff", sink)?;
    let found: Vec<Ruff> = answer(&quiet(program, root).args(["check", "--output-format", "json", "."]))?;
    Ok(found.into_iter().map(|found| found.problem(root)).collect())
}

/// shellcheck over the scripts of the host revision.
pub fn shellcheck(root: &Path, sink: &Sink) -> Result<Vec<Problem>> {
    let program = program(root, Venv::Dev, "shellcheck", sink)?;
    let mut command = quiet(program, root).args(["--format", "json"]);
    for folder in ["airflow/host/hooks", "airflow/host/bin"] {
        for script in fs::list(&root.join(folder))? {
            command = command.arg(script.strip_prefix(root).unwrap_or(&script));
        }
    }
    let found: Vec<Shellcheck> = answer(&command)?;
    Ok(found.into_iter().map(Shellcheck::problem).collect())
}

fn program(root: &Path, venv: Venv, name: &str, sink: &Sink) -> Result<PathBuf> {
    Ok(toolchain::venv(root, venv, sink)?.join("bin").join(name))
}

/// A linter sees nothing of the caller's environment but where its own things are.
fn quiet(program: PathBuf, dir: &Path) -> Cmd {
    Cmd::new(program, dir).envs(env::for_installers()).env("NO_COLOR", "1").env("LOG_LEVEL", "ERROR")
}

/// The JSON on standard output; a linter that found something ends with an exit code of its own.
fn answer<T: DeserializeOwned>(command: &Cmd) -> Result<T> {
    let output = command.output()?;
    serde_json::from_slice(&output.stdout).map_err(|error| {
        let said = String::from_utf8_lossy(&output.stderr);
        shape(&command.to_string(), &error).cause(tail(&said))
    })
}

fn shape(what: &str, error: &serde_json::Error) -> Fail {
    Fail::failed(format!("cannot read the answer of `{what}`")).cause(error.to_string())
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CfnLint {
    filename: String,
    message: String,
    rule: Rule,
    location: Location,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Rule {
    id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Location {
    start: Start,
    path: Option<Vec<Value>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Start {
    line_number: u32,
}

impl CfnLint {
    fn problem(self) -> Problem {
        let path = self.location.path.unwrap_or_default();
        let words: Vec<String> =
            path.iter().map(|part| part.as_str().map_or_else(|| part.to_string(), str::to_owned)).collect();
        let place = format!("templates/{}:{}", self.filename, self.location.start.line_number);
        let message = match words.as_slice() {
            [] => self.message,
            words => format!("{}: {}", words.join("/"), self.message),
        };
        let hint = format!("look up rule {} in the documentation of cfn-lint", self.rule.id);
        Problem::new("cfn_lint", place, message, hint)
    }
}

#[derive(Deserialize)]
struct Checkov {
    check_id: String,
    check_name: String,
    file_path: String,
    resource: String,
    file_line_range: (u32, u32),
}

impl Checkov {
    fn problem(self) -> Problem {
        let place =
            format!("templates/{}:{}", self.file_path.trim_start_matches('/'), self.file_line_range.0);
        let message = format!("{}: {} ({})", self.resource, self.check_name, self.check_id);
        let hint =
            "fix it, or give the reason in the resource's own `Metadata: {checkov: {skip: [{id, comment}]}}`";
        Problem::new("checkov", place, message, hint)
    }
}

#[derive(Deserialize)]
struct Ruff {
    code: Option<String>,
    filename: String,
    message: String,
    location: RuffLocation,
    fix: Option<RuffFix>,
    /// What ruff says about the rule; a syntax error breaks none.
    url: Option<String>,
}

#[derive(Deserialize)]
struct RuffFix {
    message: Option<String>,
}

#[derive(Deserialize)]
struct RuffLocation {
    row: u32,
}

impl Ruff {
    fn problem(self, root: &Path) -> Problem {
        let file = Path::new(&self.filename);
        let place = format!("{}:{}", file.strip_prefix(root).unwrap_or(file).display(), self.location.row);
        let message = self.message.trim_end_matches([';', '.']);
        let (message, rule) = match (self.code, self.url) {
            (Some(code), Some(url)) => (format!("{message} ({code})"), format!("read about the rule: {url}")),
            _ => (message.to_owned(), "correct the syntax".to_owned()),
        };
        let hint = self.fix.and_then(|fix| fix.message).unwrap_or(rule);
        Problem::new("ruff", place, message, hint)
    }
}

#[derive(Deserialize)]
struct Shellcheck {
    file: String,
    line: u32,
    code: u32,
    message: String,
}

impl Shellcheck {
    fn problem(self) -> Problem {
        let place = format!("{}:{}", self.file, self.line);
        Problem::new("shellcheck", place, self.message, format!("see SC{}", self.code))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_linters_say_becomes_problems() {
        let said = r#"[{"Filename": "net.yaml", "Message": "no", "Rule": {"Id": "E3001"},
            "Location": {"Start": {"LineNumber": 7}, "Path": ["Resources", "Vpc", 0]}}]"#;
        let found: Vec<CfnLint> = serde_json::from_str(said).unwrap();
        let problem = found.into_iter().next().unwrap().problem();
        assert_eq!(
            (problem.location.as_str(), problem.message.as_str()),
            ("templates/net.yaml:7", "Resources/Vpc/0: no")
        );
        let said = r#"{"results": {"parsing_errors": ["/x.yaml"], "failed_checks": [{"check_id": "CKV_1",
            "check_name": "encrypt", "file_path": "/net.yaml", "resource": "AWS::S3::Bucket.B", "file_line_range": [3, 9]}]}}"#;
        let found = failed_checks(&serde_json::from_str(said).unwrap()).unwrap();
        let places: Vec<&str> = found.iter().map(|problem| problem.location.as_str()).collect();
        assert_eq!(places, ["templates/x.yaml", "templates/net.yaml:3"]);
        assert!(failed_checks(&serde_json::json!({"passed": 0})).unwrap().is_empty());
        assert!(failed_checks(&serde_json::json!([])).is_err(), "silence is no approval");
    }

    #[test]
    fn a_finding_of_ruff_has_the_cure_that_ruff_knows() {
        let problem = |found: Value| serde_json::from_value::<Ruff>(found).unwrap().problem(Path::new("/p"));
        let mut found = json!({"code": "AIR301", "filename": "/p/dags/a.py", "location": {"row": 3},
            "message": "`schedule_interval` is removed in Airflow 3.0", "url": "https://x/airflow3-removal",
            "fix": {"message": "Use `schedule` instead", "edits": []}});
        let told = problem(found.clone());
        assert_eq!(
            (told.location.as_str(), told.message.as_str(), told.hint.as_str()),
            (
                "dags/a.py:3",
                "`schedule_interval` is removed in Airflow 3.0 (AIR301)",
                "Use `schedule` instead"
            )
        );
        found["fix"] = Value::Null;
        assert_eq!(problem(found.clone()).hint, "read about the rule: https://x/airflow3-removal");
        found["url"] = Value::Null;
        assert_eq!(problem(found).hint, "correct the syntax");
    }

    #[test]
    fn only_what_is_clean_is_not_read_again() {
        let scratch = fs::scratch_dir(&std::env::temp_dir()).unwrap();
        let folders = [scratch.path().join("a")];
        fs::write(&folders[0].join("net.yaml"), b"n").unwrap();
        let clean = Clean::new(scratch.path(), "linter", String::new());
        let problem = || Problem::new("linter", "templates/net.yaml:1", "wrong", "mend it");
        for _ in 0..2 {
            let linted = unread(&clean, &folders, |_, _| Ok(vec![problem()])).unwrap();
            assert_eq!((linted.found.len(), linted.read), (1, 1));
        }
        let linted = unread(&clean, &folders, |_, _| Ok(Vec::new())).unwrap();
        assert_eq!((linted.found.len(), linted.read, linted.of), (0, 1, 1));
        let linted = unread(&clean, &folders, |_, _| panic!("it is clean")).unwrap();
        assert_eq!((linted.found.len(), linted.read, linted.of), (0, 0, 1));
    }
}
