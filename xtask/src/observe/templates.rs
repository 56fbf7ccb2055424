//! Reads the templates of the project; which of them matter is decided by `plan::templates`.

use super::pack::{self, Packing};
use super::tree::{self, Content, Modes, Source};
use crate::doors::{archive, fs};
use crate::fail::{Fail, Problem, Result};
use crate::model::bundle::Bundle;
use std::collections::BTreeMap;
use std::path::Path;

/// The folder of the project's templates.
const FOLDER: &str = "templates";

/// Every `*.yaml` below `<project>/templates/`, hidden folders left out: path relative to it, with
/// `/`, and content. They are few and small, so all are read: finding the reachable ones first would
/// take a parse between two reads. No such folder reads as no templates.
pub fn read(project: &Path) -> Result<BTreeMap<String, Vec<u8>>> {
    let mut found = BTreeMap::new();
    read_folder(&project.join(FOLDER), "", &mut found)?;
    Ok(found)
}

/// All templates of the project as one archive at `<cache>/templates/<sha256>.zip`: the same bytes for every
/// environment, so that another one can be given the very same templates.
///
/// # Errors
/// All that is wrong with the folder together; a file that changes meanwhile; a full disk.
pub fn archive(project: &Path, cache: &Path) -> Result<Bundle> {
    let source = Source { folder: FOLDER, prefix: "", modes: Modes::Plain, content: Content::Runtime };
    let mut problems = Vec::new();
    let mut entries = tree::read(project, &[source], &mut problems);
    entries.retain(|entry| entry.name.ends_with(".yaml"));
    let packed = Packing { name: "the templates", folder: &cache.join("template-sets") };
    pack::pack(project, packed, entries, problems, archive::all_processors())
}

/// The additional templates of an environment in `folder` of the project, below `prefix`.
pub fn additional(project: &Path, folder: &str, prefix: &str) -> Result<BTreeMap<String, Vec<u8>>> {
    let path = project.join(folder);
    let mut found = BTreeMap::new();
    if path.is_dir() {
        read_folder(&path, prefix, &mut found)?;
    }
    if found.is_empty() {
        let hint = "add one there, or remove `additional.templates` from the environment file";
        let problem = Problem::new("missing", folder, "holds no template, no `*.yaml`", hint);
        return Err(Fail::problems("there are no additional templates", vec![problem]));
    }
    Ok(found)
}

/// The policy documents of an environment, each with its content; all that are missing are told.
pub fn policies(project: &Path, paths: &[String]) -> Result<Vec<Vec<u8>>> {
    let mut found = Vec::new();
    let mut missing = Vec::new();
    for path in paths {
        match fs::read_if_there(&project.join(path))? {
            Some(content) => found.push(content),
            None => {
                let hint =
                    "correct the path in the environment file, relative to the project, or add the file";
                missing.push(Problem::new("missing", path, "does not exist", hint));
            }
        }
    }
    if missing.is_empty() { Ok(found) } else { Err(Fail::problems("policy documents are missing", missing)) }
}

fn read_folder(folder: &Path, prefix: &str, found: &mut BTreeMap<String, Vec<u8>>) -> Result<()> {
    for path in fs::list(folder)? {
        let name = path.file_name().and_then(|name| name.to_str());
        let Some(name) = name.filter(|name| !name.starts_with('.')) else { continue };
        if path.is_dir() && !path.is_symlink() {
            read_folder(&path, &format!("{prefix}{name}/"), found)?;
        } else if path.extension().is_some_and(|extension| extension == "yaml") && path.is_file() {
            found.insert(format!("{prefix}{name}"), fs::read(&path)?);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn additional_templates_and_policies_are_read_or_missed() {
        let project = fs::scratch_dir(&std::env::temp_dir()).unwrap();
        fs::write(&project.path().join("stacks/lake.yaml"), b"x").unwrap();
        let found = additional(project.path(), "stacks", "additional/").unwrap();
        assert_eq!(
            found.into_iter().collect::<Vec<_>>(),
            [("additional/lake.yaml".to_owned(), b"x".to_vec())]
        );
        let fail = additional(project.path(), "nowhere", "additional/").unwrap_err();
        assert_eq!(fail.all_problems()[0].location, "nowhere");
        let paths = ["stacks/lake.yaml", "a.json", "b.json"].map(str::to_owned);
        assert_eq!(policies(project.path(), &paths).unwrap_err().all_problems().len(), 2);
        assert_eq!(policies(project.path(), &paths[..1]).unwrap(), [b"x"]);
    }

    #[test]
    fn templates_are_found_at_any_depth_and_nothing_else() {
        let project = fs::scratch_dir(&std::env::temp_dir()).unwrap();
        let write = |path: &str| fs::write(&project.path().join(path), path.as_bytes()).unwrap();
        let paths = [
            "templates/a.yaml",
            "templates/x/b.yaml",
            "templates/README.md",
            "templates/.git/c.yaml",
            "d.yaml",
        ];
        paths.iter().for_each(|path| write(path));
        let found = read(project.path()).unwrap();
        assert_eq!(found.keys().collect::<Vec<_>>(), ["a.yaml", "x/b.yaml"]);
        assert_eq!(found["x/b.yaml"], b"templates/x/b.yaml");
        assert!(read(&project.path().join("nowhere")).unwrap().is_empty());
    }
}
