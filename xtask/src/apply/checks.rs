//! Linters of the development environment, run over files of the project; what they say, as problems.

use super::toolchain::{self, Venv};
use crate::doors::proc::Cmd;
use crate::doors::{env, fs};
use crate::fail::{Fail, Result};
use crate::model::event::Sink;
use crate::model::problem::Problem;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// cfn-lint over the templates below `folder`, with the project's own settings.
pub fn cfn_lint(root: &Path, folder: &Path, sink: &Sink) -> Result<Vec<Problem>> {
    let program = program(root, Venv::Dev, "cfn-lint", sink)?;
    let mut command = quiet(program, folder).args(["--format", "json", "--config-file"]);
    command = command.arg(root.join(".cfnlintrc.yaml")).arg("--");
    for template in templates(folder)? {
        command = command.arg(template);
    }
    let found: Vec<CfnLint> = answer(&command)?;
    Ok(found.into_iter().map(CfnLint::problem).collect())
}

/// checkov over the templates below `folder`.
pub fn checkov(root: &Path, folder: &Path, sink: &Sink) -> Result<Vec<Problem>> {
    let program = program(root, Venv::Checkov, "checkov", sink)?;
    let command = quiet(program, folder)
        .args([
            "--framework",
            "cloudformation",
            "--quiet",
            "--compact",
            "--skip-download",
            "-o",
            "json",
            "-d",
        ])
        .arg(folder);
    let report: Value = answer(&command)?;
    // One report, or a list of them where there are several frameworks; a bare summary where nothing was found.
    let failed = report["results"]["failed_checks"].as_array().cloned().unwrap_or_default();
    let unread = report["results"]["parsing_errors"].as_array().cloned().unwrap_or_default();
    if report.get("results").is_none() && report.get("passed").is_none() {
        return Err(Fail::bug("checkov's answer has another shape").cause(report.to_string()));
    }
    let unread = unread.iter().map(|file| {
        Problem::new("checkov", file.as_str().unwrap_or_default(), "cannot be read", "correct its syntax")
    });
    let failed = failed.into_iter().map(serde_json::from_value::<Checkov>);
    let failed: Vec<Checkov> =
        failed.collect::<std::result::Result<_, _>>().map_err(|error| shape("checkov", &error))?;
    Ok(unread.chain(failed.into_iter().map(Checkov::problem)).collect())
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
    Ok(toolchain::venv(root, venv, sink, "check")?.join("bin").join(name))
}

/// A linter sees nothing of the caller's environment but where its own things are.
fn quiet(program: PathBuf, dir: &Path) -> Cmd {
    Cmd::new(program, dir).envs(env::for_installers()).env("NO_COLOR", "1").env("LOG_LEVEL", "ERROR")
}

/// All templates below a folder, relative to it.
fn templates(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for path in fs::list(folder)? {
        if path.is_dir() {
            let inner = templates(&path)?;
            found.extend(
                inner
                    .into_iter()
                    .map(|inner| PathBuf::from(path.file_name().unwrap_or_default()).join(inner)),
            );
        } else if let Some(name) = path.file_name() {
            found.push(PathBuf::from(name));
        }
    }
    Ok(found)
}

/// The JSON on standard output; a linter that found something ends with an exit code of its own.
fn answer<T: DeserializeOwned>(command: &Cmd) -> Result<T> {
    let output = command.output()?;
    serde_json::from_slice(&output.stdout).map_err(|error| {
        let said = String::from_utf8_lossy(&output.stderr);
        let tail: Vec<&str> = said.lines().rev().take(12).collect();
        let tail: Vec<&str> = tail.into_iter().rev().collect();
        shape(&command.to_string(), &error).cause(tail.join("\n"))
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
        let hint = format!("see rule {0}: cfn-lint --list-rules | grep {0}", self.rule.id);
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
        let hint = "mend it, or give the reason in the resource's own `Metadata: {checkov: {skip: [{id, comment}]}}`";
        Problem::new("checkov", place, message, hint)
    }
}

#[derive(Deserialize)]
struct Ruff {
    code: Option<String>,
    filename: String,
    message: String,
    location: Row,
}

#[derive(Deserialize)]
struct Row {
    row: u32,
}

impl Ruff {
    fn problem(self, root: &Path) -> Problem {
        let file = Path::new(&self.filename);
        let place = format!("{}:{}", file.strip_prefix(root).unwrap_or(file).display(), self.location.row);
        let code = self.code.unwrap_or_else(|| "syntax".to_owned());
        Problem::new("ruff", place, self.message, format!("see rule {code}, or change `pyproject.toml`"))
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
