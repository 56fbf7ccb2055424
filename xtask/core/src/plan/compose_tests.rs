//! Composition by example: a small master with every rule in it.

use super::*;
use crate::fail::Kind;

const MASTER_TEXT: &str = "
Parameters: {Own: {Type: String}}
Conditions: {Has: !Equals [!Ref Kind, x]}
Resources:
  Net: {Type: AWS::CloudFormation::Stack, Properties: {TemplateURL: net.yaml}}
  Data: {Type: AWS::CloudFormation::Stack, Properties: {TemplateURL: data.yaml, Parameters: {Size: !Ref Own}}}
  Extra: {Type: AWS::CloudFormation::Stack, Condition: Has, Properties: {TemplateURL: extra.yaml}}
  Worker: {Type: AWS::CloudFormation::Stack, Properties: {TemplateURL: worker.yaml}}
Outputs:
  WorkerQueue: {Description: Queue., Value: !GetAtt Worker.Outputs.Queue}
  ExtraName: {Condition: Has, Description: Name., Value: !GetAtt Extra.Outputs.Name}
";
const NET: &str = "
Metadata: {AWS::CloudFormation::Interface: {ParameterLabels: {Cidr: {default: Range}}}}
Parameters: {Cidr: {Type: String, Default: 10/8}, MasterStackName: {Type: String}}
Outputs: {VpcId: {Description: The VPC., Value: x}, Common: {Value: a}}";
const DATA: &str = "
Parameters: {VpcId: {Type: String}, Size: {Type: Number}, Kind: {Type: String}}
Outputs: {Common: {Value: b}, Host: {Description: The host., Value: c}}";
const EXTRA: &str =
    "Parameters: {Common: {Type: String, Default: d}}\nOutputs: {Name: {Value: n}, Host2: {Value: x}}";
const WORKER_TEXT: &str = "
Parameters: {VpcId: {Type: String}, Queue: {Type: String}, Shared: {Type: String}}
Outputs: {Queue: {Value: q}, WorkerRoleName: {Value: r}}";

const ENGINE: &str = r#"
Metadata:
  AWS::CloudFormation::Interface:
    ParameterGroups: [{Label: {default: Hosts}, Parameters: [HostSize]}]
    ParameterLabels: {HostSize: {default: Size}}
Parameters: {HostSize: {Type: Number, Default: 1}}
Resources:
  Hosts: {Type: AWS::CloudFormation::Stack, Properties: {TemplateURL: hosts.yaml, Parameters: {Network: !Ref HostSize}}}
"#;

const ECS: &str = "
Resources: {Scheduler: {Type: AWS::CloudFormation::Stack, Properties: {TemplateURL: service.yaml}}}
";

fn sources(more: &[(&str, &str)]) -> Sources {
    let all = [
        ("master.yaml", MASTER_TEXT),
        ("net.yaml", NET),
        ("data.yaml", DATA),
        ("extra.yaml", EXTRA),
        ("worker.yaml", WORKER_TEXT),
        ("engines/ec2/engine.yaml", "Resources: {}\n"),
        ("engines/other/engine.yaml", "Resources: {Foreign: {Type: T}}\n"),
    ];
    all.iter().chain(more).map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec())).collect()
}

fn set(name: &str, prefix: &str) -> WorkerSet {
    let parameters = [("Queue", name), ("NotDeclared", "x")];
    WorkerSet {
        name: name.to_owned(),
        prefix: prefix.to_owned(),
        parameters: parameters.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        settings: json!({ "queue": name }),
    }
}

fn composed(more: &[(&str, &str)], additions: &Additions) -> Value {
    let sources = compose(sources(more), additions).unwrap();
    serde_json::from_slice(&sources[MASTER]).unwrap()
}

fn two_sets() -> Additions {
    Additions {
        worker_sets: vec![set("default", "WorkerDefault"), set("big", "WorkerBig")],
        ..Additions::default()
    }
}

#[test]
fn parameters_are_wired_by_name_or_promoted() {
    let master = composed(&[], &two_sets());
    let given = |id: &str| master["Resources"][id]["Properties"]["Parameters"].clone();
    assert_eq!(given("Net"), json!({"Cidr": {"Ref": "Cidr"}, "MasterStackName": {"Ref": "AWS::StackName"}}));
    let vpc = json!({"Fn::GetAtt": ["Net", "Outputs.VpcId"]});
    assert_eq!(given("Data"), json!({"VpcId": vpc, "Size": {"Ref": "Own"}, "Kind": {"Ref": "Kind"}}));
    assert_eq!(
        given("Extra"),
        json!({"Common": {"Ref": "Common"}}),
        "two children offer it: it is a parameter"
    );
    assert_eq!(given("WorkerBig"), json!({"VpcId": vpc, "Queue": "big", "Shared": {"Ref": "Shared"}}));
    let parameters: Vec<&String> = master["Parameters"].as_object().unwrap().keys().collect();
    assert_eq!(parameters, ["Cidr", "Common", "Kind", "Own", "Shared"]);
    assert_eq!(master["Parameters"]["Cidr"], json!({"Type": "String", "Default": "10/8"}));
    let interface = &master["Metadata"]["AWS::CloudFormation::Interface"];
    assert_eq!(interface["ParameterLabels"], json!({"Cidr": {"default": "Range"}}));
    assert_eq!(interface["ParameterGroups"][0]["Label"], json!({"default": "Data"}));
}

#[test]
fn worker_sets_are_repeated_with_their_outputs() {
    let master = composed(&[], &two_sets());
    assert!(master["Resources"].get("Worker").is_none());
    let outputs = master["Outputs"].as_object().unwrap();
    assert_eq!(outputs["WorkerBigQueue"]["Value"], json!({"Fn::GetAtt": ["WorkerBig", "Outputs.Queue"]}));
    assert_eq!(outputs["WorkerSets"]["Value"], r#"{"big":{"queue":"big"},"default":{"queue":"default"}}"#);
    assert_eq!(outputs["VpcId"]["Description"], "The VPC.");
    let names: Vec<&String> = outputs.keys().collect();
    assert_eq!(names, ["ExtraName", "Host", "VpcId", "WorkerBigQueue", "WorkerDefaultQueue", "WorkerSets"]);
    for (_, resource) in master["Resources"].as_object().unwrap() {
        assert_eq!(resource["DeletionPolicy"], "Delete");
    }
}

/// The scheduler sends to every queue, and there are as many as the environment file says.
#[test]
fn a_child_is_told_of_all_worker_sets() {
    let told = "Parameters: {WorkerSets: {Type: String}, QueueUrls: {Type: String}}\n";
    let master = composed(&[("extra.yaml", told)], &two_sets());
    let given = &master["Resources"]["Extra"]["Properties"]["Parameters"];
    assert_eq!(given["WorkerSets"], master["Outputs"]["WorkerSets"]["Value"]);
    let url = |name: &str, prefix: &str| json!({"Fn::Join": ["=", [name, {"Fn::GetAtt": [prefix, "Outputs.QueueUrl"]}]]});
    let urls = [url("default", "WorkerDefault"), url("big", "WorkerBig")];
    assert_eq!(given["QueueUrls"], json!({"Fn::Join": [" ", urls]}));
    for name in ["WorkerSets", "QueueUrls"] {
        assert!(master["Parameters"].get(name).is_none(), "nobody gives `{name}`");
    }
}

#[test]
fn the_engine_s_part_is_merged_and_no_other_engine_s() {
    let hosts = "Parameters: {Network: {Type: String}}\nOutputs: {Hosts: {Value: x}}\n";
    let mut sources = sources(&[("engines/ec2/hosts.yaml", hosts)]);
    sources.insert(fragments(Engine::Ec2)[0].clone(), ENGINE.as_bytes().to_vec());
    let sources = compose(sources, &Additions::default()).unwrap();
    let master: Value = serde_json::from_slice(&sources[MASTER]).unwrap();
    let hosts = &master["Resources"]["Hosts"]["Properties"];
    assert_eq!(hosts["TemplateURL"], "engines/ec2/hosts.yaml", "a path from the root of the templates");
    assert_eq!(hosts["Parameters"]["Network"], json!({ "Ref": "HostSize" }));
    assert_eq!(master["Outputs"]["Hosts"]["Value"], json!({ "Fn::GetAtt": ["Hosts", "Outputs.Hosts"] }));
    assert_eq!(master["Parameters"]["HostSize"]["Default"], 1);
    let interface = &master["Metadata"]["AWS::CloudFormation::Interface"];
    assert_eq!(interface["ParameterLabels"]["HostSize"]["default"], "Size");
    assert!(master["Resources"].get("Foreign").is_none());
    let left: Vec<&String> = sources.keys().filter(|path| path.starts_with("engines/")).collect();
    assert_eq!(left, ["engines/ec2/hosts.yaml"], "a part of the master is not a template of its own");
}

/// Both engines on ECS have a part in common and one of their own.
#[test]
fn engines_share_a_folder_and_differ_in_a_part() {
    let files = [
        ("engines/ecs/engine.yaml", ECS),
        ("engines/ecs/executor.yaml", "Conditions: {HasEcsExecutor: true}\n"),
        ("engines/ecs/services.yaml", "Conditions: {HasFlower: true}\n"),
        ("engines/ecs/fargate.yaml", "Outputs: {Spot: {Value: fargate}}\n"),
        (
            "engines/ecs/hosts.yaml",
            "Resources: {Group: {Type: AWS::CloudFormation::Stack, Properties: {TemplateURL: group.yaml}}}\n",
        ),
        ("engines/ecs/service.yaml", "Parameters: {VpcId: {Type: String}}\n"),
        ("engines/ecs/group.yaml", "Parameters: {Group: {Type: Number}}\n"),
    ];
    let of = |engine| {
        let sources = compose(sources(&files), &Additions { engine, ..Additions::default() }).unwrap();
        let master: Value = serde_json::from_slice(&sources[MASTER]).unwrap();
        let children = sources.into_keys().filter(|path| path.starts_with("engines/")).collect::<Vec<_>>();
        (master, children)
    };
    let (fargate, children) = of(Engine::Fargate);
    assert_eq!(fargate["Resources"]["Scheduler"]["Properties"]["TemplateURL"], "engines/ecs/service.yaml");
    assert_eq!(fargate["Outputs"]["Spot"]["Value"], "fargate");
    assert!(fargate["Resources"].get("Group").is_none() && fargate["Parameters"].get("Group").is_none());
    assert_eq!(children, ["engines/ecs/group.yaml", "engines/ecs/service.yaml"], "no part of a master");
    let (hosts, _) = of(Engine::EcsEc2);
    assert_eq!(hosts["Parameters"]["Group"], json!({ "Type": "Number" }));
    assert_eq!(hosts["Resources"]["Scheduler"], fargate["Resources"]["Scheduler"]);
    assert!(hosts["Outputs"].get("Spot").is_none());
}

#[test]
fn every_part_of_an_engine_that_is_missing_is_told() {
    let additions = Additions { engine: Engine::EcsEc2, ..Additions::default() };
    let fail = compose(sources(&[]), &additions).unwrap_err();
    let places: Vec<&str> = fail.all_problems().iter().map(|problem| problem.location.as_str()).collect();
    let parts =
        ["engine", "executor", "services", "hosts"].map(|part| format!("templates/engines/ecs/{part}.yaml"));
    assert_eq!(places, parts);
}

#[test]
fn a_name_in_both_parts_and_an_engine_without_templates_are_told() {
    let told = |sources: Sources| {
        let fail = compose(sources, &Additions::default()).unwrap_err();
        fail.all_problems().iter().map(|p| format!("{}: {}", p.location, p.message)).collect::<Vec<_>>()
    };
    let mut clash = sources(&[]);
    clash.insert(fragments(Engine::Ec2)[0].clone(), b"Resources: {Net: {Type: T}}".to_vec());
    assert_eq!(
        told(clash),
        ["templates/engines/ec2/engine.yaml:1: `Net` is in `Resources` of `templates/master.yaml` too"]
    );
    let broken = |text: &str| {
        let mut broken = sources(&[]);
        broken.insert(fragments(Engine::Ec2)[0].clone(), text.as_bytes().to_vec());
        told(broken)
    };
    let expected = [
        ("Outputs: {}\nResources: [\n", "3: not YAML: "),
        ("Outputs: {}\nResources:\n  - A\n", "3: `Resources` has no names with values below it"),
        ("- Resources\n", "1: the file holds no sections such as `Resources`"),
    ];
    for (text, start) in expected {
        let found = broken(text);
        let start = format!("templates/engines/ec2/engine.yaml:{start}");
        assert!(found.len() == 1 && found[0].starts_with(&start), "{text}: {found:?}");
    }
    let mut absent = sources(&[]);
    absent.remove(&fragments(Engine::Ec2)[0]);
    assert_eq!(told(absent), ["templates/engines/ec2/engine.yaml: the engine has no templates here"]);
}

#[test]
fn another_order_of_the_same_makes_the_same_bytes() {
    let mut other = two_sets();
    other.worker_sets.reverse();
    let master = |additions: &Additions| compose(sources(&[]), additions).unwrap()[MASTER].clone();
    assert!(master(&two_sets()) == master(&other));
}

#[test]
fn policies_go_to_the_role_of_their_component() {
    let policy = |component: &str| Policy {
        component: component.to_owned(),
        path: "policies/read.json".to_owned(),
        document: br#"{"Version": "2012-10-17", "Statement": []}"#.to_vec(),
    };
    let additions = Additions { policies: vec![policy("WorkerBig"), policy("Scheduler")], ..two_sets() };
    let resources = composed(&[], &additions)["Resources"].clone();
    let role = |id: &str| resources[id]["Properties"]["RoleName"].clone();
    assert_eq!(role("WorkerBigPolicy1"), json!({"Fn::GetAtt": ["WorkerBig", "Outputs.WorkerRoleName"]}));
    assert_eq!(role("SchedulerPolicy2"), json!({"Fn::GetAtt": ["Identity", "Outputs.SchedulerRoleName"]}));
    assert_eq!(resources["SchedulerPolicy2"]["Properties"]["PolicyName"], "read");
}

#[test]
fn additional_templates_get_the_outputs_they_declare() {
    let extra = "Parameters: {VpcId: {Type: String}, ExtraName: {Type: String, Default: none}, Mine: {Type: String}, \
                 Free: {Type: String, Default: x}, MasterStackName: {Type: String}}\nResources: {}";
    let given = BTreeMap::from([("Mine".to_owned(), "7".to_owned())]);
    let additions = Additions { given, ..two_sets() };
    let files = [("additional/data-lake.yaml", extra), ("additional/parts/part.yaml", "Resources: {}")];
    let resources = composed(&files, &additions)["Resources"].clone();
    let stack = &resources["AdditionalDataLake"]["Properties"];
    assert_eq!(stack["TemplateURL"], "additional/data-lake.yaml");
    let name = json!({"Fn::GetAtt": ["Extra", "Outputs.Name"]});
    assert_eq!(
        stack["Parameters"],
        json!({
            "VpcId": {"Fn::GetAtt": ["Net", "Outputs.VpcId"]},
            "ExtraName": {"Fn::If": ["Has", name, {"Ref": "AWS::NoValue"}]},
            "Mine": "7",
            "MasterStackName": {"Ref": "AWS::StackName"},
        })
    );
    assert!(resources.get("AdditionalPart").is_none(), "it is somebody's child");
}

#[test]
fn everything_wrong_is_told_together() {
    let files = [
        ("net.yaml", NET),
        ("data.yaml", "Parameters: {VpcId: {Type: String}}"),
        ("additional/a-b.yaml", "Parameters: {Nobody: {Type: String}, VpcId: {Type: String}}"),
        ("additional/a_b.yaml", "Resources: {}"),
        ("additional/alias.yaml", "Resources: &x {}\nOther: *x"),
    ];
    let given = ["VpcId", "Lost"].map(|name| (name.to_owned(), "x".to_owned()));
    let policies = vec![Policy {
        component: "Scheduler".to_owned(),
        path: "policies/x.json".to_owned(),
        document: b"[]".to_vec(),
    }];
    let additions = Additions { given: given.into(), policies, ..two_sets() };
    let fail = compose(sources(&files), &additions).unwrap_err();
    assert_eq!(fail.kind(), Kind::Usage);
    let told: Vec<String> =
        fail.all_problems().iter().map(|p| format!("{} {}: {}", p.kind, p.location, p.message)).collect();
    assert_eq!(
        told,
        [
            "not_a_template templates/additional/alias.yaml:2: CloudFormation takes no aliases",
            "unknown_parameter templates/master.yaml: `Data` passes `Size`, which `templates/data.yaml` does not declare",
            "bad_policy policies/x.json: is not a policy document, a JSON object with `Statement`",
            "unknown_parameter templates/additional/a-b.yaml: nothing provides the parameter `Nobody`: it is not an output of the master stack",
            "clash templates/additional/a-b.yaml: `VpcId` is an output of the master stack and in `additional.parameters`",
            "clash templates/additional/a_b.yaml: its stack would be `AdditionalAB`, as that of another template",
            "unknown_parameter templates/additional/: no additional template declares the parameter `Lost`",
        ]
    );
}

#[test]
fn places_are_those_of_the_project() {
    assert_eq!(as_written("templates/additional/lake.yaml:3", Some("stacks")), "stacks/lake.yaml:3");
    assert_eq!(as_written("templates/net.yaml:3", Some("stacks")), "templates/net.yaml:3");
    assert_eq!(as_written("templates/additional/lake.yaml", None), "templates/additional/lake.yaml");
}

#[test]
fn no_master_is_for_packaging_to_tell() {
    let only = Sources::from([("net.yaml".to_owned(), NET.as_bytes().to_vec())]);
    assert_eq!(compose(only.clone(), &Additions::default()).unwrap(), only);
}

/// So many worker sets with settings of so many bytes each, on a master with one output for each and two of its own.
fn crowded(sets: usize, bytes: usize, more: &[(&str, &str)]) -> Result<Sources> {
    let set = |number: usize| WorkerSet {
        settings: json!("x".repeat(bytes)),
        ..set(&format!("set-{number:03}"), &format!("WorkerSet{number:03}"))
    };
    let additions = Additions { worker_sets: (0..sets).map(set).collect(), ..Additions::default() };
    compose(sources(more), &additions)
}

fn refusal(result: Result<Sources>) -> String {
    let fail = result.unwrap_err();
    fail.all_problems().iter().map(|problem| format!("{}; {}", problem.message, problem.hint)).collect()
}

#[test]
fn more_outputs_than_cloudformation_takes_are_refused_with_the_number_of_sets_that_fit() {
    // `WorkerSets` and `ExtraName`, and those of children that nobody has in common.
    let fixed = composed(&[], &Additions::default())["Outputs"].as_object().unwrap().len();
    let fit = 200 - fixed;
    crowded(fit, 1, &[]).unwrap();
    let told = refusal(crowded(fit + 1, 1, &[]));
    let sets = fit + 1;
    assert_eq!(
        told,
        format!(
            "with {sets} worker sets it has 201 outputs, and CloudFormation takes 200 in a template; have at most \
             {fit} worker sets, or more than one environment"
        )
    );
}

#[test]
fn a_longer_value_than_cloudformation_takes_is_refused_with_the_number_of_sets_that_fit() {
    let told = [("net.yaml", "Parameters: {WorkerSets: {Type: String}}\n")];
    // `"set-000":"x…",` is 100 bytes.
    crowded(40, 87, &told).unwrap();
    let refused = refusal(crowded(41, 87, &told));
    assert!(refused.contains("at least 4101 bytes in the parameter `WorkerSets`"), "{refused}");
    assert!(refused.ends_with("have at most 40 worker sets, or more than one environment"), "{refused}");
    let urls = [
        ("worker.yaml", "Parameters: {}\nOutputs: {Queue: {Value: q}, QueueUrl: {Value: u}}\n"),
        ("net.yaml", "Parameters: {QueueUrls: {Type: String}}\n"),
    ];
    let refused = refusal(crowded(100, 1, &urls));
    assert!(
        refused.contains("in the parameter `QueueUrls`, and CloudFormation takes 4096 in a value"),
        "{refused}"
    );
}
