//! For tests: an ECS that keeps services, deployments and tasks, and answers as the service does, over HTTP.

use super::aws::Aws;
use super::fake::{Asked, Server};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex};

/// What a test says of the cluster, and what was asked of it.
#[derive(Clone, Default)]
pub(crate) struct FakeEcs(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    services: BTreeMap<String, Value>,
    /// By service, the oldest first; each answers in turn, and the last answer stays.
    deployments: BTreeMap<String, Vec<VecDeque<Value>>>,
    /// What the next updates of a service begin.
    coming: BTreeMap<String, VecDeque<VecDeque<Value>>>,
    tasks: Vec<VecDeque<Value>>,
    protected: BTreeSet<String>,
    definitions: BTreeMap<String, Value>,
    logs: BTreeMap<String, Vec<String>>,
    /// Most tasks, by the resource id of a service that is scaled.
    most: BTreeMap<String, i64>,
    /// What `RunTask` starts, and the token of who started it.
    start: Option<(VecDeque<Value>, Option<String>)>,
    /// The next requests of an operation are refused, or done and their answers lost.
    refused: BTreeMap<String, usize>,
    lost: BTreeMap<String, usize>,
    calls: Vec<String>,
    asked: Vec<(String, Value)>,
}

/// A deployment in this state to this task definition, at so many of its tasks.
pub(crate) fn deployment(status: &str, definition: &str, running: i64, wanted: i64) -> Value {
    json!({
        "status": status,
        "targetServiceRevision": {
            "arn": format!("revision of {definition}"),
            "requestedTaskCount": wanted, "runningTaskCount": running, "pendingTaskCount": 0,
        },
    })
}

pub(crate) fn task(id: &str, definition: &str, status: &str) -> Value {
    json!({
        "taskArn": format!("arn:aws:ecs:r:1:task/c/{id}"), "taskDefinitionArn": definition,
        "lastStatus": status, "healthStatus": "HEALTHY",
        "containers": [{ "name": "airflow" }],
    })
}

/// A task of this service; others are of every service.
pub(crate) fn of(service: &str, mut task: Value) -> Value {
    task["group"] = format!("service:{service}").into();
    task
}

/// A task that has ended.
pub(crate) fn ended(id: &str, definition: &str, code: i32, reason: &str) -> Value {
    let mut ended = task(id, definition, "STOPPED");
    ended["stoppedReason"] = reason.into();
    ended["containers"][0]["exitCode"] = code.into();
    ended
}

impl FakeEcs {
    pub(crate) fn aws(&self) -> Aws {
        let ecs = self.clone();
        let server = Server::new(move |asked| ecs.answer(asked));
        Aws::signed_at(&server.url)
    }

    /// The same, where requests of this operation wait for one another.
    pub(crate) fn gathering(&self, operation: &'static str, number: usize) -> Aws {
        let ecs = self.clone();
        Aws::signed_at(&Server::gathering(operation, number, move |asked| ecs.answer(asked)))
    }

    fn with<T>(self, change: impl FnOnce(&mut State) -> T) -> Self {
        change(&mut self.0.lock().unwrap());
        self
    }

    /// A service on a task definition, with so many tasks wanted and running.
    pub(crate) fn service(self, name: &str, definition: &str, count: i64) -> Self {
        let service = json!({
            "serviceName": name, "status": "ACTIVE", "taskDefinition": definition,
            "desiredCount": count, "runningCount": count,
            "deployments": [{ "id": "ecs-svc/0", "status": "PRIMARY", "taskDefinition": definition, "runningCount": count }],
        });
        self.with(|state| state.services.insert(name.to_owned(), service))
    }

    pub(crate) fn says(self, service: &str, key: &str, value: Value) -> Self {
        self.with(|state| state.services.get_mut(service).unwrap()[key] = value)
    }

    /// A deployment of before, with its answers.
    pub(crate) fn deployed(self, service: &str, answers: impl IntoIterator<Item = Value>) -> Self {
        self.with(|state| {
            state.deployments.entry(service.to_owned()).or_default().push(answers.into_iter().collect());
        })
    }

    /// What the next update of the service begins.
    pub(crate) fn begins(self, service: &str, answers: impl IntoIterator<Item = Value>) -> Self {
        self.with(|state| {
            state.coming.entry(service.to_owned()).or_default().push_back(answers.into_iter().collect());
        })
    }

    /// The next update of the service ends so.
    pub(crate) fn fails(self, service: &str, end: Value) -> Self {
        self.with(|state| state.coming.get_mut(service).unwrap().push_front([end].into()))
    }

    /// A task, in these states one after the other.
    pub(crate) fn task(self, answers: impl IntoIterator<Item = Value>) -> Self {
        self.with(|state| state.tasks.push(answers.into_iter().collect()))
    }

    /// What `RunTask` starts.
    pub(crate) fn starts(self, answers: impl IntoIterator<Item = Value>) -> Self {
        self.with(|state| state.start = Some((answers.into_iter().collect(), None)))
    }

    pub(crate) fn protects(self, id: &str) -> Self {
        self.with(|state| state.protected.insert(format!("arn:aws:ecs:r:1:task/c/{id}")))
    }

    /// A task definition of one container that logs to CloudWatch.
    pub(crate) fn defines(self, arn: &str, image: &str, kind: &str) -> Self {
        let log = json!({
            "logDriver": "awslogs",
            "options": { "awslogs-group": "g", "awslogs-stream-prefix": "p" },
        });
        let definition = json!({
            "taskDefinitionArn": arn, "requiresCompatibilities": [kind],
            "containerDefinitions": [{ "name": "airflow", "image": image, "logConfiguration": log }],
            "tags": [],
        });
        self.with(|state| state.definitions.insert(arn.to_owned(), definition))
    }

    pub(crate) fn tagged(self, arn: &str, key: &str, value: &str) -> Self {
        let tags = json!([{ "key": key, "value": value }]);
        self.with(|state| state.definitions.get_mut(arn).unwrap()["tags"] = tags)
    }

    pub(crate) fn logs(self, id: &str, lines: &[&str]) -> Self {
        let lines = lines.iter().map(|line| (*line).to_owned()).collect();
        self.with(|state| state.logs.insert(format!("p/airflow/{id}"), lines))
    }

    pub(crate) fn refuses(self, operation: &str, times: usize) -> Self {
        self.with(|state| state.refused.insert(operation.to_owned(), times))
    }

    pub(crate) fn scaled(self, resource: &str, most: i64) -> Self {
        self.with(|state| state.most.insert(resource.to_owned(), most))
    }

    pub(crate) fn loses(self, operation: &str, times: usize) -> Self {
        self.with(|state| state.lost.insert(operation.to_owned(), times))
    }

    /// What was changed, in order.
    pub(crate) fn calls(&self) -> Vec<String> {
        self.0.lock().unwrap().calls.clone()
    }

    /// The inputs of an operation.
    pub(crate) fn asked(&self, operation: &str) -> Vec<Value> {
        let state = self.0.lock().unwrap();
        state.asked.iter().filter(|(name, _)| name == operation).map(|(_, input)| input.clone()).collect()
    }

    fn answer(&self, asked: &Asked) -> (u16, Value) {
        let operation = asked.target.rsplit('.').next().unwrap_or_default();
        let mut state = self.0.lock().unwrap();
        state.asked.push((operation.to_owned(), asked.body.clone()));
        if taken(&mut state.refused, operation) {
            return (400, json!({ "__type": "ThrottlingException", "message": "Rate exceeded" }));
        }
        let answer = state.answer(operation, &asked.body);
        if taken(&mut state.lost, operation) { (503, Value::Null) } else { answer }
    }
}

/// One of so many, if there is one left.
fn taken(left: &mut BTreeMap<String, usize>, operation: &str) -> bool {
    let Some(times) = left.get_mut(operation).filter(|times| **times > 0) else { return false };
    *times -= 1;
    true
}

fn next(answers: &mut VecDeque<Value>) -> Value {
    if answers.len() > 1 { answers.pop_front().unwrap() } else { answers[0].clone() }
}

fn names(input: &Value) -> Vec<String> {
    input.as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned()).collect()
}

impl State {
    fn answer(&mut self, operation: &str, input: &Value) -> (u16, Value) {
        let answer = match operation {
            "DescribeServices" => {
                assert!(names(&input["services"]).len() <= 10, "InvalidParameterException");
                let found = names(&input["services"]).into_iter().filter_map(|name| self.services.get(&name));
                json!({ "services": found.collect::<Vec<_>>() })
            }
            "UpdateService" => self.update(input),
            "ListServiceDeployments" => self.list(input["service"].as_str().unwrap(), &input["nextToken"]),
            "DescribeServiceDeployments" => self.describe(&names(&input["serviceDeploymentArns"])[0]),
            "DescribeServiceRevisions" => {
                let arns = names(&input["serviceRevisionArns"]);
                let definition =
                    |arn: &String| json!({ "taskDefinition": arn.trim_start_matches("revision of ") });
                json!({ "serviceRevisions": arns.iter().map(definition).collect::<Vec<_>>() })
            }
            "ListTasks" => self.list_tasks(input),
            "DescribeTasks" => self.describe_tasks(&names(&input["tasks"])),
            "GetTaskProtection" => {
                assert!(names(&input["tasks"]).len() <= 100, "InvalidParameterException");
                let one = |arn: String| json!({ "protectionEnabled": self.protected.contains(&arn), "taskArn": arn });
                let tasks: Vec<Value> = names(&input["tasks"]).into_iter().map(one).collect();
                json!({ "protectedTasks": tasks })
            }
            "DescribeTaskDefinition" => {
                let arn = input["taskDefinition"].as_str().unwrap();
                // One that a test says nothing of is like no other.
                let any = json!({ "containerDefinitions": [{ "name": "airflow", "image": arn }] });
                let definition = self.definitions.get(arn).unwrap_or(&any);
                json!({ "taskDefinition": definition, "tags": definition["tags"] })
            }
            "ListTaskDefinitions" => {
                assert!(input["familyPrefix"].is_null(), "which is the whole name of a family");
                let at: usize = input["nextToken"].as_str().map_or(0, |token| token.parse().unwrap());
                let mut answer = json!({ "taskDefinitionArns": self.definitions.keys().skip(at).take(2).collect::<Vec<_>>() });
                if at + 2 < self.definitions.len() {
                    answer["nextToken"] = (at + 2).to_string().into();
                }
                answer
            }
            "DeregisterTaskDefinition" => {
                let arn = input["taskDefinition"].as_str().unwrap();
                self.calls.push(format!("deregister {arn}"));
                self.definitions.remove(arn);
                json!({})
            }
            "DescribeScalableTargets" => {
                let most = names(&input["ResourceIds"]).into_iter().filter_map(|id| self.most.get(&id));
                json!({ "ScalableTargets": most.map(|most| json!({ "MaxCapacity": most })).collect::<Vec<_>>() })
            }
            "RunTask" => self.run(input),
            "StopTask" => {
                self.calls.push(format!("stop {}", input["task"].as_str().unwrap()));
                json!({})
            }
            "GetLogEvents" => return self.log(input),
            other => panic!("the fake ECS does not know {other}"),
        };
        (200, answer)
    }

    fn update(&mut self, input: &Value) -> Value {
        let name = input["service"].as_str().unwrap();
        let Some(definition) = input["taskDefinition"].as_str() else {
            self.calls.push(format!("{name} x{}", input["desiredCount"]));
            if let Some(service) = self.services.get_mut(name) {
                service["desiredCount"] = input["desiredCount"].clone();
            }
            return json!({});
        };
        let anew = input["forceNewDeployment"] == true;
        let count = input["desiredCount"].as_i64();
        let told = count.map(|count| format!(" x{count}")).unwrap_or_default();
        self.calls.push(format!("update {name} to {definition}{told}{}", if anew { ", anew" } else { "" }));
        let service = self.services.get_mut(name).unwrap();
        if let Some(count) = count {
            service["desiredCount"] = count.into();
            service["runningCount"] = count.into();
        }
        // Nothing begins where nothing changes.
        if service["taskDefinition"] != definition || anew {
            service["taskDefinition"] = definition.into();
            service["deployments"][0]["id"] = format!("ecs-svc/{}", self.calls.len()).into();
            if let Some(answers) = self.coming.get_mut(name).and_then(VecDeque::pop_front) {
                self.deployments.entry(name.to_owned()).or_default().push(answers);
            }
        }
        json!({})
    }

    /// One to a page, the oldest first: nothing is said of their order.
    fn list(&self, service: &str, token: &Value) -> Value {
        let all = self.deployments.get(service).map_or(0, Vec::len);
        let at: usize = token.as_str().map_or(0, |token| token.parse().unwrap());
        let brief =
            json!({ "serviceDeploymentArn": format!("{service}/{at}"), "createdAt": 1_000.5 + at as f64 });
        let mut answer = json!({ "serviceDeployments": if at < all { vec![brief] } else { Vec::new() } });
        if at + 1 < all {
            answer["nextToken"] = (at + 1).to_string().into();
        }
        answer
    }

    fn describe(&mut self, arn: &str) -> Value {
        let (service, at) = arn.rsplit_once('/').unwrap();
        let mut found = next(&mut self.deployments.get_mut(service).unwrap()[at.parse::<usize>().unwrap()]);
        found["serviceDeploymentArn"] = arn.into();
        json!({ "serviceDeployments": [found] })
    }

    fn list_tasks(&self, input: &Value) -> Value {
        let stopped = input["desiredStatus"] == "STOPPED";
        let by = input["startedBy"].as_str();
        assert!(by.is_none() || (input.get("serviceName").is_none() && input.get("desiredStatus").is_none()));
        // That of a task which another service keeps, or none.
        let alone = |task: &Value| {
            let of = input["serviceName"].as_str().map(|service| format!("service:{service}"));
            of.is_some_and(|of| !task["group"].is_null() && task["group"] != of)
        };
        let fits = |task: &&Value| match by {
            Some(by) => task["startedBy"] == by && task["lastStatus"] != "STOPPED",
            None => {
                task["startedBy"].is_null() && (task["lastStatus"] == "STOPPED") == stopped && !alone(task)
            }
        };
        let found: Vec<&Value> = self.tasks.iter().map(|answers| &answers[0]).filter(fits).collect();
        let at: usize = input["nextToken"].as_str().map_or(0, |token| token.parse().unwrap());
        let page = found.iter().skip(at).take(100).map(|task| task["taskArn"].clone());
        let mut answer = json!({ "taskArns": page.collect::<Vec<_>>() });
        if at + 100 < found.len() {
            answer["nextToken"] = (at + 100).to_string().into();
        }
        answer
    }

    fn describe_tasks(&mut self, arns: &[String]) -> Value {
        assert!(arns.len() <= 100, "InvalidParameterException");
        let asked =
            self.tasks.iter_mut().filter(|answers| arns.iter().any(|arn| answers[0]["taskArn"] == **arn));
        json!({ "tasks": asked.map(next).collect::<Vec<_>>() })
    }

    /// The same token starts no second task.
    fn run(&mut self, input: &Value) -> Value {
        let (answers, token) = self.start.as_mut().expect("a task to start");
        let given = input["clientToken"].as_str().unwrap().to_owned();
        if answers[0].get("failures").is_some() {
            return answers[0].clone();
        }
        if token.as_ref() != Some(&given) {
            *token = Some(given);
            self.tasks.push(answers.clone());
            self.calls.push(format!("run {}", input["taskDefinition"].as_str().unwrap()));
        }
        json!({ "tasks": [answers[0]], "failures": [] })
    }

    /// Two lines to a page.
    fn log(&self, input: &Value) -> (u16, Value) {
        let Some(lines) = self.logs.get(input["logStreamName"].as_str().unwrap()) else {
            return (400, json!({ "__type": "ResourceNotFoundException" }));
        };
        let event = |line: &String| json!({ "message": format!("{line}\n") });
        if let Some(limit) = input["limit"].as_u64() {
            let skip = lines.len().saturating_sub(usize::try_from(limit).unwrap());
            return (200, json!({ "events": lines[skip..].iter().map(event).collect::<Vec<_>>() }));
        }
        let from: usize = input["nextToken"].as_str().map_or(0, |token| token.parse().unwrap());
        let to = (from + 2).min(lines.len());
        let events: Vec<Value> = lines[from..to].iter().map(event).collect();
        (200, json!({ "events": events, "nextForwardToken": to.to_string() }))
    }
}
