//! A recorded release is looked at as a whole before anybody relies on it.

use super::*;
use crate::doors::fake::Bucket;
use crate::fail::Kind;
use crate::model::engine::Engine;
use crate::model::release::{Parts, StackSpec};
use std::collections::BTreeMap;

/// A release whose root template has one child, and all of it in the bucket.
fn recorded(bucket: &Bucket) -> (Release, String, Digest) {
    let child = Digest::of(b"child");
    let root = format!("TemplateURL: {}\n", names::template_url(None, "r", "b", &child));
    let digest = |text: &str| Digest::of(text.as_bytes());
    let release = Release::new(Parts {
        bundle: digest("bundle"),
        templates: None,
        engine: Engine::Ec2,
        runtime: Runtime::Hosts(digest("host")),
        stack: StackSpec { template: digest(&root), parameters: BTreeMap::new() },
        commit: None,
    });
    bucket.set_bytes(&names::bundle_key(&release.bundle), b"zip");
    bucket.set_bytes(&names::bundle_index_key(&release.bundle), b"[]");
    bucket.set_bytes(&names::host_key(release.runtime.digest()), b"zip");
    bucket.set_bytes(&names::template_key(&release.stack.template), root.as_bytes());
    bucket.set_bytes(&names::template_key(&child), b"Resources: {}\n");
    (release, root, child)
}

#[tokio::test]
async fn a_whole_release_gives_its_root_template() {
    let bucket = Bucket::default();
    let (release, root, _) = recorded(&bucket);
    assert_eq!(whole(&bucket.store(), &release).await.unwrap(), root);
}

#[tokio::test]
async fn whatever_is_gone_is_told_at_once_and_nothing_is_touched() {
    let bucket = Bucket::default();
    let (release, _, child) = recorded(&bucket);
    let store = bucket.store();
    let keys = [
        names::bundle_key(&release.bundle),
        names::host_key(release.runtime.digest()),
        names::template_key(&child),
    ];
    for key in &keys {
        store.delete(key).await.unwrap();
    }
    let writes = bucket.lines().len();
    let fail = whole(&store, &release).await.unwrap_err();
    assert_eq!((fail.kind(), fail.kind().code()), (Kind::Usage, 2));
    let places: Vec<&str> = fail.all_problems().iter().map(|problem| problem.location.as_str()).collect();
    assert_eq!(places, keys.map(|key| store.location(&key)));
    assert_eq!(bucket.lines().len(), writes);

    store.delete(&names::template_key(&release.stack.template)).await.unwrap();
    assert_eq!(whole(&store, &release).await.unwrap_err().all_problems().len(), 3);
}

#[tokio::test]
async fn an_unknown_release_lists_those_there_are() {
    let bucket = Bucket::default();
    bucket.set("environments/dev/releases/0123456789ab.json", &1);
    let fail = release(&bucket.store(), "nope").await.unwrap_err();
    assert_eq!(fail.to_string(), "`dev` has no release `nope`: recorded are 0123456789ab");
}
