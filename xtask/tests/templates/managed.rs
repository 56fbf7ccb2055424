//! Instances that ECS manages, as capacity of `ecs-ec2`.

use super::evaluated::evaluated;
use super::template::{Template, engine};
use serde_json::{Value, json};
use std::collections::BTreeMap;

const CAPACITY: &str = "engines/ecs/managed-capacity.yaml";

fn managed() -> &'static BTreeMap<String, Template> {
    engine("managed")
}

fn resource(id: &str) -> Value {
    managed()[CAPACITY].whole["Resources"][id].clone()
}

#[test]
fn the_provider_belongs_to_its_cluster_by_being_made() {
    let master = &managed()["master.yaml"].whole;
    assert_eq!(
        master["Mappings"]["TaskCapacity"]["Task"],
        json!({ "Compatibility": "MANAGED_INSTANCES", "SpotCapacityProvider": "-" })
    );
    assert_eq!(master["Resources"]["Capacity"]["Properties"]["TemplateURL"], CAPACITY);
    let provider = resource("Provider");
    assert_eq!(provider["Properties"]["ClusterName"], json!({ "Ref": "ClusterName" }));
    assert_eq!(provider["DependsOn"], "Association", "which replaces the list of providers");
    let association = resource("Association");
    assert_eq!(association["Properties"]["CapacityProviders"], json!(["FARGATE", "FARGATE_SPOT"]));
    let fargate = &engine("fargate")["engines/ecs/fargate-capacity.yaml"].whole["Resources"];
    assert_eq!(association, fargate["Association"], "so that a change of the engine does not touch it");
}

#[test]
fn instances_have_the_processor_of_the_image_and_no_other_rights_than_theirs() {
    let makers = |processor: &'static str| {
        let given = [("TaskArchitecture", processor), ("ClusterVolumeGiB", "50")];
        let provider = evaluated(&managed()[CAPACITY], &given).properties("Provider");
        let template = provider["ManagedInstancesProvider"]["InstanceLaunchTemplate"].clone();
        assert_eq!(template["StorageConfiguration"]["StorageSizeGiB"], "50");
        template["InstanceRequirements"]["CpuManufacturers"].clone()
    };
    assert_eq!(makers("X86_64"), json!(["intel", "amd"]));
    assert_eq!(makers("ARM64"), json!(["amazon-web-services"]));
    let passing =
        &resource("InfrastructureRole")["Properties"]["Policies"][0]["PolicyDocument"]["Statement"][0];
    assert_eq!(passing["Action"], "iam:PassRole", "AWS's policy knows roles of one name only");
    assert_eq!(passing["Resource"], json!({ "Fn::GetAtt": "Role.Arn" }));
    let trusts =
        |id| resource(id)["Properties"]["AssumeRolePolicyDocument"]["Statement"][0]["Principal"].clone();
    assert_eq!(trusts("InfrastructureRole")["Service"], "ecs.amazonaws.com");
    assert_eq!(trusts("Role")["Service"], "ec2.amazonaws.com");
}

/// Placement strategies and Docker's options are of container instances of one's own.
#[test]
fn services_and_tasks_ask_for_nothing_that_managed_instances_lack() {
    for (compatibility, own) in [("EC2", true), ("MANAGED_INSTANCES", false), ("FARGATE", false)] {
        let given = [
            ("Component", "scheduler"),
            ("WorkerSet", ""),
            ("BrokerKind", "sqs"),
            ("Compatibility", compatibility),
            ("FileSystemId", ""),
            ("EphemeralGiB", "20"),
            ("MasterStackName", "ductwork-dev"),
        ];
        let task = evaluated(&managed()["engines/ecs/task.yaml"], &given).properties("Task");
        assert_eq!(task["RequiresCompatibilities"], json!([compatibility]));
        assert_eq!(task["NetworkMode"], "awsvpc");
        assert!(task.get("EphemeralStorage").is_none());
        let options = task["ContainerDefinitions"][0].get("DockerSecurityOptions").is_some();
        assert_eq!(options, own, "{compatibility}");
        let given = [
            ("Component", "scheduler"),
            ("WorkerSet", ""),
            ("Compatibility", compatibility),
            ("MasterStackName", "ductwork-dev"),
            ("ClusterName", "ductwork-dev"),
            ("CapacityProvider", "p"),
            ("SpotCapacityProvider", "-"),
            ("OnDemandBase", "0"),
            ("OnDemandPercent", "100"),
            ("SpotPercent", "0"),
            ("TargetGroupArn", ""),
            ("RegistryArn", ""),
            ("SubnetIds", "subnet-1"),
            ("SleepSchedule", ""),
            ("WakeSchedule", ""),
        ];
        let service = evaluated(&managed()["engines/ecs/service.yaml"], &given).properties("Service");
        assert_eq!(service.get("PlacementStrategies").is_some(), own, "{compatibility}");
    }
}
