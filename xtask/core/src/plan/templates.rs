//! Nested templates named by content: children first, each parent after its children's URLs are in.
//!
//! In the source a nested stack says `TemplateURL: network.yaml`, relative to the file it stands in.
//! Packaged, that one scalar is the S3 URL of the child, whose key is the SHA-256 of the child's own
//! packaged text. So a change anywhere changes the digests of the file and of all its ancestors, and
//! nothing else; everything but that scalar stays byte for byte.
//!
//! The URL is an `Fn::Sub` of CloudFormation's pseudo parameters: the same text in every account and
//! region, so a template has one digest everywhere. Never reads or uploads a file.

use super::yaml::{self, Kind, Node};
use crate::fail::{Fail, Problem, Result};
use crate::model::digest::Digest;
use crate::model::names;
use crate::model::stack::STACK_TYPE;
use std::collections::{BTreeMap, BTreeSet};

/// The files below `templates/`: path relative to it, with `/`, and content.
pub type Sources = BTreeMap<String, Vec<u8>>;

/// One template as it is uploaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packaged {
    pub path: String,
    pub digest: Digest,
    pub body: String,
}

/// A root template and everything it refers to: each before those that refer to it, the root last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Package {
    children: Vec<Packaged>,
    root: Packaged,
}

impl Package {
    #[must_use]
    pub fn root(&self) -> &Packaged {
        &self.root
    }

    /// All templates, the root last.
    pub fn all(&self) -> impl Iterator<Item = &Packaged> {
        self.children.iter().chain([&self.root])
    }
}

/// The most that CloudFormation reads from S3, from its quotas page.
const LIMIT: usize = 1024 * 1024;

/// Packages `root` of `sources`. Every problem of every reachable template is told at once.
pub fn package(sources: &Sources, root: &str) -> Result<Package> {
    let mut packer = Packer { sources, done: Vec::new(), failed: BTreeSet::new(), problems: Vec::new() };
    packer.visit(root, &mut Vec::new());
    match packer.done.pop() {
        Some(root) if packer.problems.is_empty() => Ok(Package { children: packer.done, root }),
        _ if sources.contains_key(root) => {
            Err(Fail::problems("the templates cannot be packaged", packer.problems))
        }
        _ => {
            let file = format!("templates/{root}");
            let cure = format!("restore it, for instance: git checkout -- {file}");
            let problem = Problem::new("missing", &file, "does not exist", cure);
            Err(Fail::problems(format!("there is no `{file}`"), vec![problem]))
        }
    }
}

struct Packer<'a> {
    sources: &'a Sources,
    done: Vec<Packaged>,
    failed: BTreeSet<String>,
    problems: Vec<Problem>,
}

impl Packer<'_> {
    /// Packages `path` after its children; `above` are the templates being packaged just now.
    fn visit(&mut self, path: &str, above: &mut Vec<String>) {
        let seen = self.failed.contains(path) || self.done.iter().any(|done| done.path == path);
        if seen {
            return;
        }
        let before = self.problems.len();
        if let Some((text, references)) = self.read(path) {
            above.push(path.to_owned());
            for reference in &references {
                self.follow(path, reference, above);
            }
            above.pop();
            if self.problems.len() == before && self.finish(path, &text, &references) {
                return;
            }
        }
        self.failed.insert(path.to_owned());
    }

    /// The text of a template and its references to children.
    fn read(&mut self, path: &str) -> Option<(String, Vec<Reference>)> {
        let bytes = self.sources.get(path)?;
        if bytes.len() > LIMIT {
            self.too_large(path, bytes.len());
            return None;
        }
        let tree = parsed(path, bytes).map_err(|problem| self.problems.push(problem)).ok()?;
        let text = String::from_utf8_lossy(bytes).into_owned();
        let references = self.references(path, &text, &tree);
        Some((text, references))
    }

    fn references(&mut self, path: &str, text: &str, tree: &Node) -> Vec<Reference> {
        let mut stacks = Vec::new();
        if let Some(resources) = tree.get("Resources") {
            nested_stacks(resources, &mut stacks);
        }
        let mut references = Vec::new();
        for stack in stacks {
            match Reference::of(stack, text, path) {
                Ok(reference) => references.extend(reference),
                Err((line, message)) => {
                    let hint = "write the path of the child template, relative to this file";
                    self.problem("bad_template_url", path, line, message, hint);
                }
            }
        }
        references
    }

    fn follow(&mut self, from: &str, reference: &Reference, above: &mut Vec<String>) {
        let Some(child) = reference.child.as_deref() else {
            let message = format!("`{}` points outside `templates/`", reference.written);
            let hint = "keep every template below `templates/`";
            return self.problem("outside", from, reference.line, message, hint);
        };
        if let Some(at) = above.iter().position(|path| path == child) {
            let cycle = [&above[at..], &[child.to_owned()]].concat().join(" → ");
            let message = format!("the templates refer to each other in a circle: {cycle}");
            return self.problem(
                "circular",
                from,
                reference.line,
                message,
                "take one of these references out",
            );
        }
        if self.sources.contains_key(child) {
            self.visit(child, above);
        } else {
            let message = format!("there is no `templates/{child}`");
            self.problem("missing_child", from, reference.line, message, "correct the path, or add the file");
        }
    }

    /// Puts the children's URLs in; false if the result is too large.
    fn finish(&mut self, path: &str, text: &str, references: &[Reference]) -> bool {
        let mut body = text.to_owned();
        for reference in references.iter().rev() {
            let child = self.done.iter().find(|done| Some(&done.path) == reference.child.as_ref());
            let Some(child) = child else { return false };
            body.replace_range(reference.span.clone(), &names::child_url(&child.digest));
        }
        if body.len() > LIMIT {
            self.too_large(path, body.len());
            return false;
        }
        let digest = Digest::of(body.as_bytes());
        self.done.push(Packaged { path: path.to_owned(), digest, body });
        true
    }

    fn too_large(&mut self, path: &str, bytes: usize) {
        let message = format!("{bytes} bytes are more than the {LIMIT} that CloudFormation reads");
        self.problem("too_large", path, 0, message, "move a part of it to a nested template");
    }

    /// `line` 0 means the file as a whole.
    fn problem(&mut self, kind: &str, path: &str, line: usize, message: String, hint: &str) {
        self.problems.push(problem_at(kind, path, line, message, hint));
    }
}

/// A problem on a line of a template; line 0 stands for the whole file.
pub(super) fn problem_at(kind: &str, path: &str, line: usize, message: String, hint: &str) -> Problem {
    let place = match line {
        0 => format!("templates/{path}"),
        line => format!("templates/{path}:{line}"),
    };
    Problem::new(kind, place, message, hint)
}

/// The tree of a template, or why there is none.
pub(super) fn parsed(path: &str, bytes: &[u8]) -> std::result::Result<Node, Problem> {
    let text = std::str::from_utf8(bytes).map_err(|_| {
        problem_at("not_utf8", path, 0, "the file is not UTF-8".to_owned(), "save the file as UTF-8")
    })?;
    yaml::parse(text).map_err(|error| {
        let message = format!("not YAML: {}", error.message);
        problem_at("not_yaml", path, error.line, message, "correct the syntax on that line")
    })
}

/// A `TemplateURL` that names a child.
struct Reference {
    line: usize,
    /// As written in the source.
    written: String,
    /// Where it stands in the text, with its quotes.
    span: std::ops::Range<usize>,
    /// The path of the child, relative to `templates/`; none if it leads out.
    child: Option<String>,
}

impl Reference {
    /// The reference that the resource `stack` of the template `path` makes; nothing where it names
    /// its template by a URL; line and message where it makes no sense.
    fn of(stack: &Node, text: &str, path: &str) -> Result<Option<Self>, (usize, String)> {
        let properties = stack.get("Properties");
        let Some(node) = properties.and_then(|properties| properties.get("TemplateURL")) else {
            return Err((stack.line, "a nested stack without `TemplateURL`".to_owned()));
        };
        let Some(written) = node.text() else {
            return Err((node.line, "`TemplateURL` is not a plain string".to_owned()));
        };
        if written.starts_with("https://") || written.starts_with("http://") {
            return Ok(None);
        }
        if written.contains("://") {
            return Err((node.line, format!("`{written}` is neither a path nor an http(s) URL")));
        }
        let Some(span) = node.span(text) else {
            return Err((node.line, "`TemplateURL` is not a plain string on one line".to_owned()));
        };
        let reference =
            Self { line: node.line, written: written.to_owned(), span, child: resolve(path, written) };
        Ok(Some(reference))
    }
}

/// Every mapping below `node` that is a nested stack, in the order of the source; deep, since
/// `Fn::ForEach` hides resources in a list.
fn nested_stacks<'a>(node: &'a Node, found: &mut Vec<&'a Node>) {
    if node.get("Type").and_then(Node::text) == Some(STACK_TYPE) {
        found.push(node);
        return;
    }
    match &node.kind {
        Kind::Mapping(entries) => entries.iter().for_each(|(_, value)| nested_stacks(value, found)),
        Kind::Sequence(items) => items.iter().for_each(|item| nested_stacks(item, found)),
        Kind::Scalar { .. } | Kind::Alias => {}
    }
}

/// `written` in the file `from`, relative to `templates/`; none if it leads out.
pub(super) fn resolve(from: &str, written: &str) -> Option<String> {
    if written.starts_with('/') {
        return None;
    }
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in written.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// What a template asks for: its parameters, with the default where there is one.
pub type Parameters = BTreeMap<String, Option<String>>;

/// The parameters of a template. None of it is YAML: none of it is known, and AWS will say so.
#[must_use]
pub fn parameters(body: &str) -> Parameters {
    let Ok(tree) = yaml::parse(body) else { return Parameters::new() };
    let entries = tree.get("Parameters").map(Node::entries).unwrap_or_default();
    let parameter = |(name, value): &(Node, Node)| {
        let default = value.get("Default").and_then(Node::text).map(str::to_owned);
        Some((name.text()?.to_owned(), default))
    };
    entries.iter().filter_map(parameter).collect()
}

/// Whether two templates say the same. CloudFormation sees no change in a comment either.
#[must_use]
pub fn same(a: &str, b: &str) -> bool {
    let trees = || Some((yaml::parse(a).ok()?, yaml::parse(b).ok()?));
    a == b || trees().is_some_and(|(a, b)| a.means_the_same(&b))
}

#[cfg(test)]
#[path = "templates_tests.rs"]
mod tests;
