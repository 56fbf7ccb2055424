//! External tasks: what their definitions are, who may start them, and what DAGs are told of them.

use super::evaluated::{Evaluated, evaluated, statements};
use super::template::{FARGATE, Template, all_of, engine, environment};
use serde_json::{Value, json};
use std::collections::BTreeMap;

const OTHER: &str = "a123456789-123456789";

fn fargate() -> &'static BTreeMap<String, Template> {
    engine("fargate")
}

/// The nested stack of a task, with what the master gives it.
fn task<'t>(all: &'t BTreeMap<String, Template>, name: &str, more: &[(&'t str, &'t str)]) -> Evaluated<'t> {
    let mut given = vec![
        ("MasterStackName", "ductwork-dev"),
        ("Compatibility", "FARGATE"),
        ("ImageBuilt", "true"),
        ("TaskManagedPolicyArns", ""),
        ("RepositoryArn", "arn"),
        ("FileSystemId", ""),
        ("FileAccessPointId", ""),
    ];
    given.retain(|(name, _)| !more.iter().any(|(other, _)| other == name));
    given.extend(more);
    evaluated(&all[&format!("engines/ecs/external-task-{name}.yaml")], &given)
}

/// The master's parameters of the stack of a task.
fn passed(all: &BTreeMap<String, Template>, id: &str) -> Value {
    all["master.yaml"].whole["Resources"][id]["Properties"]["Parameters"].clone()
}

#[test]
fn each_task_has_a_family_an_image_a_command_and_variables_of_its_own() {
    let all = fargate();
    let definition = task(all, "report", &[("TaskName", "report")]).properties("Task");
    assert_eq!(definition["Family"], "ductwork-dev-task-report");
    let container = &definition["ContainerDefinitions"][0];
    assert_eq!(container["Command"], json!(["python", "main.py"]));
    let variables = container["Environment"].as_array().unwrap();
    assert!(variables.contains(&json!({ "Name": "LAKE", "Value": "s3://lake" })), "{variables:?}");
    let other = task(all, OTHER, &[]).properties("Task");
    let words = json!(["tool", "a b", "${HOME}"]);
    assert_eq!(other["ContainerDefinitions"][0]["Command"], words, "as they are written");
    assert!(!other.to_string().contains("s3://lake"));
    let master = &all["master.yaml"];
    for (id, image) in [
        ("ExternalTaskReport", "TaskImageReport"),
        ("ExternalTaskA123456789123456789", "TaskImageA123456789123456789"),
    ] {
        assert_eq!(passed(all, id)["Image"], json!({ "Ref": image }));
        assert_eq!(master.parameters()[image], all["engines/ecs/external-task.yaml"].parameters()["Image"]);
    }
    let report = passed(all, "ExternalTaskReport");
    assert_eq!([&report["Cpu"], &report["Memory"], &report["ImageBuilt"]], ["512", "1024", "true"]);
}

/// What the tool has built writes to `/tmp` alone; images of others may be used to more.
#[test]
fn what_was_built_here_can_write_to_one_folder() {
    let all = fargate();
    let container = |built| {
        let definition = task(all, "report", &[("ImageBuilt", built)]).properties("Task");
        definition["ContainerDefinitions"][0].clone()
    };
    let (ours, foreign) = (container("true"), container("false"));
    assert_eq!([&ours["ReadonlyRootFilesystem"], &ours["User"]], ["true", "50000:0"]);
    assert_eq!(ours["MountPoints"], json!([{ "SourceVolume": "tmp", "ContainerPath": "/tmp" }]));
    assert_eq!(foreign["ReadonlyRootFilesystem"], "false");
    assert!(foreign.get("User").is_none() && foreign["MountPoints"] == json!([]));
    for one in [ours, foreign] {
        assert_eq!([&one["Privileged"], &one["LinuxParameters"]["InitProcessEnabled"]], ["false", "true"]);
        assert_eq!(one["LogConfiguration"]["Options"]["awslogs-group"], "${TaskLogGroup}");
        assert!(one.get("Secrets").is_none());
    }
}

#[test]
fn only_a_task_with_files_reaches_the_folder_of_tasks() {
    let all = fargate();
    let [with, without] = ["ExternalTaskReport", "ExternalTaskA123456789123456789"].map(|id| passed(all, id));
    assert!(with["FileAccessPointId"].to_string().contains("Files.Outputs.TaskAccessPointId"), "{with}");
    assert_eq!([&without["FileSystemId"], &without["FileAccessPointId"]], ["", ""]);
    let files = [("FileSystemId", "fs-1"), ("FileAccessPointId", "fsap-1")];
    let (with, without) = (task(all, "report", &files), task(all, OTHER, &[]));
    assert!(with.has("Files") && !without.has("Files"));
    let volume = &with.properties("Task")["Volumes"][1]["EFSVolumeConfiguration"];
    assert_eq!(volume["TransitEncryption"], "ENABLED");
    assert_eq!(volume["AuthorizationConfig"], json!({ "AccessPointId": "fsap-1", "IAM": "ENABLED" }));
}

#[test]
fn a_task_is_started_with_its_own_image_and_log_and_nothing_else() {
    let all = fargate();
    let role = |repository| task(all, "report", &[("RepositoryArn", repository)]).properties("ExecutionRole");
    let names = |role: &Value| statements(role).into_keys().collect::<Vec<_>>();
    let ours = role("arn:aws:ecr:x");
    assert_eq!(names(&ours), ["LogInToRegistry", "PullImage", "WriteLogs"]);
    assert_eq!(statements(&ours)["PullImage"]["Resource"], "arn:aws:ecr:x");
    assert_eq!(names(&role("")), ["WriteLogs"]);
    let repository = |id| passed(all, id)["RepositoryArn"]["Fn::Sub"].as_str().unwrap().to_owned();
    assert!(repository("ExternalTaskReport").ends_with(":repository/ductwork"));
    let other = "arn:${AWS::Partition}:ecr:eu-west-1:000000000000:repository/team/tool";
    assert_eq!(repository("ExternalTaskA123456789123456789"), other);
    let own = task(all, "report", &[]).properties("Role");
    assert!(statements(&own).is_empty() && own.get("ManagedPolicyArns").is_none(), "{own}");
    assert_eq!(passed(all, "ExternalTaskReport")["TaskManagedPolicyArns"], "arn:aws:iam::aws:policy/a");
}

/// Workers and triggerer, exactly these families and their roles.
#[test]
fn who_runs_code_of_dags_may_start_exactly_these_tasks() {
    let all = fargate();
    let given = passed(all, "TaskStarter");
    let joined = |value: &Value| -> Vec<String> {
        let parts = value["Fn::Join"][1].as_array().unwrap();
        parts.iter().map(|part| part["Fn::GetAtt"].as_str().unwrap().to_owned()).collect()
    };
    let list = |name: &str| joined(&given[name]);
    let workers =
        ["WorkerA123456789123456789", "WorkerDefault"].map(|set| format!("{set}.Outputs.WorkerRoleName"));
    let roles = [&workers[..], &["Identity.Outputs.TriggererRoleName".to_owned()]].concat();
    let starters = &given["StarterRoleNames"]["Fn::If"];
    assert_eq!(starters[0], "HasEcsExecutor");
    assert_eq!(joined(&starters[1]), [&roles[..], &["EcsExecutor.Outputs.RoleName".to_owned()]].concat());
    assert_eq!(joined(&starters[2]), roles);
    for (name, output) in
        [("FamilyArns", "FamilyArn"), ("TaskRoleArns", "RoleArn"), ("ExecutionRoleArns", "ExecutionRoleArn")]
    {
        let of = |task: &str| format!("ExternalTask{task}.Outputs.{output}");
        assert_eq!(list(name), [of("A123456789123456789"), of("Report")]);
    }
    let family =
        all["engines/ecs/external-task-report.yaml"].outputs()["FamilyArn"]["Value"]["Fn::Sub"].clone();
    assert!(
        family.as_str().unwrap().ends_with(":task-definition/${MasterStackName}-task-${TaskName}:*"),
        "{family}"
    );
    let policy = statements(&all["engines/ecs/task-starter.yaml"].whole["Resources"]["Policy"]);
    assert_eq!(policy["StartTasks"]["Resource"]["Fn::Split"][1]["Ref"], "FamilyArns");
    let cluster = policy["StartTasks"]["Condition"]["ArnEquals"]["ecs:cluster"]["Fn::Sub"].as_str().unwrap();
    assert!(cluster.ends_with(":cluster/${MasterStackName}"), "{cluster}");
    for (name, roles) in [("PassTaskRoles", "TaskRoleArns"), ("PassExecutionRoles", "ExecutionRoleArns")] {
        assert_eq!(policy[name]["Resource"]["Fn::Split"][1]["Ref"], roles);
        assert_eq!(
            policy[name]["Condition"]["StringEquals"]["iam:PassedToService"],
            "ecs-tasks.amazonaws.com"
        );
    }
    let tasks = policy["FollowAndStopTasks"]["Resource"]["Fn::Sub"].as_str().unwrap();
    assert!(tasks.ends_with(":task/${MasterStackName}/*"), "{tasks}");
}

/// As arguments of `EcsRunTaskOperator`, the same in shape as those that DAGs are parsed with.
#[test]
fn dags_are_told_what_the_operator_needs() {
    let environment = environment(FARGATE);
    let all = all_of(&environment);
    let given = passed(&all, "SchedulerTask")["ExternalTasks"]["Fn::Sub"].clone();
    let stack = environment.stack_name();
    let mut text = given[0].as_str().unwrap().to_owned();
    for (name, value) in [
        ("AWS::StackName", stack.as_str()),
        ("AWS::Region", "eu-central-1"),
        ("CapacityProvider", "FARGATE"),
        ("SubnetIds", "subnet-1\",\"subnet-2"),
        ("SecurityGroupId", "sg-1"),
        ("AssignPublicIp", "DISABLED"),
    ] {
        assert!(text.contains(&format!("${{{name}}}")), "{name}: {text}");
        text = text.replace(&format!("${{{name}}}"), value);
    }
    let mut told: Value = serde_json::from_str(&text).unwrap();
    let expected = json!({
        "task_definition": format!("{stack}-task-report"),
        "container_name": "report",
        "awslogs_stream_prefix": "report/report",
    });
    assert_eq!(told["tasks"]["report"], expected);
    let network = &mut told["common"]["network_configuration"]["awsvpcConfiguration"];
    assert_eq!(network["subnets"], json!(["subnet-1", "subnet-2"]));
    let mut parsed: Value = serde_json::from_str(&environment.external_tasks_stand_in().unwrap()).unwrap();
    let shown = &mut parsed["common"]["network_configuration"]["awsvpcConfiguration"];
    for key in ["subnets", "securityGroups"] {
        network[key] = shown[key].take();
        shown[key] = network[key].clone();
    }
    assert_eq!(told, parsed);
    let subnets = &given[1]["SubnetIds"]["Fn::Join"];
    assert_eq!([&subnets[0], &subnets[1]["Fn::Split"][0]], ["\",\"", ","]);
}

#[test]
fn without_external_tasks_there_is_nothing_of_them() {
    let all = engine("ecs-ec2");
    let master = &all["master.yaml"];
    assert!(
        master.resources().iter().all(|(id, ..)| !id.starts_with("ExternalTask") && *id != "TaskStarter")
    );
    assert_eq!(passed(all, "SchedulerTask")["ExternalTasks"], "");
    assert!(master.parameters().keys().all(|name| !name.starts_with("TaskImage")));
}
