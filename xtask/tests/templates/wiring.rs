//! What templates do with values of other resources. While a change set with nested stacks is made, CloudFormation
//! passes a token in place of such a value, and a function that takes the token apart fails the change set.

use crate::for_each;
use crate::template::{Template, calls, substituted};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Functions that look into a value.
const APART: [&str; 3] = ["Fn::Select", "Fn::FindInMap", "Fn::Cidr"];

/// Template and parameter.
type Wired = BTreeSet<(String, String)>;

/// The parameters that get their value from another resource, at any depth.
fn wired(all: &BTreeMap<String, Template>) -> Wired {
    let mut found = Wired::new();
    loop {
        let more: Wired = all.values().flat_map(|parent| passed_on(parent, &found)).collect();
        if more.is_subset(&found) {
            return found;
        }
        found.extend(more);
    }
}

fn passed_on(parent: &Template, wired: &Wired) -> Wired {
    let resources: BTreeSet<&str> = parent.resources().into_iter().map(|(id, ..)| id).collect();
    let is_token = |name: &String| {
        let id = name.split('.').next().unwrap_or_default();
        resources.contains(id) || wired.contains(&(parent.name.clone(), id.to_owned()))
    };
    let children = parent.children().into_iter();
    let given =
        children.flat_map(|child| child.given.iter().map(move |given| (child.template.clone(), given)));
    given
        .filter(|(_, (_, value))| references(value).iter().any(is_token))
        .map(|(template, (name, _))| (template, name.clone()))
        .collect()
}

/// Names that a value refers to, with the attribute where there is one.
fn references(value: &Value) -> Vec<String> {
    let named = ["Ref", "Fn::GetAtt"].into_iter().flat_map(|function| calls(value, function));
    named.filter_map(Value::as_str).map(str::to_owned).chain(substituted(value)).collect()
}

fn taken_apart(all: &BTreeMap<String, Template>) -> Vec<String> {
    let wired = wired(all);
    let mut found = BTreeSet::new();
    for template in all.values() {
        for function in APART {
            for name in calls(&template.whole, function).into_iter().flat_map(references) {
                if wired.contains(&(template.name.clone(), name.clone())) {
                    found.insert(format!(
                        "{}: {function} looks into `{name}`, which is not known while a change set is made: \
                         pass each part in a parameter of its own",
                        template.name
                    ));
                }
            }
        }
    }
    found.into_iter().collect()
}

#[test]
fn no_template_takes_a_wired_value_apart() {
    for_each(|all| {
        assert!(wired(all).len() > 50, "the wiring is not where this test looks for it");
        taken_apart(all)
    });
}

#[test]
fn what_is_taken_apart_is_found_at_any_depth() {
    let texts = [
        (
            "p.yaml",
            "Parameters: {Own: {}}\n\
             Resources: {A: {Type: AWS::CloudFormation::Stack, Properties: {TemplateURL: a.yaml, Parameters: {}}}, \
             B: {Type: AWS::CloudFormation::Stack, Properties: {TemplateURL: b.yaml, Parameters: \
             {List: !If [C, !GetAtt A.Outputs.List, ''], Known: !Ref Own}}}}",
        ),
        ("a.yaml", "Outputs: {List: {Value: 'a,b'}}"),
        (
            "b.yaml",
            "Conditions: {X: !Equals [!Select [1, !Split [',', !Sub '${List},,']], '']}\n\
             Resources: {C: {Type: AWS::CloudFormation::Stack, Properties: {TemplateURL: c.yaml, Parameters: \
             {Word: !Ref List, Known: !Ref Known}}}, Q: {Type: T, Properties: {L: !Split [',', !Ref List]}}}",
        ),
        (
            "c.yaml",
            "Resources: {Q: {Type: T, Properties: {A: !FindInMap [M, !Ref Word, x], B: !Select [0, !Ref Known]}}}",
        ),
    ];
    let all = texts.map(|(name, text)| (name.to_owned(), Template::new(name, text))).into();
    let found = taken_apart(&all);
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(found[0].starts_with("b.yaml: Fn::Select looks into `List`"), "{found:#?}");
    assert!(found[1].starts_with("c.yaml: Fn::FindInMap looks into `Word`"), "{found:#?}");
}
