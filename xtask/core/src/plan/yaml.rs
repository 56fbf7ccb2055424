//! A CloudFormation template as a tree that remembers where in the source each node stands.
//!
//! Tags are kept as words and mean nothing here; aliases are not followed, since CloudFormation
//! refuses them anyway.

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span};
use std::ops::Range;

/// Deeper than any template; keeps hostile input from exhausting the stack.
const DEPTH: usize = 200;

#[derive(Clone, Debug)]
pub struct Node {
    /// 1 for the first line.
    pub line: usize,
    pub tag: Option<String>,
    pub kind: Kind,
    /// In characters, as the parser counts. Its ends take in white space, so they are not kept.
    start: usize,
}

#[derive(Clone, Debug)]
pub enum Kind {
    Scalar { text: String, style: ScalarStyle },
    Sequence(Vec<Node>),
    Mapping(Vec<(Node, Node)>),
    Alias,
}

/// The source is not YAML.
#[derive(Debug, PartialEq, Eq)]
pub struct NotYaml {
    pub line: usize,
    pub message: String,
}

/// The one document in `source`.
pub fn parse(source: &str) -> Result<Node, NotYaml> {
    let mut builder = Builder::default();
    let mut parser = Parser::new_from_str(source);
    while let Some(event) = parser.next_event() {
        let (event, span) = event.map_err(|error| not_yaml(&error))?;
        builder.take(event, span)?;
    }
    builder.root.ok_or_else(|| NotYaml { line: 1, message: "the file is empty".to_owned() })
}

fn not_yaml(error: &ScanError) -> NotYaml {
    NotYaml { line: error.marker().line(), message: error.info().to_owned() }
}

/// Collects nodes; `open` are the sequences and mappings that have not ended yet.
#[derive(Default)]
struct Builder {
    open: Vec<Open>,
    root: Option<Node>,
}

struct Open {
    node: Node,
    /// The key of a mapping whose value is still to come.
    key: Option<Node>,
}

impl Builder {
    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), NotYaml> {
        let line = span.start.line();
        let at = |kind, tag: Option<String>| Node { line, tag, kind, start: span.start.index() };
        match event {
            Event::DocumentStart(_) if self.root.is_some() => {
                let message = "a second document begins; a template is one document".to_owned();
                return Err(NotYaml { line, message });
            }
            Event::Scalar(text, style, _, tag) => {
                let kind = Kind::Scalar { text: text.into_owned(), style };
                self.put(at(kind, tag.map(|tag| tag.to_string())));
            }
            Event::Alias(_) => self.put(at(Kind::Alias, None)),
            Event::SequenceStart(_, tag) => {
                self.open(at(Kind::Sequence(Vec::new()), tag.map(|tag| tag.to_string())))?;
            }
            Event::MappingStart(_, tag) => {
                self.open(at(Kind::Mapping(Vec::new()), tag.map(|tag| tag.to_string())))?;
            }
            Event::SequenceEnd | Event::MappingEnd => {
                if let Some(ended) = self.open.pop() {
                    self.put(ended.node);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn open(&mut self, node: Node) -> Result<(), NotYaml> {
        if self.open.len() == DEPTH {
            return Err(NotYaml { line: node.line, message: format!("more than {DEPTH} levels deep") });
        }
        self.open.push(Open { node, key: None });
        Ok(())
    }

    fn put(&mut self, node: Node) {
        let Some(parent) = self.open.last_mut() else {
            self.root = Some(node);
            return;
        };
        match &mut parent.node.kind {
            Kind::Sequence(items) => items.push(node),
            Kind::Mapping(entries) => match parent.key.take() {
                None => parent.key = Some(node),
                Some(key) => entries.push((key, node)),
            },
            Kind::Scalar { .. } | Kind::Alias => {}
        }
    }
}

impl Node {
    /// The value under `key`, where this is a mapping that has it.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Node> {
        let found = self.entries().iter().find(|(name, _)| name.text() == Some(key));
        found.map(|(_, value)| value)
    }

    /// Keys and values; none if this is not a mapping.
    #[must_use]
    pub fn entries(&self) -> &[(Node, Node)] {
        match &self.kind {
            Kind::Mapping(entries) => entries,
            _ => &[],
        }
    }

    /// The text of a scalar without a tag.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match &self.kind {
            Kind::Scalar { text, .. } if self.tag.is_none() => Some(text),
            _ => None,
        }
    }

    /// Where a scalar stands in `source`, in bytes, with its quotes; none if it is not written there as it
    /// is read: over several lines, or with escapes.
    #[must_use]
    pub fn span(&self, source: &str) -> Option<Range<usize>> {
        let Kind::Scalar { text, style } = &self.kind else { return None };
        let quote = match style {
            ScalarStyle::Plain => "",
            ScalarStyle::SingleQuoted => "'",
            ScalarStyle::DoubleQuoted => "\"",
            ScalarStyle::Literal | ScalarStyle::Folded => return None,
        };
        let start = byte(source, self.start)?;
        let as_read = source.get(start..)?.strip_prefix(quote)?.strip_prefix(text)?.starts_with(quote);
        as_read.then_some(start..start + text.len() + 2 * quote.len())
    }

    /// Whether both say the same. Comments, blank lines and the kind of quotes count for nothing;
    /// quoted or not does, since `"1"` and `1` are different things.
    #[must_use]
    pub fn means_the_same(&self, other: &Node) -> bool {
        let plain = |style: &ScalarStyle| *style == ScalarStyle::Plain;
        self.tag == other.tag
            && match (&self.kind, &other.kind) {
                (Kind::Scalar { text: a, style: s }, Kind::Scalar { text: b, style: t }) => {
                    a == b && plain(s) == plain(t)
                }
                (Kind::Sequence(a), Kind::Sequence(b)) => {
                    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.means_the_same(b))
                }
                (Kind::Mapping(a), Kind::Mapping(b)) => {
                    let same = |(a, b): (&(Node, Node), &(Node, Node))| {
                        a.0.means_the_same(&b.0) && a.1.means_the_same(&b.1)
                    };
                    a.len() == b.len() && a.iter().zip(b).all(same)
                }
                _ => false,
            }
    }
}

fn byte(source: &str, character: usize) -> Option<usize> {
    if source.is_ascii() {
        return Some(character);
    }
    let ends = std::iter::once(source.len());
    source.char_indices().map(|(byte, _)| byte).chain(ends).nth(character)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span<'a>(source: &'a str, key: &str) -> Option<&'a str> {
        let node = parse(source).unwrap();
        node.get(key).unwrap().span(source).map(|span| &source[span])
    }

    #[test]
    fn spans_are_found_behind_wide_characters_and_any_line_ends() {
        for source in [
            "# Größe → 日本\nkey: a.yaml # ü\n",
            "k: 'ä'\r\nkey:   a.yaml\r\n",
            "key: 'a.yaml'",
            "{é: 1, \"key\": \"a.yaml\"}",
            "\u{feff}key: a.yaml\n",
            "key:\n    a.yaml\nother: 1\n",
        ] {
            let found = span(source, "key").map(|text| text.trim_matches(['\'', '"']));
            assert_eq!(found, Some("a.yaml"), "{source:?}");
        }
    }

    #[test]
    fn scalars_over_several_lines_or_with_escapes_have_no_span() {
        for source in ["key: a\n  b\n", "key: |\n  a.yaml\n", "key: \"a\\u002eyaml\"", "key: 'a''b'"] {
            assert_eq!(span(source, "key"), None, "{source:?}");
        }
    }

    #[test]
    fn comments_and_quotes_do_not_change_the_meaning_but_order_tags_and_values_do() {
        let same = |a: &str, b: &str| parse(a).unwrap().means_the_same(&parse(b).unwrap());
        assert!(same("a: 'x' # c\nb: [1, 2]", "# d\na: \"x\"\n\nb:\n - 1\n - 2\n"));
        assert!(!same("a: '1'", "a: 1"));
        assert!(!same("a: !Ref x", "a: !Sub x"));
        assert!(!same("a: 1\nb: 2", "b: 2\na: 1"));
        assert!(!same("a: 1", "a: 1\nb: 2"));
    }

    #[test]
    fn what_is_no_template_is_told_with_its_line() {
        assert_eq!(parse("a: 1\nb: [").unwrap_err().line, 3);
        assert_eq!(parse("").unwrap_err().message, "the file is empty");
        assert_eq!(parse("a: 1\n---\nb: 2\n").unwrap_err().line, 2);
        assert!(parse(&"[".repeat(100_000)).is_err());
        assert!(parse(&"- ".repeat(100_000)).unwrap_err().message.contains("levels deep"));
    }
}
