//! The metadata database.

use super::check::{at, at_unless, flag};
use super::defaults::Defaults;
use crate::config::environment::Database;
use crate::config::file;
use crate::config::problems::{Problems, Refusal, Reported};
use crate::config::values::{DatabaseEngine, InstanceClass, Region, SecretArn, Snapshot};
use crate::config::words::list;

const STORAGE_GIB: u32 = 20;
const MAX_STORAGE_GIB: u32 = 100;
/// The limit of RDS.
const MOST_STORAGE_GIB: u32 = 65536;
const BACKUP_DAYS: u32 = 7;
const MIN_CAPACITY: f64 = 0.5;
const MAX_CAPACITY: f64 = 4.0;
/// The limits of Aurora Serverless v2, in capacity units.
const CAPACITY: std::ops::RangeInclusive<f64> = 0.5..=256.0;

pub fn database(
    written: &file::Database,
    defaults: Defaults,
    region: Option<&Region>,
    problems: &mut Problems,
) -> Result<Database, Reported> {
    let engine = problems.choice(&written.engine, DatabaseEngine::parse, DatabaseEngine::Postgres);
    let class = problems.text(&written.instance_class, InstanceClass::parse);
    let storage = storage(written, problems);
    let capacity = capacity(written, problems);
    let backup_days = problems.number_or(&written.backup_days, BACKUP_DAYS, 1..=35, "days");
    let snapshot = problems.text(&written.snapshot, Snapshot::parse);
    let url_secret = problems.text(&written.url_secret, |text| {
        let secret = SecretArn::parse(text)?;
        region.map_or(Ok(()), |region| secret.in_region(region))?;
        Ok(secret)
    });
    let engine = engine?;
    match engine {
        DatabaseEngine::Existing => existing(written, problems),
        _ => created(engine, written, problems),
    }
    let version = version(engine, &written.version.0, problems);
    let ((storage_gib, max_storage_gib), (min_capacity, max_capacity)) = (storage?, capacity?);
    Ok(Database {
        engine,
        version: version?,
        instance_class: class?.unwrap_or_default(),
        storage_gib,
        max_storage_gib,
        backup_days: backup_days?,
        multi_az: flag(&written.multi_az, defaults.high_availability),
        min_capacity,
        max_capacity,
        snapshot: snapshot?,
        url_secret: url_secret?,
    })
}

/// The storage to begin with, and the limit of its growth.
fn storage(written: &file::Database, problems: &mut Problems) -> Result<(u32, u32), Reported> {
    let storage = problems.number_or(&written.storage_gib, STORAGE_GIB, 20..=MOST_STORAGE_GIB, "GiB");
    let max = problems.number(&written.max_storage_gib, 22..=MOST_STORAGE_GIB, "GiB");
    let (storage, max) = (storage?, max?);
    // RDS refuses a limit that is less than 10 % above the storage.
    let least = (storage + storage.div_ceil(10)).min(MOST_STORAGE_GIB);
    match (at(&written.max_storage_gib), max) {
        (Some(location), Some(max)) if max < least => {
            let message = format!("{max} GiB is less than 10 % above `storage_gib`, which is {storage} GiB");
            let hint = format!("use {least} or more, or remove the key");
            Err(problems.conflict(location, message, hint))
        }
        _ => Ok((storage, max.unwrap_or(MAX_STORAGE_GIB.max(least)))),
    }
}

/// The least and the most capacity of Aurora.
fn capacity(written: &file::Database, problems: &mut Problems) -> Result<(f64, f64), Reported> {
    let min = units(&written.min_capacity, *CAPACITY.start(), problems);
    // Aurora does not accept a maximum below one unit.
    let max = units(&written.max_capacity, 1.0, problems);
    let (min, max) = (min?, max?);
    let min = min.unwrap_or_else(|| max.map_or(MIN_CAPACITY, |max| max.min(MIN_CAPACITY)));
    match (at(&written.max_capacity), max) {
        (Some(location), Some(max)) if max < min => {
            let message = format!("{max} is less than `min_capacity`, which is {min}");
            Err(problems.conflict(location, message, format!("use {min} or more, or lower `min_capacity`")))
        }
        _ => Ok((min, max.unwrap_or(MAX_CAPACITY.max(min)))),
    }
}

fn units(written: &file::Fraction, least: f64, problems: &mut Problems) -> Result<Option<f64>, Reported> {
    let units = problems.fraction(written, least..=*CAPACITY.end(), "capacity units of Aurora")?;
    match (at(written), units) {
        (Some(location), Some(units)) if (units * 2.0).fract() != 0.0 => {
            let refusal =
                Refusal::new(format!("`{units}` is not a multiple of 0.5"), "use a multiple of 0.5");
            Err(problems.invalid(location, refusal))
        }
        _ => Ok(units),
    }
}

/// The versions that an engine may have, the default first, and the name of the product.
fn versions(engine: DatabaseEngine) -> (&'static [&'static str], &'static str) {
    match engine {
        DatabaseEngine::Mysql => (&["8.4"], "MySQL"),
        _ => (&["17", "18"], "PostgreSQL"),
    }
}

fn version(
    engine: DatabaseEngine,
    written: &file::Text,
    problems: &mut Problems,
) -> Result<String, Reported> {
    let (known, product) = versions(engine);
    let Some(written) = written else { return Ok(known.first().copied().unwrap_or_default().to_owned()) };
    let text = written.value.as_str();
    if known.contains(&text) || engine == DatabaseEngine::Existing {
        return Ok(text.to_owned());
    }
    let other =
        if engine == DatabaseEngine::Mysql { DatabaseEngine::Postgres } else { DatabaseEngine::Mysql };
    let (others, other_product) = versions(other);
    if others.contains(&text) {
        let message = format!("`{text}` is a version of {other_product}, but the engine is {product}");
        let hint = format!("use {}, or set `engine = \"{other}\"`", list(known));
        return Err(problems.conflict(&written.location, message, hint));
    }
    let message = format!("unsupported version of {product}: `{text}`");
    Err(problems.invalid(&written.location, Refusal::new(message, format!("use {}", list(known)))))
}

/// Reports keys that have no effect on an existing database, and the one it needs.
fn existing(written: &file::Database, problems: &mut Problems) {
    let keys = [
        ("instance_class", at(&written.instance_class)),
        ("storage_gib", at(&written.storage_gib)),
        ("max_storage_gib", at(&written.max_storage_gib)),
        ("version", at(&written.version.0)),
        ("backup_days", at(&written.backup_days)),
        ("multi_az", at(&written.multi_az)),
        ("snapshot", at(&written.snapshot)),
        ("min_capacity", at_unless(&written.min_capacity, &MIN_CAPACITY)),
        ("max_capacity", at_unless(&written.max_capacity, &MAX_CAPACITY)),
    ];
    problems.no_effect(&keys, "with an existing database", "remove it");
    if written.url_secret.is_none() {
        let hint = "add `url_secret = \"arn:…\"` under `[database]`: the ARN of a secret in Secrets Manager \
                    whose value is the SQLAlchemy URL of the database";
        problems.missing("database.url_secret", hint);
    }
}

/// Reports keys that have no effect on a database of this engine that the stack creates.
fn created(engine: DatabaseEngine, written: &file::Database, problems: &mut Problems) {
    if engine == DatabaseEngine::AuroraPostgres {
        let keys = [
            ("instance_class", at(&written.instance_class)),
            ("storage_gib", at(&written.storage_gib)),
            ("max_storage_gib", at(&written.max_storage_gib)),
        ];
        let hint = "remove it, and set `min_capacity` and `max_capacity` instead";
        problems.no_effect(&keys, "with Aurora Serverless", hint);
    } else {
        let keys = [
            ("min_capacity", at_unless(&written.min_capacity, &MIN_CAPACITY)),
            ("max_capacity", at_unless(&written.max_capacity, &MAX_CAPACITY)),
        ];
        problems.no_effect(&keys, "without Aurora", "remove it, or set `engine = \"aurora_postgres\"`");
    }
    if let Some(location) = at(&written.url_secret) {
        let hint = "set `engine = \"existing\"` to use that database, or remove the key";
        problems.conflict(location, "`url_secret` requires `engine = \"existing\"`", hint);
    }
}
