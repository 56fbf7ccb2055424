//! Lock files, made by the real uv from the package index.

use super::support::project::Project;
use serde_json::json;

/// What is locked besides takes longer and is not what this is about.
pub const OTHERS: [&str; 7] = [
    "airflow/requirements-mysql.in",
    "airflow/image.in",
    "airflow/tools.in",
    "localcloud/requirements.in",
    "dev/checkov.in",
    "bench/requirements.in",
    "dev/requirements.in",
];

#[test]
fn a_package_is_added_by_two_commands_and_what_contradicts_is_explained() {
    let project = Project::new();
    OTHERS.iter().for_each(|name| project.remove(name));
    project.remove("airflow/requirements.lock");
    let lock = |text: &str| {
        project.write("airflow/requirements.in", text);
        project.run(&["lock", "--format", "json"])
    };
    let first = lock("click==8.1.7\n").expect(0).json();
    assert_eq!(first["locks"][0]["changes"][0], json!({"package": "click", "before": null, "now": "8.1.7"}));

    let second = lock("click\nmarkupsafe==3.0.2\n").expect(0).json();
    let changes = &second["locks"][0]["changes"];
    assert_eq!(changes.as_array().unwrap().len(), 1, "click stays as it was: {changes}");
    assert_eq!(changes[0]["package"], "markupsafe");
    let before = project.read("airflow/requirements.lock");
    assert!(before.contains("markupsafe==3.0.2 \\\n    --hash=sha256:"), "{before}");
    assert!(!before.contains("://"), "no index is named: {before}");

    let told = lock("click==8.1.7\nflask==3.0.0\nmarkupsafe\nwerkzeug<3\n").expect(2).json();
    let text = told["error"].to_string();
    for word in ["flask==3.0.0", "werkzeug", "airflow/requirements.in"] {
        assert!(text.contains(word), "no `{word}` in {text}");
    }
    assert_eq!(project.read("airflow/requirements.lock"), before, "the lock is as it was");
}
