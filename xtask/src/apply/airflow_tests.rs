//! A release's DAGs against a server that answers as Airflow does, with a paused clock.

use super::*;
use crate::doors::fake::Server;
use serde_json::json;
use std::cell::Cell;

const DAGS: usize = 4;

fn bundle() -> Digest {
    Digest::of(b"bundle")
}

/// Airflow with four DAGs, of which `followed` (of the number of lists read so far) are on the new bundle.
fn server(followed: impl Fn(usize) -> usize + Send + 'static) -> Server {
    let lists = Cell::new(0);
    Server::new(move |asked| {
        if !asked.line.starts_with("GET /api/v2/dags?") {
            return (200, json!({ "import_errors": [], "total_entries": 0 }));
        }
        lists.set(lists.get() + 1);
        let row = |number: usize| {
            let version =
                if number < followed(lists.get()) { bundle().to_string() } else { "before".to_owned() };
            json!({
                "dag_id": format!("dag{number}"), "bundle_name": CONTRACT.dags.bundle, "bundle_version": version,
                "relative_fileloc": "a.py", "file_token": "token", "is_stale": false,
            })
        };
        (200, json!({ "dags": (0..DAGS).map(row).collect::<Vec<_>>(), "total_entries": DAGS }))
    })
}

async fn follow(server: &Server) -> (Result<()>, Duration) {
    let expected = (0..DAGS).map(|number| format!("dag{number}")).collect();
    let watch = time::Stopwatch::start();
    let done = refreshed(&Airflow::new(&server.url), &bundle(), &expected, &Sink::null()).await;
    (done, watch.elapsed())
}

#[tokio::test(start_paused = true)]
async fn many_dags_may_take_long_as_long_as_they_follow() {
    let (done, took) = follow(&server(|lists| lists / 100)).await;
    done.unwrap();
    assert!(took > 2 * PATIENCE, "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_standstill_is_told_with_what_is_behind() {
    let (done, took) = follow(&server(|lists| (lists / 50).min(2))).await;
    let text = done.unwrap_err().to_string();
    assert!(text.starts_with("Airflow does not run bundle"), "{text}");
    assert!(took > PATIENCE && took < 3 * PATIENCE, "{took:?}");
}
