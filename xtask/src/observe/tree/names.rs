//! Which names can be packed: those that every zip reader and every file system takes as they are.

use super::Walk;
use std::ffi::OsStr;
use std::path::Path;

/// The name as text, or a problem.
///
/// Hosts run Linux, so `:` and the like are fine. A backslash is a separator to half of all zip
/// readers, and a control character breaks log lines and terminals.
pub(super) fn checked<'n>(walk: &mut Walk<'_>, path: &Path, name: &'n OsStr) -> Option<&'n str> {
    let Some(text) = name.to_str() else {
        let cure = format!("rename it: mv -- \"$(printf '{}')\" new-name", octal(name.as_encoded_bytes()));
        walk.problem(path, "not_utf8", "has a name that is not UTF-8", cure);
        return None;
    };
    let what = match text.chars().find(|c| *c == '\\' || c.is_control()) {
        None => return Some(text),
        Some('\\') => "a backslash, which zip readers take for a folder separator",
        Some(_) => "a control character",
    };
    walk.problem(path, "not_portable", format!("has a name with {what}"), "rename it");
    None
}

/// For `printf`: the one way to type such a name.
fn octal(bytes: &[u8]) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    let one = |byte: &u8| if plain(*byte) { char::from(*byte).to_string() } else { format!("\\{byte:03o}") };
    bytes.iter().map(one).collect()
}
