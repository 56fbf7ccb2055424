//! A Rust file as far as the checks need it: its code without comments, texts and tests, and the paths in it.

/// A file of `xtask/src` and where it stands there, such as `config/file.rs`.
pub struct Source {
    pub path: String,
    /// As it is.
    pub text: String,
    /// Line by line the same, with comments, the inside of texts and test modules blanked out.
    pub code: String,
}

impl Source {
    pub fn new(path: &str, text: &str) -> Self {
        let code = if is_test_file(path) { String::new() } else { without_tests(&without_words(text)) };
        Self { path: path.to_owned(), text: text.to_owned(), code }
    }

    /// The first part of the path: `config`, `plan`, or the name of a file beside `lib.rs`.
    pub fn layer(&self) -> &str {
        self.path.split('/').next().unwrap_or_default().trim_end_matches(".rs")
    }

    /// Lines that are not tests.
    pub fn length(&self) -> usize {
        if self.code.is_empty() {
            return 0;
        }
        let blanked = self.text.lines().zip(self.code.lines());
        let in_tests = blanked.filter(|(_, code)| code.starts_with('\u{1}')).count();
        self.text.lines().count() - in_tests
    }

    /// The module that the file is, such as `["config", "file"]`.
    fn module(&self) -> Vec<String> {
        let parts = self.path.trim_end_matches(".rs").split('/').map(str::to_owned);
        parts.filter(|part| !matches!(part.as_str(), "mod" | "lib" | "main")).collect()
    }

    /// Every path that begins with `crate`, `super` or `self`, in full from the crate's root, and its line.
    pub fn paths(&self) -> Vec<(usize, Vec<String>)> {
        let tokens = tokens(&self.code);
        let mut found = Vec::new();
        let mut at = 0;
        while at < tokens.len() {
            let begins = matches!(tokens[at].1.as_str(), "crate" | "super" | "self");
            let follows = at > 0 && tokens[at - 1].1 == "::";
            if begins && !follows && tokens.get(at + 1).is_some_and(|token| token.1 == "::") {
                let line = tokens[at].0;
                let mut paths = Vec::new();
                at = expand(&tokens, at, &mut Vec::new(), &mut paths);
                found.extend(paths.into_iter().map(|path| (line, self.absolute(&path))));
            } else {
                at += 1;
            }
        }
        found
    }

    fn absolute(&self, path: &[String]) -> Vec<String> {
        let mut full = if path[0] == "crate" { Vec::new() } else { self.module() };
        for part in path {
            match part.as_str() {
                "crate" | "self" => {}
                "super" => drop(full.pop()),
                name => full.push(name.to_owned()),
            }
        }
        full
    }
}

/// Modules for tests alone, by the names that this crate gives them.
fn is_test_file(path: &str) -> bool {
    path.ends_with("/tests.rs") || path.ends_with("_tests.rs")
}

/// Follows one path, and every branch of its groups; gives the place behind it.
fn expand(
    tokens: &[(usize, String)],
    mut at: usize,
    prefix: &mut Vec<String>,
    found: &mut Vec<Vec<String>>,
) -> usize {
    let depth = prefix.len();
    loop {
        match tokens.get(at).map(|token| token.1.as_str()) {
            Some("{") => {
                at += 1;
                while tokens.get(at).is_some_and(|token| token.1 != "}") {
                    at = if tokens[at].1 == "," { at + 1 } else { expand(tokens, at, prefix, found) };
                }
                at += 1;
                break;
            }
            Some(name) => {
                prefix.push(name.to_owned());
                at += 1;
            }
            None => break,
        }
        if tokens.get(at).is_none_or(|token| token.1 != "::") {
            found.push(prefix.clone());
            // `as name` belongs to the path.
            if tokens.get(at).is_some_and(|token| token.1 == "as") {
                at += 2;
            }
            break;
        }
        at += 1;
    }
    prefix.truncate(depth);
    at
}

/// Names, `::` and single other characters, with their lines.
fn tokens(code: &str) -> Vec<(usize, String)> {
    let mut tokens: Vec<(usize, String)> = Vec::new();
    for (number, line) in code.lines().enumerate() {
        let mut rest = line.trim_start_matches('\u{1}');
        while let Some(first) = rest.chars().next() {
            let name = |c: char| c.is_alphanumeric() || c == '_';
            let length = match first {
                _ if name(first) => rest.find(|c| !name(c)).unwrap_or(rest.len()),
                _ if rest.starts_with("::") => 2,
                _ => first.len_utf8(),
            };
            let (token, behind) = rest.split_at(length);
            if !token.trim().is_empty() {
                tokens.push((number + 1, token.to_owned()));
            }
            rest = behind;
        }
    }
    tokens
}

/// Blanks out comments and the inside of texts.
fn without_words(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = word(rest);
        let (taken, behind) = rest.split_at(length.unwrap_or(first.len_utf8()));
        match length {
            Some(_) => out.extend(taken.chars().map(|c| if c == '\n' { c } else { ' ' })),
            None => out.push_str(taken),
        }
        rest = behind;
    }
    out
}

/// How long the comment, text or character is that `rest` begins with, if it does.
fn word(rest: &str) -> Option<usize> {
    let until =
        |end: &str, from: usize| rest[from..].find(end).map_or(rest.len(), |at| from + at + end.len());
    if rest.starts_with("//") {
        return Some(rest.find('\n').unwrap_or(rest.len()));
    }
    if rest.starts_with("/*") {
        return Some(until("*/", 2));
    }
    for start in ["r\"", "r#\"", "r##\"", "br\"", "br#\""] {
        if rest.starts_with(start) {
            let marks = start.matches('#').count();
            return Some(until(&format!("\"{}", "#".repeat(marks)), start.len()));
        }
    }
    if let Some(inside) = rest.strip_prefix('"') {
        return Some(1 + quoted(inside, '"'));
    }
    // A character, not a lifetime.
    let mut inside = rest.strip_prefix('\'')?.chars();
    match (inside.next()?, inside.next()?) {
        ('\\', _) => Some(1 + quoted(&rest[1..], '\'')),
        (c, '\'') => Some(2 + c.len_utf8()),
        _ => None,
    }
}

/// The length up to and with the closing mark.
fn quoted(rest: &str, mark: char) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if c == mark => return at + c.len_utf8(),
            _ => {}
        }
    }
    rest.len()
}

/// Blanks out `#[cfg(test)] mod … { … }`, with a mark at the beginning of each line that goes.
fn without_tests(code: &str) -> String {
    let mut out = Vec::new();
    let mut attribute = false;
    let mut depth: Option<i32> = None;
    for line in code.lines() {
        let opens = attribute && line.trim_start().starts_with("mod ") && line.contains('{');
        attribute = line.trim() == "#[cfg(test)]" || (attribute && line.trim().is_empty());
        if opens {
            depth = Some(0);
        }
        let Some(level) = &mut depth else {
            out.push(line.to_owned());
            continue;
        };
        *level += i32::try_from(line.matches('{').count()).unwrap()
            - i32::try_from(line.matches('}').count()).unwrap();
        if *level <= 0 {
            depth = None;
        }
        out.push("\u{1}".to_owned());
    }
    out.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(path: &str, text: &str) -> Vec<String> {
        Source::new(path, text)
            .paths()
            .into_iter()
            .map(|(line, path)| format!("{line} {}", path.join("::")))
            .collect()
    }

    #[test]
    fn paths_of_every_shape() {
        let text = "\
use crate::doors::fs;
pub use crate::{model::{digest, names as n}, plan::*};
fn f() -> crate::fail::Result<()> { super::super::apply::go(self.x) }
pub(crate) struct S;
use super::file::{self, File};
";
        let expected = [
            "1 doors::fs",
            "2 model::digest",
            "2 model::names",
            "2 plan::*",
            "3 fail::Result",
            "3 apply::go",
            "5 config::file",
            "5 config::file::File",
        ];
        assert_eq!(paths("config/resolve.rs", text), expected);
    }

    #[test]
    fn words_and_tests_do_not_count() {
        let text = "\
// crate::a
/* crate::b */ const X: &str = \"crate::c \\\" crate::d\";
const Y: &str = r#\"crate::e \" crate::f\"#;
const Z: (char, char) = ('\"', '\\''); fn life<'a>(x: &'a str) {}
use crate::g;
#[cfg(test)]
mod tests {
    use crate::h;
}
use crate::i;
";
        assert_eq!(paths("plan/x.rs", text), ["5 g", "10 i"]);
        assert_eq!(Source::new("plan/x.rs", text).length(), 7);
        assert_eq!(paths("plan/x_tests.rs", "use crate::h;"), [""; 0]);
    }
}
