//! Databases, brokers, files, buckets, secrets and backups.

use crate::cloud::{Cloud, has, ids, tags, text};
use serde_json::{Value, json};

/// A parameter that the database's own parameter group sets.
#[track_caller]
fn parameter<'a>(cloud: &'a Cloud, kind: &str, group: &Value, name: &str) -> &'a Value {
    &cloud.get(kind, text(group))["Parameters"][name]
}

fn is_private(cloud: &Cloud, database: &Value) {
    has(database, &json!({ "PubliclyAccessible": false, "StorageEncrypted": true }));
    let groups = ids(&database["VpcSecurityGroups"], "VpcSecurityGroupId");
    assert_eq!(groups, [cloud.output("DatabaseSecurityGroupId")].into());
    let subnets = &cloud.only("database_subnets")["Subnets"];
    assert_eq!(ids(subnets, "SubnetIdentifier"), cloud.list("SubnetIds"));
}

/// RDS for PostgreSQL, with what an environment may choose.
pub fn postgres(cloud: &Cloud, chosen: &Value) {
    let database = cloud.only("databases");
    has(database, &json!({ "Engine": "postgres", "DBName": cloud.output("DatabaseName") }));
    assert!(text(&database["EngineVersion"]).starts_with("17"), "{}", database["EngineVersion"]);
    assert!(database["MaxAllocatedStorage"].as_i64() > database["AllocatedStorage"].as_i64());
    has(database, chosen);
    is_private(cloud, database);
    let group = &database["DBParameterGroups"][0]["DBParameterGroupName"];
    assert_eq!(parameter(cloud, "database_parameters", group, "rds.force_ssl"), "1");
    assert_eq!(cloud.output("DatabaseEngine"), "postgres");
    cloud.none(&["clusters"]);
}

/// Aurora Serverless v2 with a second instance.
pub fn aurora(cloud: &Cloud) {
    let cluster = cloud.only("clusters");
    let capacity = json!({ "MinCapacity": 1.0, "MaxCapacity": 8.5 });
    has(
        cluster,
        &json!({
            "Engine": "aurora-postgresql", "StorageEncrypted": true, "ServerlessV2ScalingConfiguration": capacity,
        }),
    );
    let group = &cluster["DBClusterParameterGroup"];
    assert_eq!(parameter(cloud, "cluster_parameters", group, "rds.force_ssl"), "1");
    let instances = cloud.all("databases");
    assert_eq!(instances.len(), 2, "one in each of two zones");
    for instance in instances {
        let cluster = &cluster["DBClusterIdentifier"];
        let expected = json!({
            "Engine": "aurora-postgresql", "DBInstanceClass": "db.serverless", "DBClusterIdentifier": cluster,
            "PubliclyAccessible": false,
        });
        has(instance, &expected);
    }
    assert_eq!(cloud.output("DatabaseEngine"), "aurora-postgresql");
}

/// RDS for MySQL, by the master stack of the second environment.
pub fn mysql(cloud: &Cloud) {
    let database = cloud.only("databases");
    has(database, &json!({ "Engine": "mysql", "StorageEncrypted": true, "PubliclyAccessible": false }));
    assert!(text(&database["EngineVersion"]).starts_with("8.4"), "{}", database["EngineVersion"]);
    let group = &database["DBParameterGroups"][0]["DBParameterGroupName"];
    let enforced = parameter(cloud, "database_parameters", group, "require_secure_transport");
    assert!(["1", "ON"].contains(&text(enforced)), "{enforced}");
    assert_eq!(cloud.master("second")["Outputs"]["DatabaseEngine"], "mysql");
}

/// No database of one's own, but the secret of one that is elsewhere.
pub fn existing_database(cloud: &Cloud, secret: &str) {
    cloud.none(&["databases", "clusters"]);
    let expected = json!({ "DatabaseEngine": "existing", "DatabaseSecretArn": secret, "DatabaseHost": "-" });
    has(&cloud.master("second")["Outputs"], &expected);
}

/// A queue of its own for each worker set, and one for what could not be finished.
pub fn sqs(cloud: &Cloud, sets: &[&str]) {
    cloud.none(&["caches"]);
    assert_eq!(cloud.output("BrokerKind"), "sqs");
    assert_eq!(cloud.count("queues"), 2 * sets.len());
    for set in sets {
        let prefix = format!("Worker{}{}", set[..1].to_uppercase(), &set[1..]);
        let url = cloud.output(&format!("{prefix}QueueUrl"));
        let name = url.rsplit('/').next().unwrap();
        assert!(name.starts_with(&format!("ductwork-local_{set}_")), "{name}");
        let queue = cloud.get("queues", url);
        has(queue, &json!({ "VisibilityTimeout": "43200" }));
        let dead = cloud.get("queues", cloud.output(&format!("{prefix}DeadLetterQueueUrl")));
        let redrive: Value = serde_json::from_str(text(&queue["RedrivePolicy"])).unwrap();
        has(&redrive, &json!({ "deadLetterTargetArn": dead["QueueArn"] }));
        for queue in [queue, dead] {
            let encrypted = queue["SqsManagedSseEnabled"] == "true" || queue["KmsMasterKeyId"].is_string();
            assert!(encrypted, "{queue:#}");
        }
    }
}

/// Valkey with a standby, reachable with a password over TLS only; never in cluster mode.
pub fn valkey(cloud: &Cloud) {
    cloud.none(&["queues"]);
    let cache = cloud.only("caches");
    let expected = json!({
        "ClusterEnabled": false, "TransitEncryptionEnabled": true, "AtRestEncryptionEnabled": true,
        "AuthTokenEnabled": true, "AutomaticFailover": "enabled", "MultiAZ": "enabled",
    });
    has(cache, &expected);
    assert_eq!(cache["MemberClusters"].as_array().map(Vec::len), Some(2));
    assert_eq!((cloud.output("BrokerKind"), cloud.output("WorkerDefaultQueueUrl")), ("valkey", "-"));
    assert_ne!(cloud.output("CacheHost"), "-");
}

/// A file system of its own key in every zone, one way in for workers and one for external tasks.
pub fn files(cloud: &Cloud) {
    let files = cloud.only("file_systems");
    has(files, &json!({ "FileSystemId": cloud.output("FileSystemId"), "Encrypted": true }));
    has(files, &json!({ "KmsKeyId": cloud.output("KeyArn") }));
    assert_eq!(ids(&files["MountTargets"], "SubnetId"), cloud.list("SubnetIds"));
    assert_eq!(cloud.count("access_points"), 2);
    assert_eq!(tags(files).unwrap()["backup"], "daily");
    cloud.get("access_points", cloud.output("TaskAccessPointId"));
}

/// Closed to the public and to plain HTTP, encrypted with the environment's key, and emptied in time.
pub fn logs_bucket(cloud: &Cloud, days: u64) {
    let bucket = cloud.get("buckets", cloud.output("LogsBucket"));
    let rules = &bucket["encryption"]["ServerSideEncryptionConfiguration"]["Rules"];
    let by = json!({ "SSEAlgorithm": "aws:kms", "KMSMasterKeyID": cloud.output("KeyArn") });
    has(&rules[0]["ApplyServerSideEncryptionByDefault"], &by);
    let closed = json!({
        "BlockPublicAcls": true, "BlockPublicPolicy": true, "IgnorePublicAcls": true, "RestrictPublicBuckets": true,
    });
    has(&bucket["block"]["PublicAccessBlockConfiguration"], &closed);
    assert!(text(&bucket["policy"]["Policy"]).contains("aws:SecureTransport"));
    let rules = bucket["lifecycle_configuration"]["Rules"].as_array().unwrap();
    assert!(rules.iter().any(|rule| rule["Expiration"]["Days"] == days), "{rules:#?}");
}

/// One key for all secrets, but for the one that outlives it.
pub fn secrets(cloud: &Cloud) {
    let key = cloud.output("KeyArn");
    has(cloud.only("keys"), &json!({ "Arn": key, "Rotation": true }));
    let cache = (cloud.output("BrokerKind") == "valkey").then_some("Cache");
    let names = ["FernetKey", "Jwt", "Api", "Database", "Admin", "Service"].into_iter().chain(cache);
    for name in names.clone() {
        let secret = cloud.get("secrets", cloud.output(&format!("{name}SecretArn")));
        assert!(text(&secret["Name"]).starts_with("ductwork/local/platform/"), "{secret:#}");
        let expected = if name == "FernetKey" { Value::Null } else { json!(key) };
        has(secret, &json!({ "KmsKeyId": expected }));
    }
    assert_eq!(cloud.count("secrets"), names.count());
}

/// Daily, and by tags, so that another environment is not in it. Its key is not the environment's, which
/// it may have to outlive.
pub fn backups(cloud: &Cloud) {
    let vault = cloud.only("vaults");
    assert_ne!(vault["EncryptionKeyArn"], cloud.output("KeyArn"));
    let plan = cloud.only("backup_plans");
    let rule = &plan["Plan"]["Rules"][0];
    let name = &vault["BackupVaultName"];
    has(rule, &json!({ "TargetBackupVaultName": name, "Lifecycle": { "DeleteAfterDays": 30 } }));
    let selection = plan["Selections"][0].to_string();
    for wanted in ["environment", "local", "backup", "daily"] {
        assert!(selection.contains(wanted), "{selection}");
    }
}
