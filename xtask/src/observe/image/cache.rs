//! What is kept in `.ductwork/cache/image`: the layers of the latest locks, and of the latest changes of the project.

use super::packages::Installed;
use crate::doors::{fs, stat::Stat};
use std::path::{Path, PathBuf};

/// Layers of packages, each of a lock and an architecture: some 150 MB.
const LOCKS: usize = 4;
/// Layers of the project and documents about bases: some KB.
const SMALL: usize = 60;

/// Removes the rest. Failing to tidy up is not an error.
pub fn prune(cache: &Path) {
    let records = newest(&cache.join("packages"), |path| path.extension().is_some_and(|end| end == "json"));
    let layer = |path: &PathBuf| {
        let bytes = fs::read_if_there(path).ok()??;
        let installed: Installed = serde_json::from_slice(&bytes).ok()?;
        Some(installed.layer.digest.to_string())
    };
    let kept: Vec<String> = records.iter().take(LOCKS).filter_map(layer).collect();
    for record in records.into_iter().skip(LOCKS) {
        let _ = fs::remove(&record);
        let _ = fs::remove(&record.with_extension("lock"));
    }
    for old in newest(&cache.join("wheels"), Path::is_dir).into_iter().skip(LOCKS) {
        let _ = fs::remove(&old);
        let _ = fs::remove(&old.with_extension("lock"));
    }
    let is_kept = |path: &Path| path.file_name().is_some_and(|name| kept.iter().any(|kept| **kept == *name));
    for old in newest(&cache.join("blobs"), |path| !is_kept(path)).into_iter().skip(SMALL) {
        let _ = fs::remove(&old);
    }
    for old in newest(&cache.join("unpacked"), |path| !is_kept(path)) {
        let _ = fs::remove(&old);
    }
}

/// The files of a folder that `wanted` likes, the newest first.
fn newest(folder: &Path, wanted: impl Fn(&Path) -> bool) -> Vec<PathBuf> {
    let mut paths = fs::list(folder).unwrap_or_default();
    paths.retain(|path| wanted(path));
    let age = |path: &PathBuf| path.symlink_metadata().ok().map(|meta| Stat::of(&meta).modified);
    paths.sort_by_key(|path| std::cmp::Reverse(age(path)));
    paths
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::digest::Digest;
    use crate::model::image::Layer;

    fn count(folder: &Path) -> usize {
        fs::list(folder).unwrap().len()
    }

    #[test]
    fn the_latest_layers_stay_and_their_environments_with_them() {
        let scratch = tempfile::tempdir().unwrap();
        let cache = scratch.path();
        let blob = |digest: &Digest| cache.join("blobs").join(digest.to_string());
        for number in 0..u64::try_from(LOCKS).unwrap() + 2 {
            let digest = Digest::of(&number.to_le_bytes());
            let layer = Layer { digest, content: digest, size: 1 };
            let record = serde_json::to_vec(&Installed { layer, packages: Vec::new() }).unwrap();
            fs::write(&cache.join(format!("packages/{number}.json")), &record).unwrap();
            fs::write(&blob(&digest), b"x").unwrap();
            fs::write(&cache.join("unpacked").join(digest.to_string()).join("file"), b"x").unwrap();
            fs::write(&cache.join(format!("wheels/{number}/a.whl")), b"x").unwrap();
            fs::write(&cache.join(format!("wheels/{number}.lock")), b"").unwrap();
            // Files of the same tick would be in no order.
            let time = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(number);
            let file = fs::open(&cache.join(format!("packages/{number}.json"))).unwrap();
            file.set_modified(time).unwrap();
            fs::open(&blob(&digest)).unwrap().set_modified(time).unwrap();
        }
        for number in 0..SMALL {
            fs::write(&blob(&Digest::of(format!("small {number}").as_bytes())), b"x").unwrap();
        }
        prune(cache);
        assert_eq!((count(&cache.join("packages")), count(&cache.join("unpacked"))), (LOCKS, LOCKS));
        assert_eq!(count(&cache.join("wheels")), 2 * LOCKS, "folders and the locks of them");
        assert_eq!(count(&cache.join("blobs")), LOCKS + SMALL);
        assert!(!fs::exists(&blob(&Digest::of(&0_u64.to_le_bytes()))), "the oldest goes first");
    }
}
