//! A Rust file as far as the checks need it: its tokens without comments, texts and tests, and the paths in it.

use proc_macro2::{Delimiter, Group, Spacing, TokenStream, TokenTree};

/// A file below a `src` and where it stands there, such as `config/file.rs`.
pub struct Source {
    pub path: String,
    /// As it is.
    pub text: String,
    /// Names, `::`, brackets and single other characters; none of a file that is for tests alone.
    pub tokens: Vec<Token>,
    /// Texts outside tests, without their quotes.
    pub texts: Vec<String>,
    /// Lines of test modules.
    test_lines: usize,
}

pub struct Token {
    pub line: usize,
    pub text: String,
}

impl Source {
    pub fn new(path: &str, text: &str) -> Self {
        let (tokens, texts) = (Vec::new(), Vec::new());
        let mut source = Self { path: path.to_owned(), text: text.to_owned(), tokens, texts, test_lines: 0 };
        if is_test_file(path) {
            source.test_lines = text.lines().count();
        } else {
            source.read(text.parse().unwrap_or_else(|error| panic!("{path}: {error}")));
        }
        source
    }

    /// The first part of the path: `config`, `plan`, or the name of a file beside `lib.rs`.
    pub fn layer(&self) -> &str {
        self.path.split('/').next().unwrap_or_default().trim_end_matches(".rs")
    }

    /// Lines that are not tests.
    pub fn length(&self) -> usize {
        self.text.lines().count() - self.test_lines
    }

    /// The module that the file is, such as `["config", "file"]`.
    fn module(&self) -> Vec<String> {
        let parts = self.path.trim_end_matches(".rs").split('/').map(str::to_owned);
        parts.filter(|part| !matches!(part.as_str(), "mod" | "lib" | "main")).collect()
    }

    fn read(&mut self, stream: TokenStream) {
        let mut trees = stream.into_iter().peekable();
        let mut for_tests = false;
        while let Some(tree) = trees.next() {
            match tree {
                TokenTree::Group(group) if for_tests && group.delimiter() == Delimiter::Brace => {
                    let span = group.span();
                    self.test_lines += span.end().line - span.start().line + 1;
                    for_tests = false;
                }
                TokenTree::Group(group) => {
                    for_tests |= group.stream().to_string() == "cfg (test)";
                    self.enter(&group);
                }
                TokenTree::Punct(mark) => {
                    for_tests &= mark.as_char() != ';';
                    let double = mark.as_char() == ':' && mark.spacing() == Spacing::Joint;
                    if double {
                        trees.next();
                    }
                    let text = if double { "::".to_owned() } else { mark.to_string() };
                    self.push(mark.span().start().line, text);
                }
                TokenTree::Ident(name) => self.push(name.span().start().line, name.to_string()),
                TokenTree::Literal(literal) => {
                    let literal = literal.to_string();
                    self.texts
                        .extend(literal.strip_prefix('"').map(|rest| rest.trim_end_matches('"').to_owned()));
                }
            }
        }
    }

    fn enter(&mut self, group: &Group) {
        let (open, close) = match group.delimiter() {
            Delimiter::Brace => ("{", "}"),
            Delimiter::Bracket => ("[", "]"),
            Delimiter::Parenthesis => ("(", ")"),
            Delimiter::None => return self.read(group.stream()),
        };
        self.push(group.span_open().start().line, open.to_owned());
        self.read(group.stream());
        self.push(group.span_close().start().line, close.to_owned());
    }

    fn push(&mut self, line: usize, text: String) {
        self.tokens.push(Token { line, text });
    }

    /// Every path that begins with `crate`, `super` or `self`, in full from the crate's root, and its line.
    pub fn paths(&self) -> Vec<(usize, Vec<String>)> {
        let tokens = &self.tokens;
        let mut found = Vec::new();
        let mut at = 0;
        while at < tokens.len() {
            let begins = matches!(tokens[at].text.as_str(), "crate" | "super" | "self");
            let follows = at > 0 && tokens[at - 1].text == "::";
            if begins && !follows && tokens.get(at + 1).is_some_and(|token| token.text == "::") {
                let line = tokens[at].line;
                let mut paths = Vec::new();
                at = expand(tokens, at, &mut Vec::new(), &mut paths);
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

/// Follows one path, and every branch of its groups; gives the position behind it.
fn expand(tokens: &[Token], mut at: usize, prefix: &mut Vec<String>, found: &mut Vec<Vec<String>>) -> usize {
    let text = |at: usize| tokens.get(at).map(|token| token.text.as_str());
    let depth = prefix.len();
    loop {
        match text(at) {
            Some("{") => {
                at += 1;
                while text(at).is_some_and(|token| token != "}") {
                    at = if text(at) == Some(",") { at + 1 } else { expand(tokens, at, prefix, found) };
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
        if text(at) != Some("::") {
            found.push(prefix.clone());
            // `as name` belongs to the path.
            if text(at) == Some("as") {
                at += 2;
            }
            break;
        }
        at += 1;
    }
    prefix.truncate(depth);
    at
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
