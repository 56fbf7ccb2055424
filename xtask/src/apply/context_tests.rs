//! How Airflow is reached, where its address leads somewhere and where it does not.

use super::*;
use crate::doors::fake::{Bucket, Server};
use crate::model::event::Event;
use serde_json::json;
use std::sync::Mutex;

#[tokio::test]
async fn an_address_that_leads_nowhere_is_told_once_and_looked_at_again_with_a_new_stack() {
    let bucket = Bucket::default();
    let (aws, store, notes) = (bucket.aws(), bucket.store(), Arc::new(Mutex::new(Vec::new())));
    let kept = notes.clone();
    let sink = Sink::new(move |event| {
        if let Event::Note { message, .. } = event {
            kept.lock().unwrap().push(message);
        }
    });
    let doors = Doors { aws: &aws, store: &store, cloud: Cloud::Aws, sink: &sink };
    let mut state = State::default();
    let at = |state: &mut State, url: &str| {
        state.outputs.insert(outputs::AIRFLOW_URL.to_owned(), url.to_owned());
        state.reached = None;
    };
    for _ in 0..2 {
        at(&mut state, "https://airflow.invalid");
        assert!(state.reached(&doors).await.unwrap().is_relayed());
    }
    let told = "Airflow cannot be reached from here at `https://airflow.invalid` (its name is not known here): \
                verified through S3 by its API servers";
    assert_eq!(*notes.lock().unwrap(), [told]);

    let server = Server::new(|_| (503, json!({})));
    at(&mut state, &server.url);
    assert!(!state.reached(&doors).await.unwrap().is_relayed(), "an error is an answer");
    assert_eq!(state.instead, None);
}
