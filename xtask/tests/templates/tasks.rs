//! Engines on ECS: what tasks are, are told and may do, how services keep them, and on what they run.

use super::evaluated::{Evaluated, evaluated, statements};
use super::template::{
    ECS_EC2, FARGATE, ONLY_ECS, PUBLIC, Template, all_of, calls, engine, engines, environment,
};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use xtask::config::Images;
use xtask::model::contract::CONTRACT;
use xtask::model::names;

const COMPONENTS: [&str; 7] =
    ["api-server", "scheduler", "dag-processor", "triggerer", "worker", "migrate", "executor"];

fn fargate() -> &'static BTreeMap<String, Template> {
    engine("fargate")
}

/// The task definition of a component.
fn task(component: &'static str, broker: &'static str, compatibility: &'static str) -> Value {
    let all = fargate();
    let set = if component == "worker" { "big" } else { "" };
    let given = [
        ("Component", component),
        ("WorkerSet", set),
        ("BrokerKind", broker),
        ("Compatibility", compatibility),
        ("FileSystemId", if component == "worker" { "fs-1" } else { "" }),
        ("EphemeralGiB", "20"),
        ("MasterStackName", "ductwork-dev"),
    ];
    evaluated(&all["engines/ecs/task.yaml"], &given).properties("Task")
}

fn containers(task: &Value) -> Vec<Value> {
    task["ContainerDefinitions"].as_array().unwrap().clone()
}

/// Names of a list of pairs.
fn names(list: &Value) -> BTreeSet<String> {
    list.as_array().unwrap().iter().map(|one| one["Name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn containers_can_write_only_where_they_must() {
    for component in COMPONENTS {
        for compatibility in ["FARGATE", "EC2"] {
            let task = task(component, "sqs", compatibility);
            let declared = names(&task["Volumes"]);
            for container in containers(&task) {
                let fixed =
                    ["ReadonlyRootFilesystem", "Privileged", "User"].map(|key| container[key].clone());
                assert_eq!(fixed, ["true", "false", "50000:0"], "{component}");
                assert_eq!(container["LinuxParameters"]["InitProcessEnabled"], "false", "{component}");
                let options = container.get("DockerSecurityOptions");
                assert_eq!(options, (compatibility == "EC2").then(|| json!(["no-new-privileges"])).as_ref());
                let mounts = container["MountPoints"].as_array().unwrap();
                let path = |mount: &Value| mount["ContainerPath"].as_str().unwrap().to_owned();
                let paths: BTreeSet<String> = mounts.iter().map(path).collect();
                for path in ["/var/lib/ductwork", "/var/log/ductwork", "/tmp"] {
                    assert!(paths.contains(path), "{component}: {path}");
                }
                let is_declared = |mount: &Value| declared.contains(mount["SourceVolume"].as_str().unwrap());
                assert!(mounts.iter().all(is_declared), "{component}: {mounts:?} of {declared:?}");
            }
        }
    }
}

/// Two containers of one task see each other's files only where they are meant to.
#[test]
fn the_scaler_has_a_container_of_its_own() {
    let both = containers(&task("scheduler", "sqs", "FARGATE"));
    let [scheduler, scaler] = both.as_slice() else { panic!("{both:?}") };
    assert_eq!([&scheduler["Command"], &scaler["Command"]], [&json!(["scheduler"]), &json!(["scaler"])]);
    assert_eq!([&scheduler["Essential"], &scaler["Essential"]], ["true", "false"]);
    assert_eq!(scaler["RestartPolicy"]["Enabled"], "true");
    let volumes = |one: &Value| -> BTreeSet<String> {
        let mounts = one["MountPoints"].as_array().unwrap();
        mounts.iter().map(|mount| mount["SourceVolume"].as_str().unwrap().to_owned()).collect()
    };
    assert!(volumes(scheduler).is_disjoint(&volumes(scaler)));
    assert_eq!(containers(&task("triggerer", "sqs", "FARGATE")).len(), 1);
}

#[test]
fn each_component_gets_its_own_secrets() {
    let secrets = |component, broker| -> Vec<BTreeSet<String>> {
        containers(&task(component, broker, "FARGATE")).iter().map(|one| names(&one["Secrets"])).collect()
    };
    let expected = |more: &[&str]| -> BTreeSet<String> {
        let all = ["DATABASE", "FERNET_KEY", "API"].iter().chain(more);
        all.map(|name| format!("DUCTWORK_SECRET_{name}")).collect()
    };
    for (component, more) in [
        ("api-server", &["JWT", "ADMIN", "SERVICE"][..]),
        ("scheduler", &["JWT", "CACHE"]),
        ("dag-processor", &["JWT"]),
        ("triggerer", &["JWT"]),
        ("worker", &["CACHE"]),
        ("migrate", &["ADMIN", "SERVICE"]),
        ("executor", &[]),
    ] {
        assert_eq!(secrets(component, "valkey")[0], expected(more), "{component}");
        let without: Vec<&str> = more.iter().copied().filter(|name| *name != "CACHE").collect();
        assert_eq!(secrets(component, "sqs")[0], expected(&without), "{component}");
    }
    assert_eq!(secrets("scheduler", "valkey")[1], expected(&[]), "the scaler signs nothing");
    // The same that the role of a worker's host may read.
    let worker = secrets("worker", "valkey")[0].len();
    assert_eq!(worker, CONTRACT.secrets.workers.len(), "{:?}", CONTRACT.secrets.workers);
}

/// Under the names of the contract, which hosts read from the stack.
#[test]
fn tasks_are_told_what_the_contract_names() {
    let named = |kind: &str, names: &[String]| -> Vec<String> {
        let of_hosts =
            |name: &String| CONTRACT.ec2.outputs.contains(name) || CONTRACT.ec2.parameters.contains(name);
        let of_tasks = names.iter().filter(|name| !of_hosts(name));
        of_tasks.map(|name| format!("DUCTWORK_{kind}_{name}")).collect()
    };
    let mut wanted: BTreeSet<String> = named("OUTPUT", &CONTRACT.outputs.hosts).into_iter().collect();
    wanted.extend(named("OUTPUT", &CONTRACT.ecs.outputs));
    wanted.extend(named("PARAMETER", &CONTRACT.parameters.hosts));
    wanted.extend(named("PARAMETER", &CONTRACT.ecs.parameters));
    let own = ["ENVIRONMENT", "STACK", "CLUSTER", "SERVICE", "IMAGE", "WORKER_SET", "QUEUE_URLS"];
    wanted.extend(own.map(|name| format!("DUCTWORK_{name}")));
    wanted.extend(["AWS_REGION", "AWS_DEFAULT_REGION"].map(str::to_owned));
    for component in COMPONENTS {
        for container in containers(&task(component, "sqs", "FARGATE")) {
            let mut told = names(&container["Environment"]);
            assert_eq!(told.remove("DUCTWORK_FILES"), component == "worker", "{component}: shared files");
            // The scaler runs no code of DAGs.
            let runs_dags = container["Name"] != "scaler";
            assert_eq!(told.remove("DUCTWORK_ECS_TASKS"), runs_dags, "{component}: external tasks");
            assert_eq!(told, wanted, "{component}");
        }
    }
}

/// The ECS agent makes streams, never groups.
#[test]
fn every_container_has_a_log_group() {
    let all = fargate();
    let groups: BTreeSet<String> =
        ["observability.yaml", "engines/ecs/cluster.yaml", "engines/ecs/executor-identity.yaml"]
            .iter()
            .flat_map(|name| calls(&all[*name].whole["Resources"], "LogGroupName"))
            .map(|name| name["Fn::Sub"].as_str().unwrap().replace("${MasterStackName}", "ductwork-dev"))
            .collect();
    for component in COMPONENTS {
        for container in containers(&task(component, "sqs", "FARGATE")) {
            let options = &container["LogConfiguration"]["Options"];
            let group = options["awslogs-group"].as_str().unwrap();
            assert!(groups.contains(group), "{component}: there is no group `{group}` in {groups:?}");
            assert_eq!(options["mode"], "non-blocking");
        }
    }
}

#[test]
fn tasks_stop_and_are_replaced_gently() {
    for component in COMPONENTS {
        let task = task(component, "sqs", "FARGATE");
        let container = &containers(&task)[0];
        assert_eq!(container["StopTimeout"], "120", "{component}");
        let check = container.get("HealthCheck").map(|check| check["Command"].clone());
        let python = "/opt/ductwork/venv/bin/python";
        let wanted = json!(["CMD", python, "-m", "ductwork_airflow.images.health", component]);
        assert_eq!(check, (!["migrate", "executor"].contains(&component)).then_some(wanted), "{component}");
    }
    let definition = &fargate()["engines/ecs/task.yaml"].whole["Resources"]["Task"];
    assert_eq!(
        definition["UpdateReplacePolicy"], "Retain",
        "tasks run on, and rollbacks go to, earlier revisions"
    );
}

#[test]
fn shared_files_are_reached_by_an_access_point_and_encrypted() {
    let files = |component| {
        let task = task(component, "sqs", "FARGATE");
        let volumes = task["Volumes"].as_array().unwrap().clone();
        volumes.into_iter().find_map(|volume| volume.get("EFSVolumeConfiguration").cloned())
    };
    let files = [files("worker").unwrap(), files("scheduler").unwrap_or_default()];
    assert_eq!(files[0]["TransitEncryption"], "ENABLED");
    let by = json!({ "AccessPointId": "${FileAccessPointId}", "IAM": "ENABLED" });
    assert_eq!(files[0]["AuthorizationConfig"], by);
    assert!(files[1].is_null());
    let all = fargate();
    let policy = statements(&all["engines/ecs/worker-set.yaml"].whole["Resources"]["Files"]);
    let condition = &policy["ShareFiles"]["Condition"]["StringEquals"];
    assert!(condition["elasticfilesystem:AccessPointArn"].to_string().contains("${FileAccessPointId}"));
}

fn service<'t>(
    template: &'t Template,
    component: &'static str,
    more: &[(&'t str, &'t str)],
) -> Evaluated<'t> {
    let mut given = vec![
        ("Component", component),
        ("WorkerSet", if component == "worker" { "big" } else { "" }),
        ("MasterStackName", "ductwork-dev"),
        ("Compatibility", "FARGATE"),
        ("SpotCapacityProvider", "FARGATE_SPOT"),
        ("TargetGroupArn", ""),
        ("RegistryArn", ""),
        ("SleepSchedule", ""),
        ("WakeSchedule", ""),
    ];
    given.extend(more);
    evaluated(template, &given)
}

/// A stack that said either would take back what the tool, the scaler and target tracking have decided.
#[test]
fn a_stack_says_neither_how_many_tasks_there_are_nor_of_which_revision() {
    let all = fargate();
    for component in ["api-server", "worker"] {
        let service = service(&all["engines/ecs/service.yaml"], component, &[]).properties("Service");
        assert!(service.get("DesiredCount").is_none());
        let family = task(component, "sqs", "FARGATE")["Family"].clone();
        assert_eq!(
            service["TaskDefinition"], family,
            "the family alone, whose newest revision a new service gets"
        );
        let breaker = &service["DeploymentConfiguration"]["DeploymentCircuitBreaker"];
        assert_eq!([&breaker["Enable"], &breaker["Rollback"]], ["true", "true"]);
        let limits = &service["DeploymentConfiguration"];
        assert_eq!([&limits["MinimumHealthyPercent"], &limits["MaximumPercent"]], ["100", "200"]);
    }
    let master = &all["master.yaml"].whole["Resources"];
    for id in ["ApiServer", "Scheduler", "DagProcessor", "Triggerer"] {
        let before = master[id]["DependsOn"].as_array().cloned();
        let before = before.unwrap_or_else(|| vec![master[id]["DependsOn"].clone()]);
        assert!(before.contains(&json!(format!("{id}Task"))), "the family is there before its service");
    }
}

/// Between two rollouts it has no task; everything else is the set's own, so that what it proves is true of the others.
#[test]
fn a_worker_set_has_a_canary_where_it_is_asked_for() {
    let all = fargate();
    let template = &all["engines/ecs/service.yaml"];
    for (component, given, has) in
        [("worker", "true", true), ("worker", "false", false), ("scheduler", "true", false)]
    {
        assert_eq!(
            service(template, component, &[("Canary", given)]).has("CanaryService"),
            has,
            "{component}"
        );
    }
    for compatibility in ["FARGATE", "EC2", "MANAGED_INSTANCES"] {
        let worker = service(template, "worker", &[("Canary", "true"), ("Compatibility", compatibility)]);
        let (mut set, mut canary) = (worker.properties("Service"), worker.properties("CanaryService"));
        assert_eq!(canary["ServiceName"], names::canary_service("big"));
        assert_eq!(canary["DesiredCount"], "0");
        let breaker = canary["DeploymentConfiguration"]["DeploymentCircuitBreaker"].clone();
        assert_eq!(
            [&breaker["Enable"], &breaker["Rollback"]],
            ["true", "false"],
            "there is nothing to go back to"
        );
        for own in ["ServiceName", "DesiredCount", "LoadBalancers", "DeploymentConfiguration"] {
            set.as_object_mut().unwrap().remove(own);
            canary.as_object_mut().unwrap().remove(own);
        }
        assert_eq!(canary, set, "{compatibility}");
        assert!(worker.properties("Target")["ResourceId"].as_str().unwrap().ends_with("${Service.Name}"));
    }
    let asked = |text: &str| environment(text).parameters(&Images::example(), None).remove("Canary");
    let canary = format!("{FARGATE}[release]\ncanary_minutes = 5\n");
    assert_eq!([asked(FARGATE), asked(&canary)].map(Option::unwrap), ["false", "true"]);
    assert_eq!(asked(ONLY_ECS), None, "without workers there is no such parameter");
    let sets =
        |id: &str| all["master.yaml"].whole["Resources"][id]["Properties"]["Parameters"]["Canary"].clone();
    assert_eq!(sets("WorkerDefault"), json!({ "Ref": "Canary" }));
    assert_eq!(sets("Scheduler"), "false", "no other stack changes with it");
}

#[test]
fn the_api_server_is_found_by_name_and_behind_the_balancer() {
    let all = fargate();
    let template = &all["engines/ecs/service.yaml"];
    let balanced = service(template, "api-server", &[("TargetGroupArn", "arn"), ("RegistryArn", "registry")]);
    let balanced = balanced.properties("Service");
    assert_eq!(balanced["HealthCheckGracePeriodSeconds"], "1800", "it waits for the migration");
    assert_eq!(balanced["LoadBalancers"][0]["TargetGroupArn"], "arn");
    assert_eq!(balanced["ServiceRegistries"], json!([{ "RegistryArn": "registry" }]));
    let alone = service(template, "scheduler", &[]).properties("Service");
    for key in ["HealthCheckGracePeriodSeconds", "ServiceRegistries"] {
        assert!(alone.get(key).is_none(), "{key}");
    }
    assert_eq!(alone["LoadBalancers"], json!([]), "one that a service had before would stay without a list");
    for (word, target, direct) in
        [("ec2", "instance", "false"), ("fargate", "ip", "true"), ("ecs-ec2", "ip", "true")]
    {
        let all = engine(word);
        let network = &all["master.yaml"].whole["Mappings"]["Engine"]["Network"];
        assert_eq!([&network["TargetType"], &network["DirectTraffic"]], [target, direct], "{word}");
        let behind =
            evaluated(&all["security.yaml"], &[("EntryScheme", "internal"), ("DirectTraffic", direct)]);
        assert_eq!(behind.has("ApiServerFromWorker"), direct == "true", "{word}");
    }
}

#[test]
fn workers_are_scaled_within_bounds_and_sleep() {
    let all = fargate();
    let template = &all["engines/ecs/service.yaml"];
    let schedule = [("SleepSchedule", "cron(0 20 * * ? *)"), ("WakeSchedule", "cron(0 6 * * ? *)")];
    let bounds = [("MinCount", "1"), ("MaxCount", "9")];
    let worker = service(template, "worker", &[&schedule[..], &bounds].concat());
    let target = worker.properties("Target");
    assert_eq!([&target["MinCapacity"], &target["MaxCapacity"]], ["1", "9"]);
    let actions = target["ScheduledActions"].as_array().unwrap();
    assert_eq!(actions[0]["ScalableTargetAction"], json!({ "MinCapacity": "0", "MaxCapacity": "0" }));
    assert_eq!(actions[1]["ScalableTargetAction"], json!({ "MinCapacity": "1", "MaxCapacity": "9" }));
    assert!(!worker.has("ApiServerScaling"), "the scaler counts workers");
    assert_eq!(worker.properties("Service")["AvailabilityZoneRebalancing"], "DISABLED");
    let awake = service(template, "worker", &bounds).properties("Target");
    assert!(awake.get("ScheduledActions").is_none());
    let api = service(template, "api-server", &[]);
    assert!(api.has("ApiServerScaling"));
    let given = &all["master.yaml"].whole["Resources"]["ApiServer"]["Properties"]["Parameters"];
    let bounds = [&given["MinCount"]["Ref"], &given["MaxCount"]["Ref"]];
    assert_eq!(bounds, ["ApiServerCount", "ApiServerMaxCount"]);
}

/// Spot is for workers: what else is interrupted would take Airflow away.
#[test]
fn only_workers_are_spot_and_by_their_shares() {
    let all = fargate();
    let shares = [
        ("OnDemandBase", "2"),
        ("OnDemandPercent", "20"),
        ("SpotPercent", "80"),
        ("CapacityProvider", "FARGATE"),
    ];
    let template = &all["engines/ecs/service.yaml"];
    let strategy =
        service(template, "worker", &shares).properties("Service")["CapacityProviderStrategy"].clone();
    let wanted = json!([
        { "CapacityProvider": "FARGATE", "Base": "2", "Weight": "20" },
        { "CapacityProvider": "FARGATE_SPOT", "Weight": "80" },
    ]);
    assert_eq!(strategy, wanted);
    let on_hosts = service(template, "worker", &[&shares[..], &[("SpotCapacityProvider", "-")]].concat());
    assert_eq!(on_hosts.properties("Service")["CapacityProviderStrategy"].as_array().unwrap().len(), 1);
    let master = &all["master.yaml"].whole["Resources"];
    for id in ["ApiServer", "Scheduler", "DagProcessor", "Triggerer"] {
        let given = &master[id]["Properties"]["Parameters"];
        assert_eq!([&given["OnDemandPercent"], &given["SpotPercent"]], ["100", "0"], "{id}");
    }
    let given = &master["WorkerDefault"]["Properties"]["Parameters"];
    assert_eq!([&given["OnDemandBase"], &given["SpotPercent"]], ["2", "100"]);
}

/// Without NAT, only an address of their own gets tasks out; with it, they have none.
#[test]
fn tasks_are_public_only_without_nat() {
    for (text, nat, address) in
        [(PUBLIC, "none", "ENABLED"), (FARGATE, "per-zone", "DISABLED"), (ECS_EC2, "single", "DISABLED")]
    {
        let environment = environment(text);
        let given = environment.parameters(&Images::example(), None);
        assert_eq!([&given["NatMode"], &given["AssignPublicIp"]], [nat, address]);
        let master = &all_of(&environment)["master.yaml"];
        let subnets = &master.whole["Resources"]["Scheduler"]["Properties"]["Parameters"]["SubnetIds"];
        assert_eq!(
            subnets["Fn::GetAtt"], "Network.Outputs.HostSubnetIds",
            "the public ones where there is no NAT"
        );
    }
}

/// What the stack generates, ECS puts into containers: no code that runs in one can ask for more.
#[test]
fn no_role_of_a_task_reads_generated_secrets() {
    let all = fargate();
    let (identity, policy) = (&all["engines/ecs/identity.yaml"], &all["engines/ecs/task-policy.yaml"]);
    let reads = |statements: &BTreeMap<String, Value>| -> String {
        let secret = |one: &&Value| one["Action"].to_string().contains("secretsmanager");
        statements.values().filter(secret).map(|one| one["Resource"].to_string()).collect()
    };
    let tasks = ["ApiServerRole", "SchedulerRole", "DagProcessorRole", "TriggererRole", "MigrateRole"];
    let roles = tasks.map(|id| reads(&statements(&identity.whole["Resources"][id])));
    let shared = reads(&statements(&policy.whole["Resources"]["TaskPolicy"]));
    assert!(shared.contains("/connections/*") && shared.contains("/variables/*"));
    for text in roles.iter().chain([&shared]) {
        assert!(!text.contains("SecretArn") && !text.contains("platform"), "{text}");
    }
    assert!(roles[0].contains("/login/*") && roles[1..].iter().all(String::is_empty), "{roles:?}");
    let starting = |id: &str| reads(&statements(&identity.whole["Resources"][id]));
    assert!(starting("ExecutionRole").contains("JwtSecretArn"));
    for secret in ["Jwt", "Admin", "Service"] {
        assert!(!starting("WorkerExecutionRole").contains(secret), "{secret}: code of DAGs runs in workers");
    }
}

#[test]
fn who_counts_workers_counts_only_its_own() {
    let all = fargate();
    let scheduler = statements(&all["engines/ecs/identity.yaml"].whole["Resources"]["SchedulerRole"]);
    let resource = scheduler["ScaleWorkers"]["Resource"]["Fn::Sub"].as_str().unwrap();
    assert!(resource.ends_with(":service/${MasterStackName}/worker-*"), "{resource}");
    assert_eq!(scheduler["PublishMetrics"]["Condition"]["StringEquals"]["cloudwatch:namespace"], "Ductwork");
    let queue = &all["worker-queue.yaml"];
    let given = |are| {
        [
            ("WorkersAre", are),
            ("OnScheduler", "false"),
            ("BrokerKind", "sqs"),
            ("WorkerManagedPolicyArns", ""),
        ]
    };
    let role = |are| evaluated(queue, &given(are)).properties("Role");
    let (containers, hosts) = (role("containers"), role("hosts"));
    let known = &statements(&containers)["KnowRevision"]["Resource"];
    for (one, service) in [(0, "canary-${WorkerSet}"), (1, "worker-${WorkerSet}")] {
        assert!(known[one].as_str().unwrap().ends_with(&format!(":service/${{MasterStackName}}/{service}")));
    }
    let keep = &statements(&containers)["KeepContainer"];
    assert_eq!(keep["Action"], json!(["ecs:GetTaskProtection", "ecs:UpdateTaskProtection"]));
    assert!(keep["Resource"].as_str().unwrap().ends_with(":task/${MasterStackName}/*"), "{keep}");
    let names = |role: &Value| -> Vec<String> { statements(role).into_keys().collect() };
    assert_eq!(
        names(&containers),
        ["KeepContainer", "KnowRevision", "ReadBundles", "TakeTasks", "WriteLogs"]
    );
    assert_eq!(names(&hosts), ["KeepHost", "KnowRevision", "ReadBundles", "TakeTasks", "WriteLogs"]);
    for role in [&containers, &hosts] {
        let written = &statements(role)["WriteLogs"]["Resource"];
        assert!(
            written[1].as_str().unwrap().ends_with("/environments/${EnvironmentName}/drains/*"),
            "{written}"
        );
    }
    let trusts = |role: &Value| role["AssumeRolePolicyDocument"]["Statement"][0].clone();
    assert_eq!(trusts(&containers)["Principal"]["Service"], "ecs-tasks.amazonaws.com");
    assert_eq!(trusts(&hosts)["Principal"]["Service"], "ec2.amazonaws.com");
    assert!(trusts(&hosts).get("Condition").is_none(), "hosts of earlier releases have the same role");
    assert!(evaluated(queue, &given("hosts")).has("Profile"));
    assert!(!evaluated(queue, &given("containers")).has("Profile"));
}

#[test]
fn hosts_of_tasks_come_and_go_with_them() {
    let all = engine("ecs-ec2");
    let template = &all["engines/ecs/host-capacity.yaml"].whole["Resources"];
    let provider = &template["Provider"]["Properties"]["AutoScalingGroupProvider"];
    assert_eq!(provider["ManagedScaling"]["Status"], "ENABLED");
    assert_eq!(
        [&provider["ManagedTerminationProtection"], &provider["ManagedDraining"]],
        ["ENABLED", "ENABLED"]
    );
    let group = &template["Group"]["Properties"];
    assert_eq!(group["NewInstancesProtectedFromScaleIn"], "true", "termination protection needs it");
    assert!(group["Tags"].to_string().contains("AmazonECSManaged"));
    let launched = &template["LaunchTemplate"]["Properties"]["LaunchTemplateData"];
    assert_eq!(launched["MetadataOptions"]["HttpTokens"], "required");
    assert_eq!(launched["BlockDeviceMappings"][0]["Ebs"]["Encrypted"], "true");
    let script = launched["UserData"]["Fn::Base64"]["Fn::Sub"].as_str().unwrap();
    for setting in
        ["ECS_CLUSTER=${ClusterName}", "ECS_AWSVPC_BLOCK_IMDS=true", "ECS_ENABLE_SPOT_INSTANCE_DRAINING=true"]
    {
        assert!(script.contains(setting), "{setting}");
    }
    let capacity = |all: &BTreeMap<String, Template>| {
        all["master.yaml"].whole["Mappings"]["TaskCapacity"]["Task"].clone()
    };
    assert_eq!(capacity(all), json!({ "Compatibility": "EC2", "SpotCapacityProvider": "-" }));
    assert_eq!(
        capacity(fargate()),
        json!({ "Compatibility": "FARGATE", "SpotCapacityProvider": "FARGATE_SPOT" })
    );
}

/// What `RunTask` and the rollout of services need, by the names that the tool reads.
#[test]
fn the_tool_finds_services_and_revisions() {
    let mut wanted: BTreeSet<String> = [
        "ClusterName",
        "TaskSubnetIds",
        "TaskSecurityGroupId",
        "AssignPublicIp",
        "MigrateTaskDefinition",
        "ExecutionUrl",
    ]
    .map(str::to_owned)
    .into();
    for prefix in ["ApiServer", "Scheduler", "DagProcessor", "Triggerer", "WorkerDefault"] {
        wanted.extend(["Service", "TaskDefinition"].map(|end| format!("{prefix}{end}")));
    }
    for (engine, all) in engines().iter().filter(|(word, _)| *word != "ec2") {
        let outputs: BTreeSet<String> = all["master.yaml"].outputs().into_keys().map(str::to_owned).collect();
        assert!(wanted.is_subset(&outputs), "{engine}: {:?}", wanted.difference(&outputs));
        let none = ["AddressAllocationId", "CodeDeployApplication"];
        for name in none {
            assert_eq!(all["master.yaml"].outputs()[name]["Value"], CONTRACT.outputs.none.as_str(), "{name}");
        }
    }
    let ec2 = engine("ec2");
    assert!(!ec2["master.yaml"].outputs().contains_key("ClusterName"));
    assert!(ec2.keys().all(|name| !name.starts_with("engines/ecs/")), "hosts have no templates of tasks");
}

/// High availability is a matter of numbers: two of everything, over zones.
#[test]
fn each_component_can_be_there_twice() {
    let given = environment(FARGATE).parameters(&Images::example(), None);
    let all = fargate();
    for id in ["ApiServer", "Scheduler", "DagProcessor", "Triggerer"] {
        let count = format!("{id}Count");
        assert!(given[&count].parse::<u32>().unwrap() >= 2, "{count}");
        let passed =
            &all["master.yaml"].whole["Resources"][id]["Properties"]["Parameters"]["MinCount"]["Ref"];
        assert_eq!(*passed, *count);
    }
    let service = service(&all["engines/ecs/service.yaml"], "scheduler", &[]).properties("Service");
    assert_eq!(service["AvailabilityZoneRebalancing"], "ENABLED");
}
