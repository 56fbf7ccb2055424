//! Reads the templates of the project; which of them matter is decided by `plan::templates`.

use crate::doors::fs;
use crate::fail::Result;
use std::collections::BTreeMap;
use std::path::Path;

/// Every `*.yaml` below `<project>/templates/`, hidden folders left out: path relative to it, with
/// `/`, and content. They are few and small, so all are read: finding the reachable ones first would
/// take a parse between two reads. No such folder reads as no templates.
pub fn read(project: &Path) -> Result<BTreeMap<String, Vec<u8>>> {
    let mut found = BTreeMap::new();
    read_folder(&project.join("templates"), "", &mut found)?;
    Ok(found)
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
