//! A template as the checks need it: its parameters, outputs and resources, short forms spelled out.

use regex::Regex;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use xtask::config::{Environment, resolve};
use xtask::observe;
use xtask::plan::yaml::{Kind, Node, parse};
use xtask::session::templates;

pub const FARGATE: &str = include_str!("fargate.toml");
pub const ECS_EC2: &str = include_str!("ecs-ec2.toml");
pub const MANAGED: &str = include_str!("managed.toml");
pub const ONLY_ECS: &str = include_str!("only-ecs.toml");
pub const PUBLIC: &str = include_str!("public.toml");

pub struct Template {
    /// Such as `network.yaml`.
    pub name: String,
    pub whole: Value,
}

/// A nested stack: where, which child, and what it is given.
pub struct Child<'t> {
    pub id: &'t str,
    /// Its path below `templates/`.
    pub template: String,
    pub given: &'t Map<String, Value>,
}

pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("templates")
}

/// All of `templates/` as they are written, by name.
pub fn written() -> BTreeMap<String, String> {
    let sources = observe::templates::read(folder().parent().unwrap()).unwrap();
    let all: BTreeMap<String, String> =
        sources.into_iter().map(|(name, bytes)| (name, String::from_utf8(bytes).unwrap())).collect();
    assert!(
        all.contains_key("master.yaml") && all.len() > 5,
        "the templates are not where this test looks for them"
    );
    all
}

/// All templates as an environment gets them: the master is composed for `prod`, with its worker sets.
pub fn all() -> BTreeMap<String, Template> {
    let root = folder().parent().unwrap().to_owned();
    all_of(&observe::environment::load(&root, "prod").unwrap())
}

/// The same for each engine, by the word of the engine.
pub fn engines() -> &'static [(&'static str, BTreeMap<String, Template>)] {
    static ENGINES: LazyLock<Vec<(&str, BTreeMap<String, Template>)>> = LazyLock::new(|| {
        let ecs = [("fargate", FARGATE), ("ecs-ec2", ECS_EC2), ("managed", MANAGED)];
        let ecs = ecs.into_iter().map(|(word, text)| (word, all_of(&environment(text))));
        std::iter::once(("ec2", all())).chain(ecs).collect()
    });
    &ENGINES
}

/// The templates of one of them.
pub fn engine(word: &str) -> &'static BTreeMap<String, Template> {
    engines().iter().find_map(|(engine, all)| (*engine == word).then_some(all)).unwrap()
}

/// An environment of these tests.
pub fn environment(text: &str) -> Environment {
    resolve("extreme", text, "extreme").unwrap_or_else(|problems| panic!("{problems:#?}"))
}

pub fn all_of(environment: &Environment) -> BTreeMap<String, Template> {
    let sources = templates::sources(folder().parent().unwrap(), environment).unwrap();
    let template = |(name, bytes): (String, Vec<u8>)| {
        let text = String::from_utf8(bytes).unwrap();
        (name.clone(), Template::new(&name, &text))
    };
    sources.into_iter().map(template).collect()
}

impl Template {
    pub fn new(name: &str, text: &str) -> Self {
        let node = parse(text).unwrap_or_else(|error| panic!("{name}:{}: {}", error.line, error.message));
        Self { name: name.to_owned(), whole: value(&node) }
    }

    fn section(&self, name: &str) -> impl Iterator<Item = (&str, &Value)> {
        let entries = self.whole.get(name).and_then(Value::as_object);
        entries.into_iter().flatten().map(|(key, value)| (key.as_str(), value))
    }

    pub fn parameters(&self) -> BTreeMap<&str, Parameter<'_>> {
        self.section("Parameters").map(|(name, spec)| (name, Parameter(spec))).collect()
    }

    /// The names in a section, each as often as it is there.
    pub fn section_names(&self, name: &str) -> Vec<&str> {
        self.section(name).map(|(name, _)| name).collect()
    }

    pub fn outputs(&self) -> BTreeMap<&str, &Value> {
        self.section("Outputs").collect()
    }

    /// Logical id, type and the resource.
    pub fn resources(&self) -> Vec<(&str, &str, &Value)> {
        self.section("Resources")
            .map(|(id, spec)| (id, spec["Type"].as_str().unwrap_or_default(), spec))
            .collect()
    }

    pub fn children(&self) -> Vec<Child<'_>> {
        static NONE: LazyLock<Map<String, Value>> = LazyLock::new(Map::new);
        let none = &*NONE;
        let stacks =
            self.resources().into_iter().filter(|(_, kind, _)| *kind == "AWS::CloudFormation::Stack");
        stacks
            .map(|(id, _, spec)| Child {
                id,
                template: self.beside(spec["Properties"]["TemplateURL"].as_str().unwrap_or_default()),
                given: spec["Properties"]["Parameters"].as_object().unwrap_or(none),
            })
            .collect()
    }
}

impl Template {
    /// The path of a template that this one names relative to itself. The composed master names all from the
    /// root, and is there.
    fn beside(&self, child: &str) -> String {
        let (up, below) = (child.matches("../").count(), child.trim_start_matches("../"));
        let mut folders: Vec<&str> = self.name.split('/').collect();
        folders.truncate(folders.len().saturating_sub(1 + up));
        match child.starts_with("engines/") {
            true => child.to_owned(),
            false => folders.into_iter().chain([below]).collect::<Vec<_>>().join("/"),
        }
    }
}

/// The specification of a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parameter<'t>(pub &'t Value);

impl<'t> Parameter<'t> {
    pub fn get(self, field: &str) -> Option<&'t str> {
        self.0.get(field)?.as_str()
    }

    pub fn number(self, field: &str) -> Option<f64> {
        Some(self.get(field)?.parse().unwrap_or_else(|_| panic!("{field} is no number: {}", self.0)))
    }

    pub fn allowed_values(self) -> Option<Vec<&'t str>> {
        Some(self.0.get("AllowedValues")?.as_array()?.iter().filter_map(Value::as_str).collect())
    }

    pub fn is_constrained(self) -> bool {
        let fields = ["AllowedPattern", "AllowedValues", "MinLength", "MaxLength", "MinValue", "MaxValue"];
        // A type of AWS's own is looked up by CloudFormation, which is a constraint as well.
        fields.iter().any(|field| self.0.get(field).is_some())
            || self.get("Type").is_some_and(|t| t.starts_with("AWS::"))
    }

    /// Why CloudFormation would refuse the value, if it would. A pattern must match the whole value.
    pub fn refuses(self, value: &str) -> Option<String> {
        if self.get("Type") == Some("Number") {
            let Ok(number) = value.parse::<f64>() else { return Some(format!("`{value}` is no number")) };
            let low = self.number("MinValue").is_some_and(|least| number < least);
            if low || self.number("MaxValue").is_some_and(|most| number > most) {
                return Some(format!("`{value}` is out of range"));
            }
        }
        let length = f64::from(u32::try_from(value.chars().count()).unwrap());
        let short = self.number("MinLength").is_some_and(|least| length < least);
        if short || self.number("MaxLength").is_some_and(|most| length > most) {
            return Some(format!("`{value}` is too short or too long"));
        }
        if self.allowed_values().is_some_and(|allowed| !allowed.contains(&value)) {
            return Some(format!("`{value}` is none of the allowed values"));
        }
        let pattern = self.get("AllowedPattern").map(|pattern| format!("^(?:{pattern})$"));
        let pattern = pattern.map(|pattern| Regex::new(&pattern).unwrap());
        pattern
            .filter(|pattern| !pattern.is_match(value))
            .map(|pattern| format!("`{value}` does not match `{pattern}`"))
    }
}

/// Every scalar as a text; `!Ref x` as `{"Ref": "x"}`, `!GetAtt [a, b]` as `{"Fn::GetAtt": "a.b"}`.
fn value(node: &Node) -> Value {
    let plain = match &node.kind {
        Kind::Scalar { text, .. } => json!(text),
        Kind::Sequence(items) => items.iter().map(value).collect(),
        Kind::Mapping(entries) => {
            let pairs =
                entries.iter().map(|(key, inner)| (key.text().unwrap_or_default().to_owned(), value(inner)));
            Value::Object(pairs.map(dotted).collect())
        }
        Kind::Alias => panic!("line {}: CloudFormation takes no aliases", node.line),
    };
    match node.tag.as_deref().map(|tag| tag.trim_start_matches('!')) {
        None => plain,
        Some(tag @ ("Ref" | "Condition")) => json!({ tag: plain }),
        Some(function) => {
            let (name, argument) = dotted((format!("Fn::{function}"), plain));
            json!({ name: argument })
        }
    }
}

fn dotted((name, argument): (String, Value)) -> (String, Value) {
    let parts = argument.as_array().filter(|_| name == "Fn::GetAtt").cloned();
    let joined = parts.map(|parts| parts.iter().filter_map(Value::as_str).collect::<Vec<_>>().join("."));
    (name, joined.map_or(argument, Value::String))
}

/// What every function of the given name in `value` is applied to.
pub fn calls<'v>(value: &'v Value, function: &str) -> Vec<&'v Value> {
    match value {
        Value::Array(items) => items.iter().flat_map(|item| calls(item, function)).collect(),
        Value::Object(entries) => {
            let own = entries.get(function).into_iter();
            own.chain(entries.values().flat_map(|inner| calls(inner, function))).collect()
        }
        _ => Vec::new(),
    }
}

/// `${name}` in the texts of every `Fn::Sub`; those with a map of their own bring its names along.
pub fn substituted(value: &Value) -> Vec<String> {
    let variable = Regex::new(r"\$\{([A-Za-z0-9:.]+)\}").unwrap();
    let mut found = Vec::new();
    for call in calls(value, "Fn::Sub") {
        let text = call.as_str().or_else(|| call.get(0)?.as_str()).unwrap_or_default();
        let own = call.get(1).and_then(Value::as_object);
        let names = variable.captures_iter(text).map(|captures| captures[1].to_owned());
        found.extend(names.filter(|name| own.is_none_or(|own| !own.contains_key(name))));
    }
    found
}
