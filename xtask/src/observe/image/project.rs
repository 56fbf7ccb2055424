//! The layer of this project: its package, plugins and configuration, where hosts have them too.

use crate::doors::archive::layer::{Content, Member};
use crate::doors::archive::{Entry, Mode};
use crate::fail::{Fail, Problem, Result};
use crate::model::image::places;
use crate::observe::host_revision;
use crate::observe::tree::{self, Content as Whose, Modes, Source};
use std::collections::BTreeMap;
use std::path::Path;

/// Which plugin of Airflow our package is.
const ENTRY_POINT: Source<'_> = Source {
    folder: "airflow/host/ductwork.dist-info",
    prefix: "ductwork.dist-info/",
    modes: Modes::Plain,
    content: Whose::Runtime,
};

/// The files of the layer, sorted.
///
/// # Errors
/// All that is missing or cannot be packed, together.
pub fn members(root: &Path) -> Result<Vec<Member>> {
    let mut problems: Vec<Problem> = Vec::new();
    let mut entries = host_revision::code(root, &mut problems);
    entries.extend(tree::read(root, &[ENTRY_POINT], &mut problems));
    if !problems.is_empty() {
        problems.extend(tree::unreadable(root, &entries));
        return Err(Fail::problems("cannot make the image", problems));
    }
    let files = entries.into_iter().map(|Entry { name, source, stat, mode }| {
        Member::file(format!("{}/{name}", places::REVISION), source, stat, mode == Mode::Program)
    });
    Ok(with_folders(files.chain(writable()).collect()))
}

/// What the component, which is not root, writes to. A volume may lie over each of them.
fn writable() -> impl Iterator<Item = Member> {
    let folder = |name: &str| Member { owner: places::OWNER, mode: 0o775, ..Member::folder(name) };
    places::WRITABLE.into_iter().map(folder)
}

/// Adds the folders that the files are in, below those that every base has.
pub(super) fn with_folders(members: Vec<Member>) -> Vec<Member> {
    let mut all: BTreeMap<String, Member> = BTreeMap::new();
    for member in members {
        let above = member.name.match_indices('/').map(|(at, _)| member.name[..at].to_owned());
        for folder in above.filter(|folder| folder.starts_with(places::HOME)).collect::<Vec<_>>() {
            all.entry(folder.clone()).or_insert_with(|| Member::folder(folder));
        }
        if member.content == Content::Folder {
            all.insert(member.name.clone(), member);
        } else {
            all.entry(member.name.clone()).or_insert(member);
        }
    }
    all.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_folder_of_ours_is_there_once_and_before_what_is_in_it() {
        let file = |name: &str| Member::bytes(name, "x", false);
        let made = with_folders(vec![
            file("opt/ductwork/revision/a/b.py"),
            file("opt/ductwork/revision/a-c.py"),
            file("var/x"),
        ]);
        let names: Vec<&str> = made.iter().map(|member| member.name.as_str()).collect();
        let expected = [
            "opt/ductwork",
            "opt/ductwork/revision",
            "opt/ductwork/revision/a",
            "opt/ductwork/revision/a-c.py",
            "opt/ductwork/revision/a/b.py",
            "var/x",
        ];
        assert_eq!(names, expected);
    }
}
