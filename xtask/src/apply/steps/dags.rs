//! Step `dags`: Airflow is told to refresh, and has every DAG as the new bundle has it.

use super::super::airflow;
use super::super::context::{Context, State};
use super::super::stack;
use super::super::timed::Ended;
use crate::fail::{Fail, Result};
use crate::model::dags::DagIndex;
use crate::model::digest::Digest;
use crate::model::event::Sink;
use crate::model::names;
use crate::model::text::count;
use crate::observe::dags;

pub(super) async fn run(context: &Context, bundle: &Digest, state: &mut State, sink: &Sink) -> Result<Ended> {
    let expected = expected(context, bundle).await?;
    stack::read_outputs(context, state).await?;
    let airflow = state.airflow(&context.doors()).await?;
    let live = state.live.as_ref();
    airflow::refreshed(&airflow, &context.store, (bundle, &expected), live, sink).await?;
    Ok(Ended::done(format!("{} live as in bundle {}", count(expected.0.len(), "DAG"), bundle.short())))
}

/// The DAGs of the bundle. Without them nothing could be verified, and nothing unverified is called deployed.
async fn expected(context: &Context, bundle: &Digest) -> Result<DagIndex> {
    if let Some(dags) = context.artifacts.dags_of(bundle) {
        return Ok(dags.clone());
    }
    dags::listed(&context.store, bundle).await?.ok_or_else(|| {
        let key = names::bundle_index_key(bundle);
        Fail::failed(format!("cannot tell which DAGs are in bundle `{}`", bundle.short()))
            .cause(format!("`{}` is missing or damaged", context.store.location(&key)))
            .hint("deploy the commit of that bundle from a clone, which makes the list anew")
    })
}
