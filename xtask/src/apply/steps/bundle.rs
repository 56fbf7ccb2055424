//! Step `bundle`: the DAG bundle to S3, with the list of its DAGs, and the source templates that its release names.

use super::super::context::{Context, State};
use super::super::timed::Ended;
use super::pointer::template_set;
use crate::doors::store::{Content, Sent};
use crate::fail::{Fail, Result};
use crate::model::digest::Digest;
use crate::model::names;

pub(super) async fn run(context: &Context, digest: &Digest, state: &mut State) -> Result<Ended> {
    let bundle = context.artifacts.bundle.as_ref().filter(|bundle| bundle.digest == *digest);
    let bundle = bundle.ok_or_else(|| Fail::bug("there is no bundle to upload"))?;
    let (key, list) = (names::bundle_key(digest), names::bundle_index_key(digest));
    let listed = async {
        match context.artifacts.dags_of(digest) {
            Some(dags) => context.store.put(&list, dags).await,
            None => Ok(()),
        }
    };
    let sent = context.store.upload(&key, Content::File(&bundle.path), digest);
    let set = context.artifacts.template_set.as_ref().map(|set| set.digest);
    let (sent, (), templates) = tokio::try_join!(sent, listed, template_set(context, set.as_ref()))?;
    state.template_set = set;
    state.uploads += usize::from(templates == Sent::Yes);
    Ok(match sent {
        Sent::Yes => {
            state.uploads += 1;
            Ended::done(format!("{} uploaded", digest.short()))
        }
        Sent::AlreadyThere => Ended::skipped(format!("{} is there already", digest.short())),
    })
}
