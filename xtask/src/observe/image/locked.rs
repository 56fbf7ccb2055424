//! Locked packages as text, entry by entry: those to compile, and wheels in place of them.

use crate::config::Distribution;
use crate::model::digest::Digest;
use std::path::Path;

/// A wheel that was made here.
pub struct Wheel<'w> {
    pub package: &'w Distribution,
    pub file: &'w Path,
    pub digest: Digest,
}

/// The lines of each package, without comments. One with several versions, for several versions of Python, has several.
fn entries(lock: &str) -> Vec<Vec<&str>> {
    let mut entries: Vec<Vec<&str>> = Vec::new();
    for line in lock.lines().filter(|line| !line.trim_start().starts_with('#') && !line.trim().is_empty()) {
        match entries.last_mut() {
            Some(entry) if line.starts_with(' ') => entry.push(line),
            _ => entries.push(vec![line]),
        }
    }
    entries
}

fn is_of(entry: &[&str], package: &Distribution) -> bool {
    entry[0].split_once("==").is_some_and(|(name, _)| {
        Distribution::parse(name.split('[').next().unwrap_or_default()).as_ref() == Ok(package)
    })
}

/// What the lock says of a package; nothing if it has none of that name.
pub fn of(lock: &str, package: &Distribution) -> String {
    let entries = entries(lock);
    entries
        .iter()
        .filter(|entry| is_of(entry, package))
        .map(|entry| format!("{}\n", entry.join("\n")))
        .collect()
}

/// The lock with wheels in place of what is locked under their names.
pub fn replaced(lock: &str, wheels: &[Wheel]) -> String {
    let mut text = String::new();
    for entry in entries(lock) {
        if !wheels.iter().any(|wheel| is_of(&entry, wheel.package)) {
            text.push_str(&format!("{}\n", entry.join("\n")));
        }
    }
    let named = |wheel: &&Wheel| !of(lock, wheel.package).is_empty();
    for Wheel { package, file, digest } in wheels.iter().filter(named) {
        text.push_str(&format!("{package} @ file://{} --hash=sha256:{digest}\n", escaped(file)));
    }
    text
}

/// As a URL has it (<https://www.rfc-editor.org/rfc/rfc3986#section-2.3>).
fn escaped(path: &Path) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
    let bytes = path.as_os_str().as_encoded_bytes().iter();
    bytes
        .map(|&byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCK: &str = "# by uv\na-b==1 ; python_version < '3.11' \\\n    --hash=sha256:00\n    # via c\n\
                        a-b==2 ; python_version >= '3.11' \\\n    --hash=sha256:01 \\\n    --hash=sha256:02\n\
                        a-b-c[x]==3 \\\n    --hash=sha256:03\n";

    fn named(name: &str) -> Distribution {
        Distribution::parse(name).unwrap()
    }

    #[test]
    fn every_version_of_a_package_is_found_without_comments() {
        let expected = "a-b==1 ; python_version < '3.11' \\\n    --hash=sha256:00\n\
                        a-b==2 ; python_version >= '3.11' \\\n    --hash=sha256:01 \\\n    --hash=sha256:02\n";
        assert_eq!(of(LOCK, &named("A_B")), expected);
        assert_eq!(of(LOCK, &named("a-b-c")), "a-b-c[x]==3 \\\n    --hash=sha256:03\n");
        assert_eq!(of(LOCK, &named("a")), "");
    }

    #[test]
    fn a_wheel_takes_the_place_of_every_version() {
        let (package, other) = (named("a-b"), named("z"));
        let digest = Digest::of(b"wheel");
        let file = Path::new("/my work/a b%.whl");
        let wheels = [&package, &other].map(|package| Wheel { package, file, digest });
        let expected = format!(
            "a-b-c[x]==3 \\\n    --hash=sha256:03\na-b @ file:///my%20work/a%20b%25.whl --hash=sha256:{digest}\n"
        );
        assert_eq!(replaced(LOCK, &wheels), expected);
    }
}
