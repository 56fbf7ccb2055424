//! A template with values for its parameters, as far as the checks need it: conditions decided, references replaced.

use super::template::{Template, calls};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

pub struct Evaluated<'t> {
    template: &'t Template,
    given: BTreeMap<&'t str, &'t str>,
}

/// Any value for what nothing depends on, and the values given.
pub fn evaluated<'t>(template: &'t Template, given: &[(&'t str, &'t str)]) -> Evaluated<'t> {
    let given: BTreeMap<_, _> = given.iter().copied().collect();
    let unknown: Vec<_> = given.keys().filter(|name| !template.parameters().contains_key(*name)).collect();
    assert!(unknown.is_empty(), "{}: no parameters {unknown:?}", template.name);
    Evaluated { template, given }
}

impl Evaluated<'_> {
    pub fn properties(&self, id: &str) -> Value {
        self.value(&self.template.whole["Resources"][id]["Properties"])
    }

    /// The value of an output.
    pub fn output(&self, name: &str) -> Value {
        self.value(&self.template.whole["Outputs"][name]["Value"])
    }

    /// Whether the resource is made.
    pub fn has(&self, id: &str) -> bool {
        let condition = self.template.whole["Resources"][id].get("Condition");
        condition.is_none_or(|name| self.holds(&json!({ "Condition": name })))
    }

    fn holds(&self, condition: &Value) -> bool {
        let (function, argument) = condition.as_object().unwrap().iter().next().unwrap();
        let each = || argument.as_array().unwrap().iter();
        match function.as_str() {
            "Condition" => self.holds(&self.template.whole["Conditions"][argument.as_str().unwrap()]),
            "Fn::Not" => !self.holds(&argument[0]),
            "Fn::And" => each().all(|one| self.holds(one)),
            "Fn::Or" => each().any(|one| self.holds(one)),
            "Fn::Equals" => self.value(&argument[0]) == self.value(&argument[1]),
            other => panic!("{}: `{other}` in a condition", self.template.name),
        }
    }

    fn value(&self, written: &Value) -> Value {
        match written {
            Value::Array(items) => {
                items.iter().map(|item| self.value(item)).filter(|item| !item.is_null()).collect()
            }
            Value::Object(entries) if entries.len() == 1 => self.call(entries),
            Value::Object(entries) => self.entries(entries),
            other => other.clone(),
        }
    }

    fn entries(&self, entries: &Map<String, Value>) -> Value {
        let entries = entries.iter().map(|(name, value)| (name.clone(), self.value(value)));
        Value::Object(entries.filter(|(_, value)| !value.is_null()).collect())
    }

    fn call(&self, entries: &Map<String, Value>) -> Value {
        let (function, argument) = entries.iter().next().unwrap();
        match function.as_str() {
            "Ref" if argument == "AWS::NoValue" => Value::Null,
            "Ref" => self.reference(argument.as_str().unwrap()),
            "Fn::GetAtt" => json!(format!("${{{}}}", argument.as_str().unwrap())),
            "Fn::If" => {
                let holds = self.holds(&json!({ "Condition": argument[0] }));
                self.value(&argument[if holds { 1 } else { 2 }])
            }
            "Fn::Sub" => {
                let text = argument.as_str().or_else(|| argument[0].as_str()).unwrap();
                let fill = |text: String, (name, value): (&&str, &&str)| {
                    text.replace(&format!("${{{name}}}"), value)
                };
                json!(self.given.iter().fold(text.to_owned(), fill))
            }
            _ => self.entries(entries),
        }
    }

    fn reference(&self, name: &str) -> Value {
        json!(self.given.get(name).map_or_else(|| format!("${{{name}}}"), |value| (*value).to_owned()))
    }
}

/// The statements of every policy in a resource, by their names.
pub fn statements(resource: &Value) -> BTreeMap<String, Value> {
    let all = calls(resource, "Statement").into_iter().flat_map(|list| list.as_array().into_iter().flatten());
    all.filter_map(|one| Some((one["Sid"].as_str()?.to_owned(), one.clone()))).collect()
}
