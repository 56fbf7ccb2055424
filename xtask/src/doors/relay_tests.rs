//! Requests to an API server that is played by the test, over a bucket in memory.

use super::*;
use crate::doors::airflow::Airflow;
use crate::doors::fake::Bucket;
use crate::model::objects::Pool;
use crate::observe::airflow::ask;
use serde_json::json;

fn airflow(bucket: &Bucket) -> Airflow {
    Airflow::through(Relay::new(&bucket.store()))
}

async fn asked(bucket: &Bucket) -> Result<Answer> {
    Relay::new(&bucket.store()).asked("GET", "/api/v2/monitor/health", Value::Null).await
}

/// Takes the next request and answers it; what it was.
async fn answered(bucket: &Bucket, answer: Value) -> Request {
    let store = bucket.store();
    loop {
        let inbox = store.value::<Inbox>("environments/dev/relay.json").await.unwrap().unwrap_or_default();
        if let Some(request) = inbox.requests.last() {
            let key = names::answer_key("dev", &request.id);
            if store.value::<relay::Answer>(&key).await.unwrap().is_none() {
                bucket.set(&key, &json!({ "by": "i-1" }));
                time::sleep(Duration::from_millis(300)).await;
                bucket.set(&key, &answer);
                return request.clone();
            }
        }
        time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn an_answer_through_the_bucket_is_airflows_own() {
    let bucket = Bucket::default();
    let airflow = airflow(&bucket);
    let health = json!({ "scheduler": { "status": "healthy", "latest_scheduler_heartbeat": "t" } });
    let answer = json!({ "by": "i-1", "status": 200, "body": health });
    let (found, request) = tokio::join!(ask(&airflow, Airflow::health), answered(&bucket, answer));
    assert_eq!((request.method.as_str(), request.path.as_str()), ("GET", "/api/v2/monitor/health"));
    assert_eq!(found.unwrap()[0].name, "scheduler");

    let refusal = json!({ "by": "i-1", "status": 409, "body": { "detail": "there is one" } });
    let create = |airflow: &Airflow| airflow.create_pool("a", &Pool::default());
    let (made, request) = tokio::join!(ask(&airflow, create), answered(&bucket, refusal));
    assert_eq!((request.method.as_str(), &request.body["name"]), ("POST", &json!("a")));
    let fail = made.unwrap_err();
    assert_eq!(fail.to_string(), "`/api/v2/pools (asked through S3)` answered 409: there is one");
}

#[tokio::test(start_paused = true)]
async fn an_api_server_that_is_down_and_none_at_all_are_told_apart() {
    let bucket = Bucket::default();
    let down = json!({ "by": "i-1", "fault": "URLError: Connection refused" });
    let (found, _) = tokio::join!(asked(&bucket), answered(&bucket, down));
    let fail = found.unwrap_err();
    assert_eq!(fail.to_string(), "the API server on `i-1` does not answer: URLError: Connection refused");

    let fail = asked(&bucket).await.unwrap_err();
    assert_eq!(fail.to_string(), "no API server has taken the request from S3 within 12 s");
    let inbox: Option<Inbox> = bucket.store().value("environments/dev/relay.json").await.unwrap();
    assert_eq!(inbox.unwrap().requests.len(), 2, "nobody else's request is taken away");
}
