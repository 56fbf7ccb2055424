//! A release's DAGs against a server that answers as Airflow does, with a paused clock.

use super::*;
use crate::doors::fake::{Bucket, Server};
use crate::model::names;
use serde_json::json;
use std::cell::Cell;

const DAGS: usize = 4;

fn bundle() -> Digest {
    Digest::of(b"bundle")
}

fn before() -> Digest {
    Digest::of(b"before")
}

/// Airflow with four DAGs, of which the first `followed` (of the number of looks so far) are on the new bundle.
fn server(followed: impl Fn(usize) -> usize + Send + 'static) -> Server {
    let looks = Cell::new(0);
    Server::new(move |asked| {
        if !asked.line.starts_with("GET /api/v2/dags?") {
            return (200, json!({ "import_errors": [], "total_entries": 0 }));
        }
        looks.set(looks.get() + 1);
        let followed = followed(looks.get()).min(DAGS);
        if asked.line.contains("bundle_version") {
            assert!(asked.line.contains(&bundle().to_string()), "{}", asked.line);
            return (200, json!({ "dags": [], "total_entries": followed }));
        }
        let row = |number: usize| {
            let version = if number < followed { bundle() } else { before() };
            json!({
                "dag_id": format!("dag{number}"), "bundle_name": CONTRACT.dags.bundle, "bundle_version": version,
                "relative_fileloc": "a.py", "file_token": "token", "is_stale": false,
            })
        };
        (200, json!({ "dags": (0..DAGS).map(row).collect::<Vec<_>>(), "total_entries": DAGS }))
    })
}

/// The DAGs of a bundle, of which the first `edited` are made of something that no other bundle has.
fn index(edited: usize) -> DagIndex {
    let row = |number: usize| {
        let content = if number < edited { "edited" } else { "as before" };
        json!({ "dag_id": format!("dag{number}"), "file": "a.py", "schedule": null, "content": content })
    };
    serde_json::from_value((0..DAGS).map(row).collect()).unwrap()
}

async fn release(server: &Server, bucket: &Bucket, edited: usize) -> (Result<()>, Duration) {
    let watch = time::Stopwatch::start();
    let (airflow, store) = (Airflow::new(&server.url), bucket.store());
    let done = refreshed(&airflow, &store, (&bundle(), &index(edited)), None, &Sink::null()).await;
    (done, watch.elapsed())
}

/// With a list of the bundle before, in which each DAG is another one.
async fn follow(server: &Server) -> (Result<()>, Duration) {
    release(server, &Bucket::default(), DAGS).await
}

fn lists(server: &Server) -> usize {
    server.asked().iter().filter(|asked| asked.line.contains("order_by=dag_id")).count()
}

#[tokio::test(start_paused = true)]
async fn many_dags_may_take_long_as_long_as_they_follow() {
    let (done, took) = follow(&server(|looks| looks / 100)).await;
    done.unwrap();
    assert!(took > 2 * PATIENCE, "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_standstill_is_told_with_what_is_behind() {
    let (done, took) = follow(&server(|looks| (looks / 50).min(2))).await;
    let text = done.unwrap_err().to_string();
    assert!(
        text.starts_with("Airflow does not run bundle") && text.contains("2 DAGs, such as dag2, dag3"),
        "{text}"
    );
    assert!(took > PATIENCE && took < 3 * PATIENCE, "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_dag_that_is_the_same_in_the_bundle_before_is_not_waited_for() {
    let bucket = Bucket::default();
    bucket.set(&names::bundle_index_key(&before()), &index(0));
    let server = server(|looks| looks / 10);
    let (done, took) = release(&server, &bucket, 2).await;
    done.unwrap();
    assert!(took < PATIENCE, "{took:?}");
    let asked = server.asked();
    let on = asked.iter().rev().find(|asked| asked.line.contains("order_by=dag_id"));
    assert!(on.is_some(), "the last word has the list itself");
    assert!(asked.iter().filter(|asked| asked.line.contains("/api/v2/dags?")).count() < 25);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_live_before_airflow_has_seen_the_bundle() {
    let bucket = Bucket::default();
    bucket.set(&names::bundle_index_key(&before()), &index(0));
    let server = server(|looks| usize::from(looks > 20));
    let (done, took) = release(&server, &bucket, 0).await;
    done.unwrap();
    assert!(took > Duration::from_secs(5), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn the_list_is_not_read_at_every_look() {
    let server = server(|looks| looks / 5);
    follow(&server).await.0.unwrap();
    let looks = server.asked().iter().filter(|asked| asked.line.contains("/api/v2/dags?")).count();
    assert!(looks >= 20 && lists(&server) <= 4, "{looks} looks, {} of them lists", lists(&server));
}

/// Airflow gives a hundred at most, whatever it is asked for.
#[tokio::test(start_paused = true)]
#[expect(clippy::print_stdout, reason = "the figures of `bench/README.md`")]
async fn five_thousand_dags_are_followed_with_few_pages() {
    const MANY: usize = 5_000;
    let (looks, refused) = (Cell::new(0), Cell::new(0));
    let server = Server::new(move |asked| {
        if !asked.line.starts_with("GET /api/v2/dags?") {
            // The last look of all is refused for a while.
            refused.set(refused.get() + 1);
            let status = if refused.get() < 5 { 500 } else { 200 };
            return (status, json!({ "import_errors": [], "total_entries": 0 }));
        }
        let number =
            |key: &str| asked.line.split(key).nth(1).and_then(|rest| rest.split('&').next()?.parse().ok());
        let (at, most): (usize, usize) = (number("&offset=").unwrap_or(0), number("&limit=").unwrap());
        assert!(most <= 100, "{}", asked.line);
        if asked.line.contains("bundle_version") {
            looks.set(looks.get() + 1);
        }
        let followed = (looks.get() * 50_usize).min(MANY);
        if asked.line.contains("bundle_version") {
            return (200, json!({ "dags": [], "total_entries": followed }));
        }
        let row = |number: usize| {
            let version = if number < followed { bundle() } else { before() };
            json!({
                "dag_id": format!("dag{number:04}"), "bundle_name": CONTRACT.dags.bundle, "bundle_version": version,
                "relative_fileloc": "a.py", "file_token": "token", "is_stale": false,
            })
        };
        let rows: Vec<_> = (at..MANY.min(at + most)).map(row).collect();
        (200, json!({ "dags": rows, "total_entries": MANY }))
    });
    let rows = (0..MANY).map(|number| {
        json!({ "dag_id": format!("dag{number:04}"), "file": "a.py", "schedule": null, "content": "edited" })
    });
    let expected: DagIndex = serde_json::from_value(rows.collect()).unwrap();
    let (airflow, bucket, watch) = (Airflow::new(&server.url), Bucket::default(), time::Stopwatch::start());
    refreshed(&airflow, &bucket.store(), (&bundle(), &expected), None, &Sink::null()).await.unwrap();
    let seconds = usize::try_from(watch.elapsed().as_secs()).unwrap();
    let (asked, pages) = (server.asked().len(), lists(&server));
    assert!(pages <= 50 * (2 + seconds / 50), "{pages} pages in {seconds} s");
    println!(
        "5000 DAGs: {asked} requests, {pages} of them pages of lists, in {seconds} s of the clock of the test"
    );
}
