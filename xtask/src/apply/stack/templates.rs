//! Puts packaged templates into the artifact bucket, each at most once, all at the same time.

use crate::doors::store::{Content, Sent, Store};
use crate::fail::{Fail, Result};
use crate::model::names;
use crate::plan::templates::Packaged;
use std::collections::BTreeMap;
use tokio::task::JoinSet;

/// Uploads what is not there yet; the answer is how many templates were sent.
pub(super) async fn upload(store: &Store, templates: &[Packaged]) -> Result<usize> {
    let unique: BTreeMap<_, _> = templates.iter().map(|template| (template.digest, template)).collect();
    let mut tasks = JoinSet::new();
    for template in unique.into_values() {
        tasks.spawn(put(store.clone(), template.clone()));
    }
    let mut sent = 0;
    while let Some(done) = tasks.join_next().await {
        sent += usize::from(
            done.map_err(|error| Fail::bug("an upload ended unexpectedly").because(error))?? == Sent::Yes,
        );
    }
    Ok(sent)
}

async fn put(store: Store, template: Packaged) -> Result<Sent> {
    let key = names::template_key(&template.digest);
    let sent = store.upload(&key, Content::Template(&template.body), &template.digest).await;
    sent.map_err(|fail| fail.context(format!("cannot upload `templates/{}`", template.path)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doors::fake::Bucket;
    use crate::model::digest::Digest;

    fn packaged(body: &str) -> Packaged {
        let digest = Digest::of(body.as_bytes());
        Packaged { path: format!("{body}.yaml"), digest, body: body.to_owned() }
    }

    #[tokio::test]
    async fn what_is_there_is_left_alone_and_the_same_body_goes_once() {
        let bucket = Bucket::default();
        let [new, old] = ["new", "old"].map(packaged);
        bucket.set_bytes(&names::template_key(&old.digest), b"old");
        let sent = upload(&bucket.store(), &[new.clone(), new.clone(), old]).await.unwrap();
        assert_eq!(sent, 1);
        let key = names::template_key(&new.digest);
        assert_eq!(bucket.lines().iter().filter(|line| **line == format!("if absent put {key}")).count(), 1);
    }

    #[tokio::test]
    async fn a_failure_names_the_file() {
        let bucket = Bucket::default();
        bucket.break_writes();
        let fail = upload(&bucket.store(), &[packaged("a")]).await.unwrap_err();
        assert_eq!(fail.message(), "cannot upload `templates/a.yaml`");
    }
}
