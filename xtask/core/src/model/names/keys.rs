//! Keys of the artifact bucket, by the patterns of the contract.

use crate::model::contract::CONTRACT;
use crate::model::digest::Digest;

pub(super) fn filled(pattern: &str, name: &str, value: &str) -> String {
    pattern.replace(&format!("{{{name}}}"), value)
}

pub(super) fn by_digest(pattern: &str, digest: &Digest) -> String {
    filled(pattern, "digest", &digest.to_string())
}

pub(super) fn of_environment(pattern: &str, environment: &str) -> String {
    filled(pattern, "environment", environment)
}

#[must_use]
pub fn bundle_key(digest: &Digest) -> String {
    by_digest(&CONTRACT.keys.bundle, digest)
}

/// What is in the bundle, DAG by DAG, as the validator saw it.
#[must_use]
pub fn bundle_index_key(digest: &Digest) -> String {
    by_digest(&CONTRACT.keys.bundle_index, digest)
}

#[must_use]
pub fn template_key(digest: &Digest) -> String {
    by_digest(&CONTRACT.keys.template, digest)
}

/// All source templates of a release in one archive.
#[must_use]
pub fn template_set_key(digest: &Digest) -> String {
    by_digest(&CONTRACT.keys.template_set, digest)
}

#[must_use]
pub fn host_key(digest: &Digest) -> String {
    by_digest(&CONTRACT.keys.host_revision, digest)
}

/// Everything that is known of an environment.
#[must_use]
pub fn environment_prefix(environment: &str) -> String {
    of_environment(&CONTRACT.keys.environment, environment)
}

#[must_use]
pub fn pointer_key(environment: &str) -> String {
    of_environment(&CONTRACT.keys.pointer, environment)
}

#[must_use]
pub fn lock_key(environment: &str) -> String {
    of_environment(&CONTRACT.keys.lease, environment)
}

/// What deleted stacks have left behind, for `destroy` to remove.
#[must_use]
pub fn leftovers_key(environment: &str) -> String {
    of_environment(&CONTRACT.keys.leftovers, environment)
}

/// Where workers leave loss reports of the tasks that they cut short. The names below it begin with a time, as in
/// `20261129T110500Z`.
#[must_use]
pub fn losses_prefix(environment: &str) -> String {
    let key = of_environment(&CONTRACT.keys.loss, environment);
    key.split("{id}").next().unwrap_or_default().to_owned()
}

/// Where hosts read what they are told of a migration.
#[must_use]
pub fn migration_key(environment: &str) -> String {
    of_environment(&CONTRACT.keys.migration, environment)
}

/// Where the database is saved before a migration that RDS makes no snapshot for.
#[must_use]
pub fn dump_key(environment: &str, id: &str) -> String {
    filled(&of_environment(&CONTRACT.keys.dump, environment), "id", id)
}

/// What hosts and tasks say of themselves.
#[must_use]
pub fn receipts_prefix(environment: &str) -> String {
    let key = of_environment(&CONTRACT.keys.receipt, environment);
    key.split("{id}").next().unwrap_or_default().to_owned()
}

/// What a component of a host or task says of itself.
#[must_use]
pub fn receipt_key(environment: &str, id: &str, component: &str) -> String {
    let key = of_environment(&CONTRACT.keys.receipt, environment);
    filled(&filled(&key, "id", id), "component", component)
}

/// What the tool asks the API server where it cannot reach it.
#[must_use]
pub fn relay_key(environment: &str) -> String {
    of_environment(&CONTRACT.keys.relay, environment)
}

/// Where the API server answers a request.
#[must_use]
pub fn answer_key(environment: &str, id: &str) -> String {
    filled(&of_environment(&CONTRACT.keys.answer, environment), "id", id)
}

#[must_use]
pub fn releases_prefix(environment: &str) -> String {
    release_key(environment, "").trim_end_matches(".json").to_owned()
}

#[must_use]
pub fn release_key(environment: &str, id: &str) -> String {
    filled(&of_environment(&CONTRACT.keys.release, environment), "id", id)
}

#[must_use]
pub fn deployments_prefix(environment: &str) -> String {
    deployment_key(environment, "").trim_end_matches(".json").to_owned()
}

#[must_use]
pub fn deployment_key(environment: &str, ulid: &str) -> String {
    filled(&of_environment(&CONTRACT.keys.deployment, environment), "id", ulid)
}
