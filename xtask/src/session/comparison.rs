//! Gathers what two recorded releases are made of, to put them beside each other.

use super::Session;
use super::image::Place;
use crate::doors::registry::{Blob, RegistryOperation};
use crate::doors::unpack;
use crate::fail::{Fail, Result};
use crate::model::change::Change;
use crate::model::dags::{DagDiff, DagIndex};
use crate::model::digest::Digest;
use crate::model::names;
use crate::model::release::{Release, Runtime};
use crate::model::schema::Migration;
use crate::observe::{composed, dags};
use crate::plan::comparison::{Comparison, Turns, locked, parameters, turns};
use crate::plan::contents::Contents;
use crate::plan::sbom::{CYCLONEDX, listing};
use crate::plan::template_diff;
use serde_json::Value;
use std::collections::BTreeMap;

/// What of it cannot be read is told in its place, and keeps nothing else from being compared.
pub async fn compare(session: &Session, from: Release, to: Release) -> Comparison {
    let (dags, templates, packages) = tokio::join!(
        dags(session, &from, &to),
        templates(session, &from, &to),
        packages(session, &from, &to)
    );
    let told = |fail: Fail| fail.to_string();
    let migration = to.schema.as_ref().and_then(|schema| Migration::between(from.schema.as_ref(), schema));
    Comparison {
        parameters: turns(&parameters(&from), &parameters(&to)),
        contents: Contents::between(Some(&from), &to),
        migration,
        dags: dags.map_err(told),
        templates: templates.map_err(told),
        packages: packages.map_err(told),
        from,
        to,
    }
}

async fn dags(session: &Session, from: &Release, to: &Release) -> Result<DagDiff> {
    if from.bundle == to.bundle {
        return Ok(DagDiff::default());
    }
    let (old, new) = tokio::join!(list(session, &from.bundle), list(session, &to.bundle));
    Ok(DagDiff::between(&old?, &new?))
}

async fn list(session: &Session, bundle: &Digest) -> Result<DagIndex> {
    let found = dags::listed(&session.store, bundle).await?;
    let place = || session.store.location(&names::bundle_index_key(bundle));
    found.ok_or_else(|| Fail::failed(format!("`{}` is missing or damaged", place())))
}

async fn templates(session: &Session, from: &Release, to: &Release) -> Result<Vec<Change>> {
    let (old, new) = (from.stack.template, to.stack.template);
    if old == new {
        return Ok(Vec::new());
    }
    let texts = composed::texts(&session.store, &[old, new]).await?;
    template_diff::between(&old, &new, &texts)
}

async fn packages(session: &Session, from: &Release, to: &Release) -> Result<Turns> {
    if from.runtime == to.runtime {
        return Ok(Turns::new());
    }
    let (old, new) = tokio::join!(installed(session, from), installed(session, to));
    Ok(turns(&old?, &new?))
}

/// The packages that a release runs, with their versions.
async fn installed(session: &Session, release: &Release) -> Result<BTreeMap<String, String>> {
    match &release.runtime {
        Runtime::Hosts(revision) => on_hosts(session, revision, release).await,
        Runtime::Services(image) => in_image(session, image).await,
    }
}

/// What hosts install is locked in their revision.
async fn on_hosts(
    session: &Session,
    revision: &Digest,
    release: &Release,
) -> Result<BTreeMap<String, String>> {
    let key = names::host_key(revision);
    let zip = session.store.bytes(&key).await?;
    let zip = zip.ok_or_else(|| Fail::failed(format!("`{}` is missing", session.store.location(&key))))?;
    let mysql = release.stack.parameters.get("DatabaseEngine").is_some_and(|engine| engine == "mysql");
    let locks = ["requirements.lock", "requirements-mysql.lock"];
    let mut found = BTreeMap::new();
    for lock in &locks[..1 + usize::from(mysql)] {
        found.extend(unpack::member(&zip, lock)?.map(|text| locked(&text)).unwrap_or_default());
    }
    Ok(found)
}

/// What is in an image, the document says that refers to it.
async fn in_image(session: &Session, image: &Digest) -> Result<BTreeMap<String, String>> {
    let place = Place::of(session).await?;
    let named = |digest: &str| place.image("").clone_with_digest(digest.to_owned());
    let (registry, image) = (&place.registry, named(&format!("sha256:{image}")));
    registry.login(&image, RegistryOperation::Pull).await?;
    let none = || Fail::failed(format!("`{image}` has no list of its packages"));
    let referrers = registry.referrers(&image).await?;
    let ours = referrers.iter().find(|one| one["artifactType"] == CYCLONEDX).ok_or_else(none)?;
    let referrer = named(ours["digest"].as_str().unwrap_or_default());
    let (manifest, _) = registry.manifest(&referrer).await?.ok_or_else(none)?;
    let manifest: Value = serde_json::from_slice(&manifest).unwrap_or_default();
    let layer = &manifest["layers"][0];
    let digest = layer["digest"].as_str().and_then(|name| name.strip_prefix("sha256:")?.parse().ok());
    let (digest, size) = (digest.ok_or_else(none)?, layer["size"].as_u64().unwrap_or_default());
    Ok(listing(&registry.read(&image, &Blob { digest, size }).await?))
}
