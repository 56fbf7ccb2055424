//! What the deployment before had done, if it was interrupted: the next one goes on from there.

use crate::doors::store::Store;
use crate::observe::history;
use crate::observe::lease::Seen;
use crate::observe::release;

/// A line about it; none if it ended in order, or has left no record.
pub async fn before(store: &Store, holder: Option<&Seen>) -> Option<String> {
    let holder = holder.filter(|holder| holder.is_abandoned())?;
    let last = release::deployments(store, 1).await.ok()?.pop()?;
    let standing = history::standing(&last, Some(holder));
    let told = format!("the deployment before, of release {} by {}, was", last.release, last.by);
    standing.cut().map(|cut| format!("{told} {}", cut.text()))
}
