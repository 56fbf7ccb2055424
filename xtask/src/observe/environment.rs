//! Reads an environment file. Decides nothing: what is right in it, `config` knows.

use crate::config::{self, Environment, EnvironmentName};
use crate::doors::fs;
use crate::fail::{Fail, Kind, Problem, Result};
use std::path::Path;

/// The environment `name` of the project at `root`, from `environments/<name>.toml`.
///
/// # Errors
/// Usage: there is no such file, it cannot be read, or something in it is wrong; then with every problem of it.
pub fn load(root: &Path, name: &str) -> Result<Environment> {
    let file = format!("environments/{name}.toml");
    let path = root.join(&file);
    if let Err(wrong) = EnvironmentName::parse(name) {
        let fail = Fail::usage(wrong.message);
        return Err(if fs::exists(&path) { fail.hint(wrong.hint) } else { with_names(fail, root, name) });
    }
    let Some(environment) = read(root, name)? else {
        let fail = Fail::usage(format!("there is no environment `{name}`: no file `{file}`"));
        return Err(with_names(fail, root, name));
    };
    match in_reach(root, &environment, &file)? {
        problems if problems.is_empty() => Ok(environment),
        problems => Err(Fail::problems(format!("`{file}` has {}", counted(problems.len())), problems)),
    }
}

/// The environment by itself; nothing if there is no such file.
fn read(root: &Path, name: &str) -> Result<Option<Environment>> {
    let file = format!("environments/{name}.toml");
    let bytes = fs::read_if_there(&root.join(&file)).map_err(|fail| fail.with_kind(Kind::Usage))?;
    let Some(bytes) = bytes else { return Ok(None) };
    let text = String::from_utf8(bytes).map_err(|error| {
        let line =
            1 + error.as_bytes()[..error.utf8_error().valid_up_to()].iter().filter(|b| **b == b'\n').count();
        Fail::usage(format!("`{file}` is not UTF-8 in line {line}")).hint("save it in UTF-8")
    })?;
    config::resolve(name, &text, &file)
        .map(Some)
        .map_err(|problems| Fail::problems(format!("`{file}` has {}", counted(problems.len())), problems))
}

/// What is wrong between this environment and those beside it.
fn in_reach(root: &Path, environment: &Environment, file: &str) -> Result<Vec<Problem>> {
    let mut problems = Vec::new();
    for other in names(root)?.into_iter().filter(|other| environment.name.begins_or_continues(other)) {
        // What is wrong with the other file is told where it is used.
        if let Ok(Some(other)) = read(root, &other) {
            problems.extend(environment.in_reach_with(&other, file));
        }
    }
    Ok(problems)
}

/// The names of all environments of the project at `root`, sorted.
pub fn names(root: &Path) -> Result<Vec<String>> {
    let paths = fs::list(&root.join("environments"))?;
    let toml = paths.iter().filter(|path| path.extension().is_some_and(|extension| extension == "toml"));
    let mut names: Vec<String> =
        toml.filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned())).collect();
    names.sort();
    Ok(names)
}

/// Adds which environments there are, the nearest first.
fn with_names(fail: Fail, root: &Path, name: &str) -> Fail {
    let names = match names(root) {
        Ok(names) => names,
        Err(error) => return fail.cause(error.to_string()),
    };
    match config::nearest(name, &names) {
        _ if names.is_empty() => fail.hint("create one: copy an environment file to environments/dev.toml"),
        Some(near) => fail.hint(format!("use --env {near}")),
        None => fail.hint(format!("use --env with one of: {}", names.join(", "))),
    }
}

fn counted(problems: usize) -> String {
    if problems == 1 { "a problem".to_owned() } else { format!("{problems} problems") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project(files: &[(&str, &[u8])]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (name, content) in files {
            fs::write(&root.path().join("environments").join(name), content).unwrap();
        }
        root
    }

    fn refused(files: &[(&str, &[u8])], name: &str) -> Fail {
        let fail = load(project(files).path(), name).unwrap_err();
        assert_eq!(fail.kind(), Kind::Usage);
        fail
    }

    #[test]
    fn a_missing_environment_lists_those_there_are() {
        let files: &[(&str, &[u8])] = &[("staging.toml", b""), ("dev.toml", b""), ("notes.md", b"")];
        assert_eq!(refused(files, "prod").hints(), ["use --env with one of: dev, staging"]);
        assert_eq!(refused(files, "stagin").hints(), ["use --env staging"]);
        assert_eq!(refused(files, "../dev").message(), "invalid environment name: `../dev`");
        assert_eq!(
            refused(&[], "dev").message(),
            "there is no environment `dev`: no file `environments/dev.toml`"
        );
    }

    #[test]
    fn a_file_that_is_not_text() {
        let fail = refused(&[("dev.toml", b"# a\n\xff\n")], "dev");
        assert_eq!(fail.message(), "`environments/dev.toml` is not UTF-8 in line 2");
    }

    #[test]
    fn problems_are_counted_and_all_there() {
        let fail = refused(&[("dev.toml", b"[aws]\nendpoint = 'local'\nx = 1\ny = 2\n")], "dev");
        assert_eq!(fail.message(), "`environments/dev.toml` has 2 problems");
        assert_eq!(fail.all_problems().len(), 2);
    }

    #[test]
    fn a_name_that_continues_that_of_an_environment_which_github_deploys() {
        let file = |more: &str| {
            format!(
                "[aws]\naccount = '111122223333'\nregion = 'eu-central-1'\n[entry]\nallowed_cidrs = ['10.0.0.0/8']\n{more}"
            )
        };
        let (plain, github) = (file(""), file("[github]\nrepository = 'a/b'\n"));
        let both: &[(&str, &[u8])] = &[
            ("dev.toml", github.as_bytes()),
            ("dev-2.toml", plain.as_bytes()),
            ("device.toml", plain.as_bytes()),
        ];
        for name in ["dev", "dev-2"] {
            let fail = refused(both, name);
            assert!(fail.all_problems()[0].message.contains("deploys `dev` could deploy `dev-2`"), "{fail}");
        }
        assert!(load(project(both).path(), "device").is_ok());
        let without = [("dev.toml", plain.as_bytes()), ("dev-2.toml", github.as_bytes())];
        assert!(load(project(&without).path(), "dev").is_ok(), "nobody reaches the other way");
    }

    #[test]
    fn a_good_file() {
        let root = project(&[("local.toml", b"aws.endpoint = 'local'")]);
        assert_eq!(load(root.path(), "local").unwrap().name.as_str(), "local");
    }
}
