//! Times a deployment of nothing and of one edited DAG with 0 and 80 ms put on every call of AWS, on the local cloud
//! with a stub in place of Airflow.
//!
//! By hand: `cargo bench --profile dev --bench trips`. Each figure is the best of several runs.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::print_stdout)]

#[path = "../tests/support/mod.rs"]
mod support;

use serde_json::Value;
use std::time::{Duration, Instant};
use support::project::Project;
use support::proxy::Proxy;

const RUNS: usize = 5;

fn main() {
    let project = Project::without_airflow();
    project.deploy();
    let file = ".ductwork/local/cloud.json";
    let cloud: Value = serde_json::from_str(&project.read(file)).unwrap();
    let port = u16::try_from(cloud["port"].as_u64().unwrap()).unwrap();
    println!("{:<28} {:>9} {:>9}", "", "seconds", "calls");
    for delay in [0, 80] {
        let proxy = Proxy::delaying(port, Duration::from_millis(delay));
        let mut slow = cloud.clone();
        slow["endpoint"] = format!("http://127.0.0.1:{}", proxy.port).into();
        project.write(file, &slow.to_string());
        let mut edit = 0;
        tell(&project, &format!("nothing changed, {delay} ms"), "unchanged", || {});
        tell(&project, &format!("one DAG edited, {delay} ms"), "deployed", || {
            edit += 1;
            project.write("dags/orders.py", &format!("# {delay} {edit}\n"));
        });
    }
    project.write(file, &cloud.to_string());
}

fn tell(project: &Project, name: &str, outcome: &str, mut edit: impl FnMut()) {
    let mut best = (Duration::MAX, Value::Null);
    for _ in 0..RUNS {
        edit();
        let watch = Instant::now();
        let result = project.deploy();
        assert_eq!(result["outcome"], outcome, "{result:#}");
        if watch.elapsed() < best.0 {
            best = (watch.elapsed(), result["aws_calls"].clone());
        }
    }
    println!("{name:<28} {:>9.2} {:>9}", best.0.as_secs_f64(), best.1);
}
