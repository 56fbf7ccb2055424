//! What changes outside the project is seen by the next deployment: the machine image that a parameter names, and
//! secrets.

use super::announce;
use crate::cloud::{Cloud, text};
use crate::support::project::Project;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

const FIRST: &str = "ami-0aaaaaaaaaaaaaaaa";
const SECOND: &str = "ami-0bbbbbbbbbbbbbbbb";

struct Outside {
    project: Project,
}

impl Outside {
    fn new() -> Self {
        let project = Project::without_airflow();
        project.run(&["local", "up"]).expect(0);
        project.edit("environments/local.toml", |text| {
            format!("{text}[hosts]\nimage_parameter = \"/images/airflow\"\n")
        });
        Self { project }
    }

    fn now(&self, args: &[&str]) -> Value {
        self.project.python(&[&["xtask/tests/scenarios/outside.py"], args].concat()).expect(0).json()
    }

    /// The deployments of each group, by the first word of its component.
    fn deployments(&self) -> BTreeMap<String, u64> {
        serde_json::from_value(self.now(&["deployments"])).unwrap()
    }

    fn planned(&self, code: i32) -> Value {
        let run = self.project.run(&["plan", "--env", "local", "--check", "--format", "json"]);
        run.expect(code).json()
    }

    /// The images of all launch templates.
    fn images(&self) -> BTreeSet<String> {
        let cloud = Cloud::look(&self.project);
        cloud.all("groups").iter().map(|group| text(&cloud.launch(group)["ImageId"]).to_owned()).collect()
    }
}

#[test]
fn what_changes_outside_the_project_is_deployed() {
    let outside = Outside::new();
    image(&outside);
    secrets(&outside);
}

fn image(outside: &Outside) {
    announce("a parameter that does not exist");
    let refused = outside.project.run(&["deploy", "--env", "local", "--yes", "--format", "json"]).expect(2);
    let problem = &refused.json()["error"]["problems"][0];
    assert_eq!(problem["where"], "environments/local.toml `hosts.image_parameter`");
    assert_eq!(problem["message"], "there is no parameter `/images/airflow` in us-east-1");

    announce("an image that moves");
    outside.now(&["image", FIRST]);
    outside.project.deploy();
    assert_eq!(outside.images(), [FIRST.to_owned()].into());
    assert_eq!(outside.project.deploy()["outcome"], "unchanged");
    outside.now(&["image", SECOND]);
    let plan = outside.planned(3);
    assert_eq!(plan["steps"], json!(["stack", "hosts", "pointer", "smoke"]), "{plan:#}");
    let changes = plan["stack"]["changes"].to_string();
    assert!(changes.contains("LaunchTemplate"), "{changes}");
    outside.project.deploy();
    assert_eq!(outside.images(), [SECOND.to_owned()].into());
    outside.planned(0);

    announce("the image before, by a rollback");
    outside.project.run(&["rollback", "--env", "local", "--yes"]).expect(0);
    assert_eq!(outside.images(), [FIRST.to_owned()].into());
    outside.project.deploy();
}

/// Components read a changed secret again, and only those that read it at all.
fn secrets(outside: &Outside) {
    announce("the administrator's password changes");
    let before = outside.deployments();
    let (workers, others): (Vec<_>, Vec<_>) = before.keys().partition(|group| group.contains("worker"));
    assert_eq!((workers.len(), others.len()), (1, 2), "{before:?}");
    outside.now(&["secret", "admin"]);
    let plan = outside.planned(3);
    assert_eq!(plan["steps"], json!(["hosts", "pointer", "smoke"]), "{plan:#}");
    let changed = plan["secrets"].as_array().unwrap();
    assert!(changed.len() == 1 && text(&changed[0]).contains("admin"), "{changed:?}");
    assert_eq!(outside.project.deploy()["outcome"], "deployed");
    let after = outside.deployments();
    assert!(others.iter().all(|group| after[*group] > before[*group]), "{before:?} {after:?}");
    assert!(workers.iter().all(|group| after[*group] == before[*group]), "{before:?} {after:?}");
    assert_eq!(outside.project.deploy()["outcome"], "unchanged");

    announce("a key that everybody reads changes");
    outside.now(&["secret", "fernet"]);
    assert_eq!(outside.project.deploy()["outcome"], "deployed");
    let last = outside.deployments();
    assert!(last.iter().all(|(group, count)| *count > after[group]), "{after:?} {last:?}");
    outside.planned(0);
}
