//! Airflow's REST API against a server that answers as Airflow does.

use super::super::fake::{Asked, Server};
use super::*;

fn airflow(answer: impl Fn(&Asked) -> (u16, Value) + Send + 'static) -> (Airflow, Server) {
    let server = Server::new(answer);
    (Airflow::new(&format!("{}/", server.url)), server)
}

#[test]
fn run_ids_are_encoded() {
    assert_eq!(escaped("manual__2026-11-20T10:00:00+00:00"), "manual__2026-11-20T10%3A00%3A00%2B00%3A00");
}

#[test]
fn a_refusal_shows_airflow_s_own_words() {
    let answer = Answer { status: 404, body: json!({ "detail": "no such DAG" }) };
    let fail = accepted("http://x/y", answer).unwrap_err();
    assert_eq!(fail.to_string(), "`http://x/y` answered 404: no such DAG");
}

#[test]
fn health_is_read_and_not_believed_for_its_200() {
    let (airflow, server) = airflow(|_| {
        let document = json!({
            "metadatabase": { "status": "healthy" },
            "scheduler": { "status": "unhealthy", "latest_scheduler_heartbeat": "2026-11-20T10:00:00Z" },
            "triggerer": { "status": "healthy", "latest_triggerer_heartbeat": null },
            // Airflow lists what it was not told to run with nulls.
            "dag_processor": { "status": null, "latest_dag_processor_heartbeat": null },
        });
        (200, document)
    });
    let components = airflow.health().unwrap();
    let rows: Vec<(&str, bool, Option<&str>)> =
        components.iter().map(|c| (c.name.as_str(), c.healthy, c.heartbeat.as_deref())).collect();
    let expected = [
        ("metadatabase", true, None),
        ("scheduler", false, Some("2026-11-20T10:00:00Z")),
        ("triggerer", true, None),
    ];
    assert_eq!(rows, expected);
    assert_eq!(server.asked()[0].line, "GET /api/v2/monitor/health");
}

#[test]
fn an_answer_that_is_no_health_document_has_no_healthy_component() {
    let (airflow, _) = airflow(|_| (200, json!("<html>a proxy</html>")));
    assert!(airflow.health().unwrap().is_empty());
    let (airflow, _) = self::airflow(|_| (503, Value::Null));
    assert!(airflow.health().unwrap_err().to_string().ends_with("/api/v2/monitor/health` answered 503"));
}

fn dag(number: usize, bundle: &str) -> Value {
    json!({
        "dag_id": format!("dag{number:03}"),
        "bundle_name": bundle,
        "bundle_version": "v",
        "relative_fileloc": "a.py",
        "file_token": "token",
        "is_stale": false,
    })
}

#[test]
fn lists_are_read_page_by_page_and_other_bundles_left_out() {
    let (airflow, server) = airflow(|asked| {
        let offset: usize = asked.line.rsplit('=').next().unwrap().parse().unwrap();
        let rows: Vec<Value> = (offset..250.min(offset + 100))
            .map(|i| dag(i, if i == 249 { "other" } else { "dags" }))
            .collect();
        (200, json!({ "dags": rows, "total_entries": 250 }))
    });
    let dags = airflow.dags("dags").unwrap();
    assert_eq!((dags.len(), dags[248].dag_id.as_str()), (249, "dag248"));
    let lines: Vec<String> = server.asked().into_iter().map(|asked| asked.line).collect();
    assert_eq!(lines.len(), 3);
    assert_eq!(lines[1], "GET /api/v2/dags?exclude_stale=false&order_by=dag_id&limit=100&offset=100");
}

#[test]
fn a_list_that_shrinks_while_it_is_read_ends() {
    let (airflow, _) = airflow(|asked| {
        let rows = if asked.line.ends_with("offset=0") { vec![dag(0, "dags")] } else { Vec::new() };
        (200, json!({ "dags": rows, "total_entries": 2 }))
    });
    assert_eq!(airflow.dags("dags").unwrap().len(), 1);
}

#[test]
fn dags_on_a_version_are_counted_by_airflow() {
    let (airflow, server) = airflow(|_| (200, json!({ "dags": [dag(0, "dags")], "total_entries": 7 })));
    assert_eq!(airflow.dags_on("dags", "v").unwrap(), 7);
    let line = "GET /api/v2/dags?bundle_name=dags&bundle_version=v&exclude_stale=true&limit=1";
    assert_eq!(server.asked()[0].line, line);
}

#[test]
fn import_errors_are_those_of_the_bundle() {
    let (airflow, _) = airflow(|_| {
        let error =
            |bundle: &str| json!({ "filename": "a.py", "bundle_name": bundle, "stack_trace": "NameError" });
        (
            200,
            json!({ "import_errors": [error("dags"), error("ductwork"), error("dags")], "total_entries": 3 }),
        )
    });
    assert_eq!(airflow.import_errors("dags").unwrap().len(), 2);
}

#[test]
fn the_token_goes_with_every_later_request() {
    let (mut airflow, server) = airflow(|asked| match asked.line.as_str() {
        "POST /auth/token" => (201, json!({ "access_token": "t0ken" })),
        _ => (200, json!({ "state": "success", "dag_run_id": "manual__1" })),
    });
    airflow.log_in("admin", &Secret::new("pa55")).unwrap();
    assert_eq!(airflow.trigger("smoke", &json!({ "release": "r" })).unwrap(), "manual__1");
    assert_eq!(airflow.run_state("smoke", "a+b").unwrap(), "success");
    let asked = server.asked();
    assert_eq!(asked[0].body, json!({ "username": "admin", "password": "pa55" }));
    assert_eq!((asked[0].authorization.as_str(), asked[1].authorization.as_str()), ("", "Bearer t0ken"));
    assert_eq!(asked[1].body, json!({ "logical_date": null, "conf": { "release": "r" } }));
    assert_eq!(asked[2].line, "GET /api/v2/dags/smoke/dagRuns/a%2Bb");
}

#[test]
fn a_refused_login_never_shows_the_password() {
    // FastAPI quotes the form that it does not like.
    let (mut airflow, _) =
        airflow(|asked| (422, json!({ "detail": [{ "msg": "bad", "input": asked.body.clone() }] })));
    let fail = airflow.log_in("admin", &Secret::new("pa55")).unwrap_err();
    assert!(!fail.to_string().contains("pa55"), "{fail}");
    let (mut airflow, _) = self::airflow(|_| (401, json!({ "detail": "Invalid credentials" })));
    let fail = airflow.log_in("admin", &Secret::new("pa55")).unwrap_err();
    assert!(fail.to_string().ends_with("answered 401: Invalid credentials"), "{fail}");
    assert!(!format!("{airflow:?}").contains("pa55"));
}

#[test]
fn what_a_task_returned_comes_as_json_in_a_string_or_as_it_is() {
    for value in [json!("{\"revision\": \"r\"}"), json!({ "revision": "r" })] {
        let (airflow, _) = airflow(move |_| (200, json!({ "value": value })));
        assert_eq!(airflow.returned("smoke", "run", "report").unwrap()["revision"], "r");
    }
}

#[test]
fn what_airflow_does_not_have_is_no_error_and_a_refusal_is_one() {
    let (airflow, server) = airflow(|asked| match asked.line.as_str() {
        "GET /api/v2/dags/orders" => (200, json!({ "dag_id": "orders", "is_paused": true })),
        "GET /api/v2/variables/a%2Fb" => (200, json!({ "key": "a/b", "value": "x" })),
        "GET /api/v2/connections/denied" => (403, json!({ "detail": "no" })),
        _ => (404, json!({ "detail": "not found" })),
    });
    assert_eq!(airflow.is_paused("orders").unwrap(), Some(true));
    assert_eq!(airflow.is_paused("new").unwrap(), None);
    assert!(airflow.has(NeedKind::Variable, "a/b").unwrap());
    assert!(!airflow.has(NeedKind::Connection, "none").unwrap());
    assert!(airflow.has(NeedKind::Connection, "denied").is_err());
    assert_eq!(server.asked().len(), 5);
}
