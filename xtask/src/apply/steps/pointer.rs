//! Step `pointer`: records the release, then moves the pointer to it, unless somebody else has moved it.

use super::super::context::{Context, State};
use super::super::timed::Ended;
use crate::doors::store::{Condition, Content, Found, Sent, Written};
use crate::fail::{Fail, Kind, Result};
use crate::model::digest::Digest;
use crate::model::names;
use crate::model::release::{Pointer, Release};

pub(super) async fn run(context: &Context, release: &Release, state: &mut State) -> Result<Ended> {
    let before = state.pointer.as_ref();
    let next = Pointer {
        secrets: state.secrets.clone(),
        token: state.token,
        ..Pointer::next(before.map(|found| &found.value), release)
    };
    let names_it = |found: &Found<Pointer>| {
        let Pointer { serial, token, .. } = found.value;
        found.value == Pointer { serial, token, ..next.clone() }
    };
    if before.is_some_and(names_it) {
        return Ok(Ended::skipped("it names this release already"));
    }
    let (store, environment) = (&context.store, context.environment());
    if state.template_set != release.templates {
        state.uploads += usize::from(template_set(context, release.templates.as_ref()).await? == Sent::Yes);
    }
    let key = names::release_key(environment, release.id());
    store.write(&key, release, Condition::Absent).await?;
    let condition = before.map_or(Condition::Absent, |found| Condition::Same(&found.etag));
    match store.write(&names::pointer_key(environment), &next, condition).await? {
        Written::Yes(etag) => {
            state.pointer = Some(Found { value: next, etag });
            Ok(Ended::done(format!("release {}", release.id())))
        }
        Written::Lost => Err(Fail::new(Kind::Locked, "somebody else moved the pointer in the meantime")
            .hint(format!(
                "look at what they did, then deploy again: cargo xtask history --env {environment}"
            ))),
    }
}

/// A record names only what is in the bucket. The set of source templates is not needed before that, and seldom a new
/// one.
pub(super) async fn template_set(context: &Context, digest: Option<&Digest>) -> Result<Sent> {
    let made = context.artifacts.template_set.as_ref();
    match digest.and_then(|digest| made.filter(|made| made.digest == *digest)) {
        Some(made) => {
            let (key, content) = (names::template_set_key(&made.digest), Content::Known(&made.path));
            context.store.upload(&key, content, &made.digest).await
        }
        None => Ok(Sent::AlreadyThere),
    }
}
