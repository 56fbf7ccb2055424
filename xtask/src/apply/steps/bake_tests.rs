//! Releases that are watched, with CloudWatch and Airflow behind one server; the clock is paused.

use super::super::super::fake::{Log, context};
use super::*;
use crate::doors::aws::Aws;
use crate::doors::fake::Server;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};

const MINUTES: Duration = Duration::from_secs(600);

/// What CloudWatch and Airflow say, from which second on; nothing is a service that is away.
struct Script {
    alarms: fn(u64) -> Option<Vec<&'static str>>,
    /// Failed and succeeded, of tasks of the release; of the day before 10 of 1000 failed.
    tasks: fn(u64) -> Option<(u32, u32)>,
}

const QUIET: Script = Script { alarms: |_| Some(Vec::new()), tasks: |_| Some((0, 20)) };

struct Watched {
    ended: Result<Ended>,
    seconds: u64,
    log: Log,
    /// When which service was asked.
    asked: Vec<(&'static str, Duration)>,
}

async fn watched(script: Script, before: Option<&[&str]>, length: Duration) -> Watched {
    let watch = Stopwatch::start();
    let asked: Arc<Mutex<Vec<(&'static str, Duration)>>> = Arc::default();
    let times = asked.clone();
    let clock = Clock::follow();
    let now = clock.clone();
    let server = Server::new(move |request| {
        let at = now.seconds();
        let service = if request.target.is_empty() { "airflow" } else { "cloudwatch" };
        times.lock().unwrap().push((service, now.time()));
        let answer = match service {
            "cloudwatch" => (script.alarms)(at).map(|names| {
                let row =
                    |name: &&str| json!({ "AlarmName": format!("p-dev-{name}"), "StateReason": "because" });
                json!({ "MetricAlarms": names.iter().map(row).collect::<Vec<_>>() })
            }),
            _ => (script.tasks)(at).map(|now| of_airflow(&request.line, now)),
        };
        answer.map_or((503, Value::Null), |answer| (200, answer))
    });
    let log = Log::default();
    let mut state = State {
        session: Some(Airflow::new(&server.url)),
        before: Before {
            at: 1_000_000,
            ringing: before.map(|names| names.iter().map(|name| format!("p-dev-{name}")).collect()),
        },
        ..State::default()
    };
    let context = context(Aws::signed_at(&server.url));
    let ended = run(&context, length, "0123456789ab", &mut state, &log.sink()).await;
    clock.end();
    let asked = asked.lock().unwrap().clone();
    Watched { ended, seconds: watch.elapsed().as_secs(), log, asked }
}

fn of_airflow(line: &str, (failed, succeeded): (u32, u32)) -> Value {
    if line.contains("order_by=-end_date") {
        let row = |dag: &str| json!({ "dag_id": dag, "task_id": "load" });
        return json!({ "task_instances": [row("a"), row("b"), row("b")], "total_entries": failed });
    }
    let is_before = line.contains("end_date_gte=1970-01-11T13:46:40Z&end_date_lte=1970-01-12T13:46:40Z");
    assert!(is_before != line.contains("start_date_gte="), "{line}");
    let total = match (is_before, line.contains("state=failed")) {
        (true, true) => 10,
        (true, false) => 990,
        (false, true) => failed,
        (false, false) => succeeded,
    };
    json!({ "task_instances": [], "total_entries": total })
}

/// The paused clock, for the thread of the server.
#[derive(Clone)]
struct Clock(Arc<Mutex<Duration>>, Arc<tokio::task::JoinHandle<()>>);

impl Clock {
    fn follow() -> Self {
        let time: Arc<Mutex<Duration>> = Arc::default();
        let (watch, kept) = (Stopwatch::start(), time.clone());
        let task = tokio::spawn(async move {
            loop {
                *kept.lock().unwrap() = watch.elapsed();
                time::sleep(Duration::from_millis(100)).await;
            }
        });
        Self(time, Arc::new(task))
    }

    fn time(&self) -> Duration {
        *self.0.lock().unwrap()
    }

    fn seconds(&self) -> u64 {
        self.time().as_secs()
    }

    fn end(&self) {
        self.1.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn a_good_release_is_watched_to_the_end_and_nobody_is_asked_too_often() {
    let watched = watched(QUIET, Some(&[]), MINUTES).await;
    let ended = watched.ended.unwrap();
    assert_eq!(ended.summary, "10 min: no alarm, 0 of 20 tasks failed, 10 of 1000 the day before");
    assert!((600..615).contains(&watched.seconds), "{}", watched.seconds);
    assert!(
        watched.log.lines().contains("progress: 10 min left; no alarm, 0 of 20 tasks failed"),
        "{}",
        watched.log.lines()
    );
    for service in ["cloudwatch", "airflow"] {
        let times: Vec<Duration> =
            watched.asked.iter().filter(|(of, _)| *of == service).map(|(_, at)| *at).collect();
        assert!(times.len() > 60, "{service} was looked at {} times", times.len());
        // The clock of the server is a tenth of a second behind at most.
        let close = times.windows(2).find(|pair| pair[1] - pair[0] < Duration::from_millis(850));
        assert_eq!(close, None, "{service}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_alarm_ends_it_at_once() {
    let rings =
        |at| Some(if at < 60 { vec!["Broker-1A-Old-2B"] } else { vec!["Broker-1A-Old-2B", "Database-New"] });
    let watched = watched(Script { alarms: rings, ..QUIET }, Some(&["Broker-1A-Old-2B"]), MINUTES).await;
    let fail = watched.ended.unwrap_err();
    assert!(
        fail.to_string().starts_with("release 0123456789ab did not pass its bake: 1 alarm since the release"),
        "{fail}"
    );
    assert_eq!(fail.causes(), ["alarm `p-dev-Database-New`: because"]);
    assert!((60..75).contains(&watched.seconds), "{}", watched.seconds);
    let notes = watched.log.lines();
    assert!(
        notes.contains("note: in alarm before the release, so not counted: `p-dev-Broker-1A-Old-2B`"),
        "{notes}"
    );
}

#[tokio::test(start_paused = true)]
async fn alarms_of_the_rollout_get_their_time_however_short_the_watch() {
    let short = Duration::from_secs(60);
    let quiet_soon =
        Script { alarms: |at| Some(if at < 200 { vec!["Heartbeat"] } else { Vec::new() }), ..QUIET };
    let good = watched(quiet_soon, Some(&[]), short).await;
    assert!(good.ended.is_ok());
    assert!((200..230).contains(&good.seconds), "{}", good.seconds);
    let rings_on = Script { alarms: |_| Some(vec!["Heartbeat"]), ..QUIET };
    let bad = watched(rings_on, Some(&[]), short).await;
    assert!(bad.ended.is_err());
    assert!((300..320).contains(&bad.seconds), "{}", bad.seconds);
    assert!(bad.log.lines().contains("has to be over at the end: `p-dev-Heartbeat`"), "{}", bad.log.lines());
}

#[tokio::test(start_paused = true)]
async fn tasks_that_fail_more_often_end_it_and_are_named() {
    let fail = Script { tasks: |at| Some(if at < 120 { (4, 16) } else { (7, 20) }), ..QUIET };
    let watched = watched(fail, Some(&[]), MINUTES).await;
    let fail = watched.ended.unwrap_err();
    let message = "release 0123456789ab did not pass its bake: tasks fail more often than before";
    assert_eq!(fail.message(), message);
    let causes = [
        "of the tasks that began since, 7 of 27 (25.9 %) failed; of those of the day before, 10 of 1000 (1.0 %)",
        "tasks that failed: `b.load` (2), `a.load` (1)",
    ];
    assert_eq!(fail.causes(), causes);
    assert!((120..145).contains(&watched.seconds), "{}", watched.seconds);
}

#[tokio::test(start_paused = true)]
async fn who_cannot_see_judges_nothing() {
    let blind = watched(Script { alarms: |_| None, tasks: |_| None }, None, MINUTES).await;
    let ended = blind.ended.unwrap();
    assert!(
        ended.summary.contains("alarms unknown, tasks unknown; the alarms could not be read lately"),
        "{}",
        ended.summary
    );
    let lines = blind.log.lines();
    assert_eq!(
        lines.matches("note: the alarms could not be read").count(),
        1,
        "once, not every time: {lines}"
    );
    assert_eq!(lines.matches("note: the tasks that have ended could not be read").count(), 1, "{lines}");

    // For a moment only; what rang before nobody could read, so that the first look tells.
    let moment = Script {
        alarms: |at| (!(100..200).contains(&at)).then(|| vec!["Broker-Old"]),
        tasks: |at| (!(100..200).contains(&at)).then_some((0, 9)),
    };
    let ended = watched(moment, None, MINUTES).await.ended.unwrap();
    assert_eq!(
        ended.summary,
        "10 min: no new alarm, 1 of before, 0 of 9 tasks failed, 10 of 1000 the day before"
    );
}
