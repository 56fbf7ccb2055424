//! The database of metadata, and the broker.

use super::Given;
use super::check::{at, at_unless, truth};
use crate::config::document::{Written, list};
use crate::config::environment::{Broker, Database};
use crate::config::file;
use crate::config::problems::{Problems, Wrong};
use crate::config::values::{
    BrokerKind, CacheNodeType, DatabaseEngine, InstanceClass, Region, SecretArn, Snapshot,
};

const STORAGE_GIB: u32 = 20;
const MAX_STORAGE_GIB: u32 = 100;
const BACKUP_DAYS: u32 = 7;
const MIN_CAPACITY: f64 = 0.5;
const MAX_CAPACITY: f64 = 4.0;
/// Of Aurora Serverless v2, in its units.
const CAPACITY: std::ops::RangeInclusive<f64> = 0.5..=256.0;

pub fn database(
    written: &file::Database,
    given: Given,
    region: Option<&Region>,
    problems: &mut Problems,
) -> Option<Database> {
    let engine = problems.choice(written.engine.as_ref(), DatabaseEngine::parse, DatabaseEngine::Postgres);
    let class = problems.text(written.instance_class.as_ref(), InstanceClass::parse);
    let (storage_gib, max_storage_gib) = storage(written, problems);
    let (min_capacity, max_capacity) = capacity(written, problems);
    let backup_days = problems.number(written.backup_days.as_ref(), 1..=35, "days");
    let snapshot = problems.text(written.snapshot.as_ref(), Snapshot::parse);
    let url_secret = problems.text(written.url_secret.as_ref(), |text| {
        let secret = SecretArn::parse(text)?;
        region.map_or(Ok(()), |region| secret.in_region(region))?;
        Ok(secret)
    });
    let engine = engine?;
    fits(engine, written, problems);
    Some(Database {
        engine,
        version: version(engine, written.version.0.as_ref(), problems),
        instance_class: class.unwrap_or_default(),
        storage_gib,
        max_storage_gib,
        backup_days: backup_days.unwrap_or(BACKUP_DAYS),
        multi_az: truth(written.multi_az.as_ref(), given.high),
        min_capacity,
        max_capacity,
        snapshot,
        url_secret,
    })
}

fn storage(written: &file::Database, problems: &mut Problems) -> (u32, u32) {
    let storage = problems.number(written.storage_gib.as_ref(), 20..=65536, "GiB").unwrap_or(STORAGE_GIB);
    // RDS refuses a limit less than a tenth above the storage.
    let least = (storage + storage.div_ceil(10)).min(65536);
    let max = problems.number(written.max_storage_gib.as_ref(), 22..=65536, "GiB");
    if let (Some(written), Some(max)) = (&written.max_storage_gib, max.filter(|max| *max < least)) {
        let message = format!("{max} GiB is less than a tenth above `storage_gib`, {storage} GiB");
        problems
            .conflict(&written.place, Wrong::new(message, format!("write {least} or more, or remove it")));
    }
    (storage, max.unwrap_or(MAX_STORAGE_GIB.max(least)))
}

fn capacity(written: &file::Database, problems: &mut Problems) -> (f64, f64) {
    let mut units = |written: Option<&Written<f64>>, least: f64| {
        let units = problems.fraction(written, least..=*CAPACITY.end(), "units of Aurora")?;
        if (units * 2.0).fract() == 0.0 {
            return Some(units);
        }
        let message = format!("`{units}` is no multiple of a half");
        problems.invalid(&written?.place, Wrong::new(message, "write a multiple of 0.5"));
        None
    };
    let min = units(written.min_capacity.as_ref(), *CAPACITY.start());
    // Aurora takes no maximum below one unit.
    let max = units(written.max_capacity.as_ref(), 1.0);
    let min_or_default = min.unwrap_or_else(|| max.map_or(MIN_CAPACITY, |max| max.min(MIN_CAPACITY)));
    if let (Some(written), Some(max)) = (&written.max_capacity, max.filter(|max| *max < min_or_default)) {
        let message = format!("{max} is less than `min_capacity`, {min_or_default}");
        let hint = format!("write {min_or_default} or more, or lower `min_capacity`");
        problems.conflict(&written.place, Wrong::new(message, hint));
    }
    (min_or_default, max.unwrap_or(MAX_CAPACITY.max(min_or_default)))
}

/// Versions that the engine may have, and of what they are; the first is the default.
fn versions(engine: DatabaseEngine) -> (&'static [&'static str], &'static str) {
    match engine {
        DatabaseEngine::Mysql => (&["8.4"], "MySQL"),
        _ => (&["17", "18"], "PostgreSQL"),
    }
}

fn version(engine: DatabaseEngine, written: Option<&Written<String>>, problems: &mut Problems) -> String {
    let (known, what) = versions(engine);
    let default = known.first().copied().unwrap_or_default();
    let Some(written) = written else { return default.to_owned() };
    let text = written.value.as_str();
    if known.contains(&text) || engine == DatabaseEngine::Existing {
        return text.to_owned();
    }
    let known: Vec<String> = known.iter().map(ToString::to_string).collect();
    let other =
        if engine == DatabaseEngine::Mysql { DatabaseEngine::Postgres } else { DatabaseEngine::Mysql };
    let (others, other_name) = versions(other);
    if others.contains(&text) {
        let message = format!("`{text}` is a version of {other_name}, the engine is {what}");
        let hint = format!("write {}, or `engine = \"{other}\"`", list(&known));
        problems.conflict(&written.place, Wrong::new(message, hint));
    } else {
        let message = format!("`{text}` is no version of {what} that is known here");
        problems.invalid(&written.place, Wrong::new(message, format!("write {}", list(&known))));
    }
    text.to_owned()
}

/// Keys that only some engines heed.
fn fits(engine: DatabaseEngine, written: &file::Database, problems: &mut Problems) {
    let existing = engine == DatabaseEngine::Existing;
    let instance = [
        ("instance_class", at(written.instance_class.as_ref())),
        ("storage_gib", at(written.storage_gib.as_ref())),
        ("max_storage_gib", at(written.max_storage_gib.as_ref())),
    ];
    let capacity = [
        ("min_capacity", at_unless(written.min_capacity.as_ref(), &MIN_CAPACITY)),
        ("max_capacity", at_unless(written.max_capacity.as_ref(), &MAX_CAPACITY)),
    ];
    let made = [
        ("version", at(written.version.0.as_ref())),
        ("backup_days", at(written.backup_days.as_ref())),
        ("multi_az", at(written.multi_az.as_ref())),
        ("snapshot", at(written.snapshot.as_ref())),
    ];
    if engine == DatabaseEngine::AuroraPostgres {
        let hint = "remove it; `min_capacity` and `max_capacity` say how large Aurora is";
        problems.idle(&instance, "on Aurora Serverless", hint);
    } else {
        let hint = "remove it, or write `engine = \"aurora_postgres\"`";
        problems.idle(&capacity, "on another engine than Aurora", hint);
    }
    if existing {
        let because = "on a database that is not made here";
        problems.idle(&instance, because, "remove it");
        problems.idle(&made, because, "remove it");
    }
    match (&written.url_secret, existing) {
        (None, true) => {
            let hint = "add `url_secret = \"arn:…\"` below `[database]`: the ARN of a secret in Secrets Manager \
                        whose value is the SQLAlchemy URL of the database";
            problems.missing("database.url_secret", hint);
        }
        (Some(secret), false) => {
            let hint = "write `engine = \"existing\"` to use that database, or remove it";
            let message = "the URL of a database beside one that is made here";
            problems.conflict(&secret.place, Wrong::new(message, hint));
        }
        _ => {}
    }
}

pub fn broker(written: &file::Broker, given: Given, problems: &mut Problems) -> Option<Broker> {
    let kind = problems.choice(written.kind.as_ref(), BrokerKind::parse, BrokerKind::Sqs);
    let node_type = problems.text(written.node_type.as_ref(), CacheNodeType::parse);
    let replicas = problems.number(written.replicas.as_ref(), 0..=2, "replicas");
    if kind == Some(BrokerKind::Sqs) {
        let default = CacheNodeType::DEFAULT.to_owned();
        let keys = [
            ("node_type", at_unless(written.node_type.as_ref(), &default)),
            ("replicas", at_unless(written.replicas.as_ref(), &0)),
        ];
        problems.idle(&keys, "on SQS", "remove it, or write `kind = \"valkey\"`");
    }
    Some(Broker {
        kind: kind?,
        node_type: node_type.unwrap_or_default(),
        replicas: replicas.unwrap_or(u32::from(given.high)),
    })
}
