//! Parameters: the same in parent and child, described, constrained, and those that environments give.

use super::template::{
    ECS_EC2, FARGATE, MANAGED, ONLY_ECS, PUBLIC, Parameter, Template, all, all_of, calls,
    environment as environment_of, folder, substituted,
};
use super::{for_each, none, text_of};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use xtask::config::{Environment, Images, keys, resolve};
use xtask::model::contract::CONTRACT;
use xtask::model::names;
use xtask::model::package_index::PackageIndex;
use xtask::observe::environment;

/// What is wrong with one template's declarations.
fn declared(template: &Template) -> Vec<String> {
    let mut found = Vec::new();
    for (name, parameter) in template.parameters() {
        let mut fault = |what: &str| found.push(format!("{}: parameter `{name}`: {what}", template.name));
        if !name.starts_with(char::is_uppercase) || name.contains(['-', '_']) {
            fault("write its name in PascalCase");
        }
        if !parameter.get("Description").is_some_and(|text| text.ends_with('.') && text.len() > 10) {
            fault("add a `Description` that ends in a full stop");
        }
        if !parameter.is_constrained() {
            fault("add a constraint: a pattern, values, a length or a range");
        }
        if !parameter
            .get("ConstraintDescription")
            .is_some_and(|text| text.starts_with("must be") && text.ends_with('.'))
        {
            fault("add a `ConstraintDescription` that begins with `must be` and ends in a full stop");
        }
        if let Some(why) = parameter.get("Default").and_then(|default| parameter.refuses(default)) {
            fault(&format!("its own default is refused: {why}"));
        }
    }
    found
}

#[test]
fn parameters_are_described_and_constrained() {
    for_each(|all| all.values().flat_map(declared).collect());
}

#[test]
fn bad_declarations_are_found() {
    let bad = Template::new(
        "x.yaml",
        "Parameters: {Good: {Type: Number, Description: How many there are., MinValue: 1, Default: 2, \
         ConstraintDescription: must be 1 or more.}, Size: {Type: Number, MaxValue: 3, Default: 4}, b_c: {Type: String}}",
    );
    let found = declared(&bad);
    assert_eq!(found.iter().filter(|fault| fault.contains("`Good`")).count(), 0, "{found:#?}");
    assert_eq!(found.iter().filter(|fault| fault.contains("`Size`")).count(), 3, "{found:#?}");
    assert_eq!(found.iter().filter(|fault| fault.contains("`b_c`")).count(), 4, "{found:#?}");
}

/// Parameters that the console would not show in a group, or without a label.
fn grouped(template: &Template) -> Vec<String> {
    let interface = &template.whole["Metadata"]["AWS::CloudFormation::Interface"];
    let groups = interface["ParameterGroups"].as_array().into_iter().flatten();
    let listed: Vec<&str> = groups
        .flat_map(|group| group["Parameters"].as_array().into_iter().flatten())
        .filter_map(Value::as_str)
        .collect();
    let labels: BTreeSet<&str> = interface["ParameterLabels"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, _)| name.as_str())
        .collect();
    let declared: Vec<&str> = template.section_names("Parameters");
    let mut found = Vec::new();
    let mut sorted = (listed.clone(), declared.clone());
    sorted.0.sort_unstable();
    sorted.1.sort_unstable();
    if sorted.0 != sorted.1 {
        found.push(format!(
            "{}: list every parameter in exactly one of the `ParameterGroups`: {declared:?} are declared, {listed:?} listed",
            template.name
        ));
    }
    for name in labels.symmetric_difference(&declared.iter().copied().collect()) {
        found.push(format!(
            "{}: `{name}` must be both a parameter and one of the `ParameterLabels`",
            template.name
        ));
    }
    found
}

#[test]
fn parameters_are_grouped_and_labelled() {
    for_each(|all| all.values().flat_map(grouped).collect());
    let bad = "Metadata: {AWS::CloudFormation::Interface: {ParameterGroups: [{Parameters: [A, A]}], ParameterLabels: {C: {}}}}\n\
               Parameters: {A: {}, B: {}}";
    assert_eq!(grouped(&Template::new("x.yaml", bad)).len(), 4);
}

/// Parameters of one name that differ between two templates: `(template, name)` of the second.
fn differing(all: &BTreeMap<String, Template>) -> Vec<String> {
    let mut first: BTreeMap<&str, (&str, Parameter)> = BTreeMap::new();
    let mut found = Vec::new();
    for template in all.values() {
        for (name, parameter) in template.parameters() {
            let (other, same) = first.entry(name).or_insert((&template.name, parameter));
            if *same != parameter {
                found.push(format!(
                    "{} and {other} declare `{name}` differently: make type, constraint, default and words the same",
                    template.name
                ));
            }
        }
    }
    found
}

#[test]
fn a_name_means_the_same_everywhere() {
    for_each(differing);
    let bad = [("a.yaml", "Parameters: {A: {MinValue: 1}}"), ("b.yaml", "Parameters: {A: {MinValue: 2}}")];
    assert_eq!(differing(&set(&bad)).len(), 1);
}

fn set(templates: &[(&str, &str)]) -> BTreeMap<String, Template> {
    templates.iter().map(|(name, text)| ((*name).to_owned(), Template::new(name, text))).collect()
}

/// What is wrong between the parents and their children.
fn passed(all: &BTreeMap<String, Template>) -> Vec<String> {
    let mut found = Vec::new();
    for parent in all.values() {
        let own = parent.parameters();
        for child in parent.children() {
            let place = format!("{}: `{}`", parent.name, child.id);
            let Some(template) = all.get(&child.template) else {
                found.push(format!("{place}: there is no `templates/{}`", child.template));
                continue;
            };
            let wanted = template.parameters();
            for name in child.given.keys().filter(|name| !wanted.contains_key(name.as_str())) {
                found.push(format!(
                    "{place} passes `{name}`, which {} does not declare: remove it",
                    child.template
                ));
            }
            for (name, parameter) in &wanted {
                match child.given.get(*name) {
                    Some(value) => {
                        let why = unfit(value, *parameter, &own);
                        found.extend(why.map(|why| format!("{place} passes `{name}`: {why}")));
                    }
                    None if parameter.get("Default").is_none() => {
                        found.push(format!("{place} does not pass `{name}`, which has no default: add it"));
                    }
                    None if own.contains_key(name) => {
                        found.push(format!(
                            "{place} does not pass `{name}`, though the parent has it: add it"
                        ));
                    }
                    None => {}
                }
            }
        }
    }
    found
}

/// Why the child could refuse what the parent accepts.
fn unfit(value: &Value, parameter: Parameter, own: &BTreeMap<&str, Parameter>) -> Option<String> {
    if let Some(literal) = value.as_str() {
        return parameter.refuses(literal);
    }
    let source = own.get(value.get("Ref")?.as_str()?)?;
    let narrower =
        |field: &str, wider: fn(f64, f64) -> bool| match (source.number(field), parameter.number(field)) {
            (Some(outer), Some(inner)) => wider(outer, inner),
            (None, Some(_)) => true,
            _ => false,
        };
    let range = narrower("MinValue", |outer, inner| outer < inner)
        || narrower("MaxValue", |outer, inner| outer > inner);
    let pattern =
        parameter.get("AllowedPattern").is_some_and(|pattern| source.get("AllowedPattern") != Some(pattern));
    let values = parameter.allowed_values().is_some_and(|inner| {
        source.allowed_values().is_none_or(|outer| outer.iter().any(|value| !inner.contains(value)))
    });
    (range || pattern || values)
        .then(|| "the parent accepts values that the child refuses: make the constraints fit".to_owned())
}

#[test]
fn children_get_what_they_declare() {
    for_each(passed);
}

#[test]
fn a_child_that_gets_something_else_is_found() {
    let parent = "Parameters: {P: {Type: Number, MinValue: 0}, Same: {Type: String, Default: x}}\n\
                  Resources: {S: {Type: AWS::CloudFormation::Stack, Properties: {TemplateURL: c.yaml, Parameters: \
                  {Unknown: x, Word: upper, Count: !Ref P}}}, N: {Type: AWS::CloudFormation::Stack, Properties: \
                  {TemplateURL: none.yaml, Parameters: {}}}}";
    let child = "Parameters: {Word: {AllowedPattern: '[A-Z]+'}, Count: {Type: Number, MinValue: 1}, \
                 Missing: {Type: String}, Same: {Type: String, Default: x}, Free: {Type: String, Default: y}}";
    let found = passed(&set(&[("p.yaml", parent), ("c.yaml", child)]));
    for part in ["`Unknown`", "`Word`", "`Count`", "`Missing`", "`Same`", "none.yaml"] {
        assert_eq!(found.iter().filter(|fault| fault.contains(part)).count(), 1, "{part} in {found:#?}");
    }
    assert_eq!(found.len(), 6, "{found:#?}");
}

/// `Outputs.X` of children that have no such output.
fn dangling(all: &BTreeMap<String, Template>) -> Vec<String> {
    let mut found = Vec::new();
    for parent in all.values() {
        let children: BTreeMap<&str, String> =
            parent.children().into_iter().map(|child| (child.id, child.template)).collect();
        let named =
            calls(&parent.whole, "Fn::GetAtt").into_iter().filter_map(Value::as_str).map(str::to_owned);
        for reference in named.chain(substituted(&parent.whole)) {
            let Some((id, output)) = reference.split_once(".Outputs.") else { continue };
            let template = children.get(id).and_then(|name| all.get(name));
            if !template.is_some_and(|template| template.outputs().contains_key(output)) {
                found.push(format!(
                    "{}: `{reference}` is no output of a child: add it there, or correct the name",
                    parent.name
                ));
            }
        }
    }
    found
}

#[test]
fn outputs_of_children_exist() {
    for_each(dangling);
    let parent = "Resources: {S: {Type: AWS::CloudFormation::Stack, Properties: {TemplateURL: c.yaml, Parameters: {}}}}\n\
                  Outputs: {A: {Value: !GetAtt S.Outputs.There}, B: {Value: !GetAtt [S, Outputs.Gone]}, \
                  C: {Value: !Sub 'x-${S.Outputs.Lost}-${AWS::Region}'}, D: {Value: !GetAtt T.Outputs.X}}";
    let found = dangling(&set(&[("p.yaml", parent), ("c.yaml", "Outputs: {There: {Value: x}}")]));
    assert_eq!(found.len(), 3, "{found:#?}");
}

/// What `master.yaml` would refuse of these parameters, or lacks.
fn refused(master: &Template, parameters: &BTreeMap<String, String>) -> Vec<String> {
    let declared = master.parameters();
    let mut found = Vec::new();
    for (name, value) in parameters {
        match declared.get(name.as_str()) {
            None => found.push(format!("`{name}` is no parameter of master.yaml: add it there, or remove it from `config::parameters`")),
            Some(parameter) => found.extend(parameter.refuses(value).map(|why| format!("`{name}`: {why}"))),
        }
    }
    for name in declared.keys().filter(|name| !parameters.contains_key(**name)) {
        found
            .push(format!("`{name}` of master.yaml is not given by `Environment::parameters`: add it there"));
    }
    found
}

/// What the template of worker sets would refuse of a set's own parameters.
fn unfit_set(template: &Template, parameters: &BTreeMap<String, String>) -> Vec<String> {
    let declared = template.parameters();
    let unfit = |(name, value): (&String, &String)| match declared.get(name.as_str()) {
        None => Some(format!("`{name}` of a worker set is no parameter of {}", template.name)),
        Some(parameter) => parameter.refuses(value).map(|why| format!("`{name}` of a worker set: {why}")),
    };
    parameters.iter().filter_map(unfit).collect()
}

/// The environments of the project, and two with the outermost values of the ranges that `config` accepts.
fn environments() -> Vec<Environment> {
    let root = folder().parent().unwrap().to_owned();
    let names = environment::names(&root).unwrap();
    let mut all: Vec<_> = names.iter().map(|name| environment::load(&root, name).unwrap()).collect();
    all.extend([include_str!("least.toml"), include_str!("most.toml")].map(|text| {
        resolve("abcdefghij0123456789", text, "extreme").unwrap_or_else(|problems| panic!("{problems:#?}"))
    }));
    all.extend([FARGATE, ECS_EC2, MANAGED, ONLY_ECS, PUBLIC].map(environment_of));
    all
}

/// The outermost of what `airflow/requirements.in` may name.
fn longest_index() -> Option<PackageIndex> {
    let url = format!("{:a<500}", "https://a-b.example:8443/~x/_y.z/%20+=,");
    PackageIndex::of(&format!("--extra-index-url {url}")).unwrap()
}

#[test]
fn master_takes_what_environments_give() {
    let all = environments();
    let refused = all.iter().flat_map(|environment| {
        let templates = all_of(environment);
        let sets = environment.worker_sets();
        let set =
            sets.iter().flat_map(|set| unfit_set(&templates[&worker_set(environment)], &set.parameters()));
        let set: Vec<String> = set.collect();
        let refused =
            |index| refused(&templates["master.yaml"], &environment.parameters(&Images::example(), index));
        [refused(None), refused(longest_index().as_ref()), set].concat()
    });
    none(&refused.collect::<Vec<_>>());
}

fn worker_set(environment: &Environment) -> String {
    format!("engines/{}/worker-set.yaml", environment.engine.folder())
}

#[test]
fn refused_parameters_are_found() {
    let master = Template::new("m.yaml", "Parameters: {A: {Type: Number, MaxValue: 1}, B: {Type: String}}");
    let given = BTreeMap::from([("A".to_owned(), "2".to_owned()), ("C".to_owned(), String::new())]);
    assert_eq!(refused(&master, &given).len(), 3);
}

/// What the contract names and the composed master lacks.
fn broken_contract(master: &Template) -> Vec<String> {
    let (parameters, outputs) = (master.section_names("Parameters"), master.section_names("Outputs"));
    let prefixes: Vec<String> = worker_set_prefixes(master);
    let of_set: Vec<&str> = match outputs.contains(&"ClusterName") {
        // Of a set on ECS, there is neither a group of hosts nor one of CodeDeploy.
        true => vec!["QueueUrl", "DeadLetterQueueUrl", "Service", "TaskDefinition"],
        false => CONTRACT.outputs.worker_set.values().map(String::as_str).collect(),
    };
    let of_sets =
        prefixes.iter().flat_map(|prefix| of_set.iter().map(move |suffix| format!("{prefix}{suffix}")));
    let wanted = CONTRACT.outputs.hosts.iter().chain(&CONTRACT.outputs.engine).cloned().chain(of_sets);
    let lost = wanted.filter(|name| !outputs.contains(&name.as_str()));
    let mut found: Vec<String> =
        lost.map(|name| format!("the master has no output `{name}`: add it")).collect();
    let unknown = CONTRACT.parameters.hosts.iter().filter(|name| !parameters.contains(&name.as_str()));
    found.extend(unknown.map(|name| format!("the master has no parameter `{name}`: add it")));
    found
}

fn worker_set_prefixes(master: &Template) -> Vec<String> {
    let sets = master.whole["Outputs"]["WorkerSets"]["Value"].as_str().unwrap_or("{}").to_owned();
    names::worker_set_prefixes(&BTreeMap::from([("WorkerSets".to_owned(), sets)]))
}

/// Every engine offers what the tool and the hosts read, whatever an environment asks for.
#[test]
fn every_engine_offers_what_the_contract_names() {
    for environment in environments() {
        let master = &all_of(&environment)["master.yaml"];
        let has_workers = !worker_set_prefixes(master).is_empty();
        assert_eq!(has_workers, environment.executors() != "ecs", "worker sets to look at");
        none(&broken_contract(master));
    }
    let bad = Template::new("master.yaml", "Outputs: {AirflowUrl: {}}\nParameters: {Local: {}}");
    let found = broken_contract(&bad);
    assert!(found.contains(&"the master has no output `WorkerSets`: add it".to_owned()), "{found:?}");
    assert!(found.contains(&"the master has no parameter `AirflowPort`: add it".to_owned()), "{found:?}");
}

/// Texts of the templates that repeat what the contract says.
#[test]
fn templates_repeat_the_contract_literally() {
    let templates = all();
    let text = |name: &str| templates[name].whole.to_string().replace('"', "");
    let hook = format!("LifecycleHookName:{},", CONTRACT.lifecycle_hook);
    assert!(
        text("engines/ec2/host-group.yaml").contains(&hook),
        "engines/ec2/host-group.yaml has no hook `{}`",
        CONTRACT.lifecycle_hook
    );
    let security = text("security.yaml");
    for port in [CONTRACT.ports.worker_logs, CONTRACT.ports.triggerer_logs] {
        assert!(security.contains(&format!("FromPort:{port},")), "security.yaml does not open port {port}");
    }
    let groups = &templates["master.yaml"].whole["Resources"];
    for group in ["ApiServer", "Scheduler"] {
        let given = &groups[group]["Properties"]["Parameters"]["AirflowComponents"];
        let written: Vec<&str> = match &given["Fn::If"] {
            Value::Array(choice) => choice[1..].iter().filter_map(Value::as_str).collect(),
            _ => given.as_str().into_iter().collect(),
        };
        assert!(!written.is_empty(), "`{group}` runs nothing: {given}");
        for component in written.iter().flat_map(|components| components.split_whitespace()) {
            assert!(
                CONTRACT.components.iter().any(|known| known == component),
                "`{component}` of `{group}` is not in the contract"
            );
        }
    }
}

/// Defaults of `master.yaml` are never used, so they must at least not say something else.
#[test]
fn defaults_of_master_are_those_of_environments() {
    let templates = all();
    let least =
        "[aws]\naccount = '111122223333'\nregion = 'eu-central-1'\n[entry]\nallowed_cidrs = ['127.0.0.1/32']";
    let given = resolve("dev", least, "dev.toml").unwrap().parameters(&Images::example(), None);
    let mut found = Vec::new();
    for (name, parameter) in templates["master.yaml"].parameters() {
        // What stands for keys of `dags` and `login` is always there.
        let whole = ["AirflowConfig", "LoginConfig"].contains(&name);
        let default = parameter.get("Default").filter(|_| !whole);
        if default.is_some_and(|default| default != given[name]) {
            found.push(format!(
                "master.yaml: the default of `{name}` is {default:?}, an environment's is {:?}",
                given[name]
            ));
        }
    }
    none(&found);
}

#[test]
fn the_readme_maps_every_parameter_to_a_key() {
    let readme = text_of(&folder().join("README.md"));
    let rows = readme.lines().filter(|line| line.starts_with("| "));
    let cells: Vec<Vec<&str>> = rows.map(|row| row.split('|').map(str::trim).collect()).collect();
    let code = |cell: &str| cell.strip_prefix('`').and_then(|cell| cell.split('`').next()).map(str::to_owned);
    let pairs =
        cells.iter().flat_map(|row| row.windows(2)).filter_map(|pair| Some((code(pair[0])?, pair[1])));
    let mapped: BTreeMap<String, &str> = pairs.collect();
    let templates = all();
    let mut found = Vec::new();
    for name in templates["master.yaml"].parameters().keys() {
        match mapped.get(*name) {
            None => {
                found.push(format!("templates/README.md: map `{name}` to its key in the environment file"));
            }
            Some(cell) => {
                let key = code(cell).unwrap_or_default();
                let is_key =
                    keys().iter().any(|known| *known == key || known.starts_with(&format!("{key}.")));
                if cell.starts_with('`') && !is_key {
                    found.push(format!("templates/README.md: `{key}` is no key of an environment file"));
                }
            }
        }
    }
    none(&found);
    assert_eq!(json!(mapped.get("DrainSeconds")), json!("`hosts.drain_minutes`"));
}
