//! Environments on ECS: their defaults, and the keys of other engines.

use super::tests::{aws, bad, good};
use crate::config::values::{Insights, TaskSize};
use crate::config::{Environment, Images, resolve};
use crate::model::engine::Engine;
use std::collections::BTreeMap;

/// An environment without a name of its own, reached at the load balancer.
fn on(engine: Engine, more: &str) -> String {
    let entry = if more.contains("[entry]") { "" } else { "[entry]\nallowed_cidrs = ['203.0.113.0/24']\n" };
    format!("engine = '{engine}'\n[aws]\naccount = '111122223333'\nregion = 'eu-central-1'\n{entry}{more}")
}

fn fargate(more: &str) -> Environment {
    good(&on(Engine::Fargate, more))
}

fn instances(more: &str) -> Environment {
    good(&on(Engine::EcsEc2, more))
}

/// The parameters of one environment that the other does not give or gives differently.
fn beyond(other: &Environment, one: &Environment) -> String {
    let (one, other) = (one.parameters(&Images::example(), None), other.parameters(&Images::example(), None));
    let differs = |(name, value): &(&String, &String)| other.get(*name) != Some(*value);
    one.iter().filter(differs).map(|(name, value)| format!("{name}={value}\n")).collect()
}

#[test]
fn a_stack_on_fargate_is_given_services_and_no_hosts() {
    let plain = good(&on(Engine::Ec2, ""));
    insta::assert_snapshot!(beyond(&plain, &fargate("")), @r"
    ApiServerCpu=512
    ApiServerMaxCount=1
    ApiServerMemory=2048
    AssignPublicIp=DISABLED
    BrokerImage=public.ecr.aws/valkey/valkey:8.1.10
    BrokerRepository=
    Canary=false
    ContainerInsights=enabled
    DagProcessorCount=1
    DagProcessorCpu=512
    DagProcessorManagedPolicyArns=
    DagProcessorMemory=2048
    EcsExecutorCpu=512
    EcsExecutorManagedPolicyArns=
    EcsExecutorMemory=1024
    EntryScheme=internet-facing
    Executors=celery
    FlowerEnabled=false
    Image=000000000000.dkr.ecr.us-east-1.amazonaws.com/ductwork@sha256:0000000000000000000000000000000000000000000000000000000000000000
    LogArchive=false
    NatMode=single
    SchedulerCpu=1024
    SchedulerMemory=2048
    SleepSchedule=
    TaskArchitecture=X86_64
    TriggererCount=1
    TriggererCpu=512
    TriggererManagedPolicyArns=
    TriggererMemory=1024
    WakeSchedule=
    ");
    insta::assert_snapshot!(beyond(&fargate(""), &plain), @r"
    ApiServerInstanceType=t3.small
    ApiServerOnScheduler=false
    ApiServerVolumeGiB=30
    EntryScheme=none
    HostImage=ami-00000000
    NatMode=none
    SchedulerInstanceType=t3.medium
    SchedulerVolumeGiB=30
    SleepCron=
    WakeCron=
    ");
}

#[test]
fn a_stack_on_instances_is_given_these_too() {
    insta::assert_snapshot!(beyond(&fargate(""), &instances("")), @r"
    ClusterImage=ami-00000000
    ClusterInstanceType=t3.large
    ClusterMaxCount=4
    ClusterMinCount=1
    ClusterMoreInstanceTypes=
    ClusterOnDemandPercent=100
    ClusterVolumeGiB=30
    ");
    assert_eq!(beyond(&instances(""), &fargate("")), "");
    let more = "[hosts]\narchitecture = 'arm64'\n[cluster]\nmore_instance_types = ['m7g.large']\nmin = 0\nmax = 6\n\
                spot_percent = 50\nvolume_gib = 40\ninsights = 'enhanced'\n";
    insta::assert_snapshot!(beyond(&instances(""), &instances(more)), @r"
    ClusterInstanceType=t4g.large
    ClusterMaxCount=6
    ClusterMinCount=0
    ClusterMoreInstanceTypes=m7g.large
    ClusterOnDemandPercent=50
    ClusterVolumeGiB=40
    ContainerInsights=enhanced
    TaskArchitecture=ARM64
    ");
}

#[test]
fn worker_sets_are_tasks_with_a_size() {
    let set = |environment: &Environment| {
        serde_json::to_string(&environment.worker_sets()[0].parameters()).unwrap()
    };
    let written = "[workers.default]\ncpu = 2048\nmemory = 8192\nephemeral_gib = 50\nspot_percent = 80\n\
                   on_demand_base = 1\nmin = 1\nmax = 5\nmanaged_policies = ['arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess']\n";
    insta::assert_snapshot!(set(&fargate("")), @r#"{"Concurrency":"4","Cpu":"1024","EphemeralGiB":"20","MaxCount":"1","Memory":"4096","MinCount":"1","OnDemandBase":"0","OnDemandPercent":"100","Queue":"default","SpotPercent":"0","WorkerManagedPolicyArns":"","WorkerSet":"default"}"#);
    insta::assert_snapshot!(set(&fargate(written)), @r#"{"Concurrency":"4","Cpu":"2048","EphemeralGiB":"50","MaxCount":"5","Memory":"8192","MinCount":"1","OnDemandBase":"1","OnDemandPercent":"20","Queue":"default","SpotPercent":"80","WorkerManagedPolicyArns":"arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess","WorkerSet":"default"}"#);
    insta::assert_snapshot!(set(&instances("[workers.default]\ncpu = 200\nmemory = 300\n")), @r#"{"Concurrency":"4","Cpu":"200","EphemeralGiB":"20","MaxCount":"1","Memory":"300","MinCount":"1","OnDemandBase":"0","OnDemandPercent":"100","Queue":"default","SpotPercent":"0","WorkerManagedPolicyArns":"","WorkerSet":"default"}"#);
    assert_eq!(fargate("").worker_sets()[0].settings(), good(&aws("")).worker_sets()[0].settings());
}

#[test]
fn high_availability_does_on_ecs_what_it_does_on_hosts() {
    let high = |engine, more: &str| good(&format!("high_availability = true\n{}", on(engine, more)));
    insta::assert_snapshot!(beyond(&fargate(""), &high(Engine::Fargate, "")), @r"
    ApiServerCount=2
    ApiServerMaxCount=2
    CacheReplicas=1
    DagProcessorCount=2
    DatabaseMultiAz=true
    EntryScheme=internal
    NatMode=per-zone
    SchedulerCount=2
    TriggererCount=2
    ");
    insta::assert_snapshot!(beyond(&instances(""), &high(Engine::EcsEc2, "")), @r"
    ApiServerCount=2
    ApiServerMaxCount=2
    CacheReplicas=1
    ClusterMaxCount=8
    ClusterMinCount=2
    DagProcessorCount=2
    DatabaseMultiAz=true
    EntryScheme=internal
    NatMode=per-zone
    SchedulerCount=2
    TriggererCount=2
    ");
    assert_eq!(high(Engine::Fargate, "").worker_sets()[0].min, 2);
    let written = "[services]\nscheduler.count = 1\ntriggerer.count = 1\ndag_processor.count = 1\napi_server.count = 1\n\
                   [workers.default]\nmin = 1\n";
    let high = high(Engine::Fargate, written);
    assert!(!beyond(&fargate(""), &high).contains("Count"), "what is written stays");
    assert_eq!(high.worker_sets()[0].min, 1);
}

/// Public subnets without NAT are the cheap option; tasks reach each other inside the VPC.
#[test]
fn tasks_are_reached_at_a_load_balancer_and_private_unless_that_is_written() {
    let of = |environment: &Environment| {
        let given = environment.parameters(&Images::example(), None);
        ["EntryScheme", "NatMode", "AssignPublicIp"].map(|name| given[name].clone())
    };
    assert_eq!(of(&fargate("")), ["internet-facing", "single", "DISABLED"]);
    assert_eq!(of(&fargate("[network]\nnat = 'none'\n")), ["internet-facing", "none", "ENABLED"]);
    let existing =
        "[network]\nvpc_id = 'vpc-0a1b2c3d'\nsubnet_ids = ['subnet-0a1b2c3d', 'subnet-1a1b2c3d']\n";
    assert_eq!(of(&fargate(existing)), ["internal", "none", "DISABLED"]);
    let local = resolve("local", "engine = 'fargate'\naws.endpoint = 'local'", "").unwrap();
    assert_eq!(of(&local), ["none", "none", "ENABLED"]);
    assert_eq!(local.container.base.name(), "scratch");
    insta::assert_snapshot!(bad(&on(Engine::Fargate, "[entry]\nload_balancer = 'none'\nallowed_cidrs = ['10.0.0.0/8']\n")), @r#"
    environments/dev.toml:6 `entry.load_balancer`: tasks have no address that stays the same, so Airflow on ECS requires a load balancer [conflict]
        set `load_balancer = "internet_facing"` or `load_balancer = "internal"`
    "#);
}

#[test]
fn keys_of_hosts_mean_nothing_to_tasks() {
    let text = "[hosts]\nimage = 'ami-0a1b2c3d'\npackages = ['graphviz']\ndrain_minutes = 50\narchitecture = 'arm64'\n\
                api_server.on_scheduler = true\nscheduler.instance_type = 't3.large'\n[cluster]\ninsights = 'disabled'\n\
                min = 1\nspot_percent = 10\n[workers.default]\ninstance_type = 't3.large'\nvolume_gib = 20\nrollout = 'all_at_once'\n\
                on_scheduler = true\nspot_percent = 50\nmax = 2\n";
    insta::assert_snapshot!(bad(&on(Engine::Fargate, text)), @r#"
    environments/dev.toml:8 `hosts.image`: `image` has no effect on the engine `fargate` [conflict]
        remove it: components run from the container image, see `[image]`
    environments/dev.toml:9 `hosts.packages`: `packages` has no effect on the engine `fargate` [conflict]
        set `packages` under `[image]` instead
    environments/dev.toml:10 `hosts.drain_minutes`: `drain_minutes` has no effect on the engine `fargate` [conflict]
        remove it: workers end their tasks before they stop, however long these take
    environments/dev.toml:12 `hosts.api_server.on_scheduler`: `on_scheduler` has no effect on the engine `fargate` [conflict]
        remove it: every component has a service of its own
    environments/dev.toml:13 `hosts.scheduler.instance_type`: `instance_type` has no effect on the engine `fargate` [conflict]
        set `cpu`, `memory` and `count` under `[services.scheduler]` instead
    environments/dev.toml:16 `cluster.min`: `min` has no effect on the engine `fargate` [conflict]
        remove it, or set `engine = "ecs-ec2"`, whose cluster has instances
    environments/dev.toml:17 `cluster.spot_percent`: `spot_percent` has no effect on the engine `fargate` [conflict]
        remove it, or set `engine = "ecs-ec2"`, whose cluster has instances
    environments/dev.toml:19 `workers.default.instance_type`: `instance_type` has no effect on the engine `fargate` [conflict]
        set `cpu` and `memory` instead
    environments/dev.toml:20 `workers.default.volume_gib`: `volume_gib` has no effect on the engine `fargate` [conflict]
        remove it: `ephemeral_gib` on `fargate` and `cluster.volume_gib` on `ecs-ec2` are the room for files
    environments/dev.toml:21 `workers.default.rollout`: `rollout` has no effect on the engine `fargate` [conflict]
        remove it: ECS starts new workers before old ones stop
    environments/dev.toml:22 `workers.default.on_scheduler`: `on_scheduler` has no effect on the engine `fargate` [conflict]
        remove it: every worker set has a service of its own
    "#);
    insta::assert_snapshot!(bad(&on(Engine::EcsEc2, "[workers.big]\nspot_percent = 50\non_demand_base = 2\nephemeral_gib = 30\n")), @r"
    environments/dev.toml:8 `workers.big.spot_percent`: `spot_percent` has no effect on the engine `ecs-ec2` [conflict]
        set it under `[cluster]` instead: worker sets share its instances
    environments/dev.toml:9 `workers.big.on_demand_base`: `on_demand_base` has no effect on the engine `ecs-ec2` [conflict]
        remove it: worker sets share the instances of the cluster
    environments/dev.toml:10 `workers.big.ephemeral_gib`: `ephemeral_gib` has no effect on the engine `ecs-ec2` [conflict]
        remove it: `workers.*.volume_gib` on `ec2` and `cluster.volume_gib` on `ecs-ec2` are the room for files
    ");
}

#[test]
fn keys_of_tasks_mean_nothing_to_hosts() {
    let text = "[services.scheduler]\ncpu = 1\n[cluster]\ninsights = 'much'\nmax = 1\n\
                [workers.default]\ncpu = 1024\nephemeral_gib = 30\n";
    insta::assert_snapshot!(bad(&aws(text)), @r#"
    environments/dev.toml:7 `services.scheduler.cpu`: `cpu` has no effect on the engine `ec2` [conflict]
        remove it, or set `engine = "fargate"` or `engine = "ecs-ec2"`
    environments/dev.toml:9 `cluster.insights`: `insights` has no effect on the engine `ec2` [conflict]
        remove it, or set `engine = "fargate"` or `engine = "ecs-ec2"`
    environments/dev.toml:10 `cluster.max`: `max` has no effect on the engine `ec2` [conflict]
        remove it, or set `engine = "ecs-ec2"`, whose cluster has instances
    environments/dev.toml:12 `workers.default.cpu`: `cpu` has no effect on the engine `ec2` [conflict]
        set `instance_type` instead
    environments/dev.toml:13 `workers.default.ephemeral_gib`: `ephemeral_gib` has no effect on the engine `ec2` [conflict]
        remove it: `workers.*.volume_gib` on `ec2` and `cluster.volume_gib` on `ecs-ec2` are the room for files
    "#);
}

/// Whose keys they are is not known then.
#[test]
fn an_unknown_engine_is_told_alone() {
    let told =
        bad(&on(Engine::Fargate, "[services.scheduler]\ncount = 1\n").replace("'fargate'", "'fargat'"));
    assert_eq!(told.lines().count(), 2, "{told}");
}

#[test]
fn sizes_that_fargate_does_not_offer() {
    let text = "[services]\napi_server = { cpu = 300, memory = 2048 }\nscheduler.memory = 1000\ndag_processor.cpu = -1\n\
                triggerer.count = 5\n[workers.default]\ncpu = 4096\nmemory = 4096\nephemeral_gib = 10\n";
    insta::assert_snapshot!(bad(&on(Engine::Fargate, text)), @r"
    environments/dev.toml:8 `services.api_server.memory`: Fargate has no tasks with 300 CPU units and 2048 MiB [invalid_value]
        use `cpu = 256` with `memory = 2048`, or `cpu = 512` with `memory = 2048`
    environments/dev.toml:9 `services.scheduler.memory`: Fargate has no tasks with 256 CPU units and 1000 MiB [invalid_value]
        use `cpu = 256` with `memory = 512`, or `cpu = 256` with `memory = 1024`
    environments/dev.toml:10 `services.dag_processor.cpu`: `-1` is out of range: 256 to 16384 CPU units [invalid_value]
        use a number from 256 to 16384
    environments/dev.toml:11 `services.triggerer.count`: `5` is out of range: 1 to 4 tasks [invalid_value]
        use a number from 1 to 4
    environments/dev.toml:14 `workers.default.memory`: Fargate has no tasks with 4096 CPU units and 4096 MiB [invalid_value]
        use `cpu = 4096` with `memory = 8192`, or `cpu = 2048` with `memory = 4096`
    environments/dev.toml:15 `workers.default.ephemeral_gib`: `10` is out of range: 20 to 200 GiB [invalid_value]
        use a number from 20 to 200
    ");
}

#[test]
fn tasks_that_no_instance_has_room_for() {
    insta::assert_snapshot!(bad(&on(Engine::EcsEc2, "[cluster]\nmax = 0\n")), @r"
    environments/dev.toml:8 `cluster.max`: `0` is out of range: 1 to 100 instances [invalid_value]
        use a number from 1 to 100
    ");
    let text = "[services.scheduler]\ncpu = 100\n[workers.big]\ncpu = 4096\nmemory = 8192\n[workers.long]\nmemory = 8192\n";
    insta::assert_snapshot!(bad(&on(Engine::EcsEc2, text)), @r"
    environments/dev.toml:8 `services.scheduler.cpu`: `100` is out of range: 128 to 196608 CPU units [invalid_value]
        use a number from 128 to 196608
    ");
    let small =
        "[cluster]\ninstance_type = 't3.medium'\nmin = 3\nmax = 2\nmore_instance_types = ['t4g.medium']\n";
    insta::assert_snapshot!(bad(&on(Engine::EcsEc2, small)), @r#"
    environments/dev.toml:10 `cluster.max`: 2 is less than `min`, which is 3 [conflict]
        use 3 or more, or lower `min`
    environments/dev.toml:11 `cluster.more_instance_types`: `t4g.medium` is arm64, but the hosts are x86_64 [conflict]
        use a type of x86_64, or set `hosts.architecture = "arm64"` for all hosts
    environments/dev.toml `cluster.instance_type`: a task with 1024 CPU units and 4096 MiB does not fit on a `t3.medium`, which has 2048 and less than 4096 [conflict]
        use less, or set a larger `instance_type` under `[cluster]`
    "#);
    // Nothing is known of its size.
    instances("[cluster]\ninstance_type = 'm5.metal'\n[workers.big]\ncpu = 4096\nmemory = 8192\n");
}

#[test]
fn managed_instances_are_chosen_by_ecs() {
    let managed = instances("[cluster]\nmanaged = true\nvolume_gib = 50\n");
    insta::assert_snapshot!(beyond(&fargate(""), &managed), @"ClusterVolumeGiB=50");
    assert!(managed.has_managed_instances());
    assert!(!instances("[cluster]\nmanaged = false\n").has_managed_instances());
    let demands = managed.demands();
    assert!(demands.hosts.is_empty() && demands.tasks.is_empty() && demands.image.is_none());
    // No pair of sizes, and no instance that a task has to fit on.
    instances("[cluster]\nmanaged = true\n[workers.big]\ncpu = 5000\nmemory = 90000\n");
    let text = "[cluster]\nmanaged = true\ninstance_type = 'm7i.large'\nmore_instance_types = ['m6i.large']\n\
                min = 1\nmax = 2\nspot_percent = 50\nvolume_gib = 20\n";
    insta::assert_snapshot!(bad(&on(Engine::EcsEc2, text)), @r"
    environments/dev.toml:9 `cluster.instance_type`: `instance_type` has no effect with `managed = true` [conflict]
        remove it: ECS chooses the instances, as many as the containers need; or remove `managed`
    environments/dev.toml:10 `cluster.more_instance_types`: `more_instance_types` has no effect with `managed = true` [conflict]
        remove it: ECS chooses the instances, as many as the containers need; or remove `managed`
    environments/dev.toml:11 `cluster.min`: `min` has no effect with `managed = true` [conflict]
        remove it: ECS chooses the instances, as many as the containers need; or remove `managed`
    environments/dev.toml:12 `cluster.max`: `max` has no effect with `managed = true` [conflict]
        remove it: ECS chooses the instances, as many as the containers need; or remove `managed`
    environments/dev.toml:13 `cluster.spot_percent`: `spot_percent` has no effect with `managed = true` [conflict]
        remove it: ECS chooses the instances, as many as the containers need; or remove `managed`
    environments/dev.toml:14 `cluster.volume_gib`: `20` is out of range: 30 to 16384 GiB [invalid_value]
        use a number from 30 to 16384
    ");
    insta::assert_snapshot!(bad(&on(Engine::Fargate, "[cluster]\nmanaged = true\n")), @r#"
    environments/dev.toml:8 `cluster.managed`: `managed` has no effect on the engine `fargate` [conflict]
        remove it, or set `engine = "ecs-ec2"`, whose cluster has instances
    "#);
}

#[test]
fn one_number_of_a_size_brings_the_other() {
    let of = |text: &str| {
        let given = fargate(text).parameters(&Images::example(), None);
        ["SchedulerCpu", "SchedulerMemory"].map(|name| given[name].parse::<u32>().unwrap())
    };
    assert_eq!(of("[services.scheduler]\ncpu = 4096\n"), [4096, 8192]);
    assert_eq!(of("[services.scheduler]\nmemory = 12288\n"), [2048, 12_288]);
}

#[test]
fn an_api_server_that_grows() {
    let text = "[services.api_server]\ncount = 2\nmax_count = 6\n";
    insta::assert_snapshot!(beyond(&fargate(""), &fargate(text)), @r"
    ApiServerCount=2
    ApiServerMaxCount=6
    ");
    insta::assert_snapshot!(bad(&on(Engine::Fargate, "[services.api_server]\ncount = 3\nmax_count = 2\n")), @r"
    environments/dev.toml:9 `services.api_server.max_count`: 2 is less than `count`, which is 3 [conflict]
        use 3 or more, or lower `count`
    ");
    let alone =
        "engine = 'fargate'\n[aws]\nendpoint = 'local'\n[services.api_server]\ncount = 2\nmax_count = 3\n";
    insta::assert_snapshot!(bad(alone), @r#"
    environments/dev.toml:5 `services.api_server.count`: more than one API server requires a load balancer [conflict]
        set `load_balancer` to `"internal"` or `"internet_facing"` under `[entry]`, or remove it
    environments/dev.toml:6 `services.api_server.max_count`: more than one API server requires a load balancer [conflict]
        set `load_balancer` to `"internal"` or `"internet_facing"` under `[entry]`, or remove it
    "#);
}

#[test]
fn releases_on_ecs_have_an_image_for_their_tasks() {
    let fargate = |more: &str| on(Engine::Fargate, more);
    let container = good(&fargate("[hosts]\narchitecture = 'arm64'\n")).container;
    assert!(container.deploy);
    assert_eq!(container.architectures[0].as_str(), "arm64");
    assert!(!good(&aws("")).container.deploy);
    good(&aws("[image]\nrepository = 'docker.io/acme/airflow'\narchitectures = ['arm64']\ndeploy = false\n"));
    let text = "[image]\nrepository = 'docker.io/acme/airflow'\narchitectures = ['arm64']\ndeploy = false\n";
    insta::assert_snapshot!(bad(&fargate(text)), @r#"
    environments/dev.toml:8 `image.repository`: tasks on ECS have no login for another registry than that of the account [conflict]
        remove it, to use the repository `ductwork` of the account
    environments/dev.toml:9 `image.architectures`: the image would not be for x86_64, on which the tasks run [conflict]
        add `"x86_64"`, or set `hosts.architecture` to what is listed
    environments/dev.toml:10 `image.deploy`: on ECS, all components run from the image [conflict]
        remove it: on ECS every deployment brings the image along
    "#);
}

#[test]
fn worker_services_sleep_by_the_schedule() {
    let times = |environment: &Environment| {
        let given = environment.parameters(&Images::example(), None);
        ["SleepCron", "WakeCron", "SleepSchedule", "WakeSchedule"].map(|name| given.get(name).cloned())
    };
    let schedule = "[schedule]\nsleep = '0 20 * * *'\nwake = '0 6 * * 1-5'\n";
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(
        times(&fargate(schedule)),
        [None, None, some("cron(0 20 * * ? *)"), some("cron(0 6 ? * MON,TUE,WED,THU,FRI *)")]
    );
    assert_eq!(times(&good(&aws(schedule))), [some("0 20 * * *"), some("0 6 * * 1-5"), None, None]);
    assert_eq!(times(&fargate("")), [None, None, some(""), some("")]);
    let both = "[schedule]\nsleep = '0 20 1 * MON'\nwake = '0 6 * * *'\n";
    good(&aws(both));
    insta::assert_snapshot!(bad(&on(Engine::EcsEc2, both)), @r"
    environments/dev.toml:8 `schedule.sleep`: on ECS, a schedule has days of the month or days of the week, and `0 20 1 * MON` has both [invalid_value]
        write `*` for one of the two
    ");
}

/// As on hosts, a component's role gets what its table says.
#[test]
fn policies_go_to_each_component() {
    let table = |name: &str| format!("[services.{name}]\npolicies = ['policies/{name}.json']\n");
    let text = ["api_server", "scheduler", "dag_processor", "triggerer"].map(table).concat();
    let policies: BTreeMap<String, String> =
        fargate(&text).policies().into_iter().map(|(whose, path)| (whose, path.to_string())).collect();
    insta::assert_snapshot!(serde_json::to_string(&policies).unwrap(), @r#"{"ApiServer":"policies/api_server.json","DagProcessor":"policies/dag_processor.json","Scheduler":"policies/scheduler.json","Triggerer":"policies/triggerer.json"}"#);
}

#[test]
fn sizes_of_services_are_offered_by_fargate() {
    let environment = fargate("");
    let given = environment.parameters(&Images::example(), None);
    for name in ["ApiServer", "Scheduler", "DagProcessor", "Triggerer"] {
        let number = |key: &str| given[&format!("{name}{key}")].parse().unwrap();
        assert!(TaskSize::new(number("Cpu"), number("Memory")).fargate().is_ok(), "{name}");
    }
    assert_eq!(given["ContainerInsights"], Insights::Enabled.as_str());
}

#[test]
fn executors_are_celery_ecs_or_both_in_order() {
    assert_eq!(fargate("").executors(), "celery");
    let first = |words: &str| {
        let text = format!("executors = {words}\n{}", on(Engine::Fargate, ""));
        good(&text).parameters(&Images::example(), None)["Executors"].clone()
    };
    assert_eq!(first("['ecs']"), "ecs");
    assert_eq!(first("['celery', 'ecs']"), "celery,ecs");
    assert_eq!(first("['ecs', 'celery']"), "ecs,celery");
    assert_eq!(good(&on(Engine::Ec2, "")).executors(), "celery");
    insta::assert_snapshot!(bad(&format!("executors = ['batch', 'ecs', 'ecs']\n{}", on(Engine::Fargate, ""))), @r#"
    environments/dev.toml:1 `executors`: invalid executor: `batch` [invalid_value]
        use `celery` or `ecs`
    environments/dev.toml:1 `executors`: `ecs` is listed twice [invalid_value]
        remove one of the two
    environments/dev.toml:1 `executors`: too many values: 3, the limit is 2 [invalid_value]
        remove some of them
    "#);
    insta::assert_snapshot!(bad(&format!("executors = []\n{}", on(Engine::Fargate, ""))), @r#"
    environments/dev.toml:1 `executors`: the list is empty [invalid_value]
        list `celery`, `ecs` or both, or remove it
    "#);
    insta::assert_snapshot!(bad(&format!("executors = ['ecs']\n{}", on(Engine::Ec2, "[ecs_executor]\ncpu = 512\n"))), @r#"
    environments/dev.toml:1 `executors`: `executors` has no effect on the engine `ec2` [conflict]
        remove it: on hosts, tasks run on Celery workers; set `engine = "fargate"` or `engine = "ecs-ec2"` for the executor `ecs`
    environments/dev.toml:9 `ecs_executor.cpu`: `cpu` has no effect on the engine `ec2` [conflict]
        remove it: on hosts, tasks run on Celery workers; set `engine = "fargate"` or `engine = "ecs-ec2"` for the executor `ecs`
    "#);
}

/// Without Celery there is neither a worker nor a queue, and without the ECS executor no task of its own.
#[test]
fn tables_of_an_executor_that_there_is_not_are_refused() {
    let ecs = |more: &str| format!("executors = ['ecs']\n{}", on(Engine::Fargate, more));
    assert!(good(&ecs("")).worker_sets().is_empty());
    let more = "[broker]\nkind = 'valkey'\n[schedule]\nsleep = '0 20 * * *'\nwake = '0 6 * * *'\n[workers.default]\nmin = 1\n";
    insta::assert_snapshot!(bad(&ecs(more)), @r#"
    environments/dev.toml:9 `broker.kind`: `broker.kind` has no effect without the executor `celery` [conflict]
        remove it, or add `"celery"` to `executors`
    environments/dev.toml:11 `schedule.sleep`: `schedule.sleep` has no effect without the executor `celery` [conflict]
        remove it, or add `"celery"` to `executors`
    environments/dev.toml:12 `schedule.wake`: `schedule.wake` has no effect without the executor `celery` [conflict]
        remove it, or add `"celery"` to `executors`
    environments/dev.toml:14 `workers.default.min`: `workers.default.min` has no effect without the executor `celery` [conflict]
        remove it, or add `"celery"` to `executors`
    "#);
    insta::assert_snapshot!(bad(&on(Engine::Fargate, "[ecs_executor]\ncpu = 512\n")), @r#"
    environments/dev.toml:8 `ecs_executor.cpu`: `ecs_executor.cpu` has no effect without the executor `ecs` [conflict]
        remove it, or add `"ecs"` to `executors`
    "#);
    // A task has a size that there is.
    insta::assert_snapshot!(bad(&ecs("[ecs_executor]\ncpu = 512\nmemory = 8192\n")), @r#"
    environments/dev.toml:10 `ecs_executor.memory`: Fargate has no tasks with 512 CPU units and 8192 MiB [invalid_value]
        use `cpu = 512` with `memory = 4096`, or `cpu = 1024` with `memory = 8192`
    "#);
}

/// Hosts have an agent of their own for their logs.
#[test]
fn logs_are_archived_where_tasks_have_a_log_router() {
    let archive = "[logs]\narchive = true\n";
    for environment in [fargate(archive), instances(archive)] {
        assert_eq!(environment.parameters(&Images::example(), None)["LogArchive"], "true");
    }
    insta::assert_snapshot!(bad(&on(Engine::Ec2, archive)), @r#"
    environments/dev.toml:8 `logs.archive`: `archive` has no effect on the engine `ec2` [conflict]
        remove it, or set `engine = "fargate"` or `engine = "ecs-ec2"`
    "#);
}

#[test]
fn the_broker_can_be_a_task() {
    let task = "[broker]\nkind = 'valkey_service'\n";
    insta::assert_snapshot!(beyond(&fargate(""), &fargate(task)), @"BrokerKind=valkey-service");
    let image = format!("{task}image = '111122223333.dkr.ecr.eu-west-1.amazonaws.com/valkey:8.1'\n");
    insta::assert_snapshot!(beyond(&instances(""), &instances(&image)), @r"
    BrokerImage=111122223333.dkr.ecr.eu-west-1.amazonaws.com/valkey:8.1
    BrokerKind=valkey-service
    BrokerRepository=eu-west-1:111122223333:repository/valkey
    ");
    let image = "[broker]\nkind = 'valkey_service'\nimage = 'example.com/valkey:8.1'\n";
    insta::assert_snapshot!(beyond(&fargate(task), &fargate(image)), @r"
    BrokerImage=example.com/valkey:8.1
    ");
}

#[test]
fn a_broker_that_is_a_task_is_refused_where_it_will_not_do() {
    let task = "[broker]\nkind = 'valkey_service'\nnode_type = 'cache.t4g.micro'\nreplicas = 1\n";
    insta::assert_snapshot!(bad(&format!("high_availability = true\n{}", on(Engine::Fargate, task))), @r#"
    environments/dev.toml:9 `broker.kind`: a broker that is a single task does not survive the loss of its zone [conflict]
        set `kind = "sqs"` or `kind = "valkey"`, or remove `high_availability`
    environments/dev.toml:10 `broker.node_type`: `node_type` has no effect on a broker that is a task [conflict]
        remove it, or set `kind = "valkey"`
    environments/dev.toml:11 `broker.replicas`: `replicas` has no effect on a broker that is a task [conflict]
        remove it, or set `kind = "valkey"`
    "#);
    insta::assert_snapshot!(bad(&on(Engine::Ec2, "[broker]\nkind = 'valkey_service'\n")), @r#"
    environments/dev.toml:8 `broker.kind`: on the engine `ec2` there is no ECS to run the broker [conflict]
        set `kind = "valkey"` or `kind = "sqs"`, or the engine `fargate` or `ecs-ec2`
    "#);
    insta::assert_snapshot!(bad(&on(Engine::Fargate, "[broker]\nimage = 'example.com/valkey'\n")), @r#"
    environments/dev.toml:8 `broker.image`: `example.com/valkey` names neither a tag nor a digest [invalid_value]
        add one, for instance `example.com/valkey:1.2`; only a digest is certain to stay the same
    environments/dev.toml:8 `broker.image`: `image` has no effect unless the broker is a task [conflict]
        remove it, or set `kind = "valkey_service"`
    "#);
    insta::assert_snapshot!(bad(&on(Engine::EcsEc2, "[broker]\nkind = 'valkey'\nimage = 'example.com/valkey:8'\n")), @r#"
    environments/dev.toml:9 `broker.image`: `image` has no effect unless the broker is a task [conflict]
        remove it, or set `kind = "valkey_service"`
    "#);
    insta::assert_snapshot!(bad(&on(Engine::Ec2, "[broker]\nimage = 'example.com/valkey:8'\n")), @r#"
    environments/dev.toml:8 `broker.image`: `image` has no effect on the engine `ec2` [conflict]
        remove it: on `ec2` the broker is not a task; set `engine = "fargate"` or `engine = "ecs-ec2"`
    "#);
}

#[test]
fn flower_needs_a_broker_that_carries_answers_and_a_load_balancer() {
    let valkey = "[broker]\nkind = 'valkey_service'\n";
    let with = format!("{valkey}flower = true\n");
    insta::assert_snapshot!(beyond(&fargate(valkey), &fargate(&with)), @"FlowerEnabled=true");
    let alone = "engine = 'fargate'\naws.endpoint = 'local'\n[broker]\nflower = true\n";
    insta::assert_snapshot!(bad(alone), @r#"
    environments/dev.toml:4 `broker.flower`: Flower asks workers through the broker, and SQS carries no answers [conflict]
        set `kind = "valkey"` or `kind = "valkey_service"`, or remove `flower`
    environments/dev.toml:4 `broker.flower`: Flower is reached at the load balancer, and there is none [conflict]
        set `load_balancer = "internal"` under `[entry]`, or remove `flower`
    "#);
    insta::assert_snapshot!(bad(&on(Engine::Ec2, "[broker]\nkind = 'valkey'\nflower = true\n")), @r#"
    environments/dev.toml:9 `broker.flower`: `flower` has no effect on the engine `ec2` [conflict]
        remove it, or set `engine = "fargate"` or `engine = "ecs-ec2"`
    "#);
}

/// The quota of Fargate counts them.
#[test]
fn tasks_around_the_broker_are_asked_for_beforehand() {
    let keys = |more: &str| -> Vec<String> {
        let tasks = fargate(more).demands().tasks;
        tasks.into_iter().map(|task| task.key).filter(|key| key.starts_with("broker")).collect()
    };
    assert_eq!(keys(""), [""; 0]);
    assert_eq!(keys("[broker]\nkind = 'valkey'\nflower = true\n"), ["broker.flower"]);
    assert_eq!(keys("[broker]\nkind = 'valkey_service'\nflower = true\n"), ["broker.kind", "broker.flower"]);
}
