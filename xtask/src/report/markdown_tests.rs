//! What a reviewer reads, and what GitHub puts beside the lines of a file.

use super::*;
use crate::fail::Problem;
use crate::model::change::{ChangeAction, Evidence, Fate};
use crate::report::plan::tests::preview_of_everything;

#[test]
fn a_plan_names_what_changes_and_puts_replacements_first() {
    let mut preview = preview_of_everything();
    preview.dags = dags::tests::everything();
    let change = |path: &str, replacement| Change {
        path: path.to_owned(),
        kind: "AWS::RDS::DBInstance".to_owned(),
        action: ChangeAction::Modify,
        replacement,
        fate: Fate::Deleted,
        reasons: vec!["DBInstanceClass".to_owned()],
        evidence: Evidence::Known,
        nested: Vec::new(),
    };
    preview.stack = StackPreview::Update {
        changes: vec![
            change("Database/Instance", Replacement::Always),
            change("Database/Other", Replacement::Never),
        ],
        unseen: None,
    };
    let problem = Problem::new(
        "import_error",
        "dags/a.py:3",
        "No module named `x`",
        "add it to airflow/requirements.in",
    );
    preview.gates.push(Gate { name: "dags", outcome: "refused", problems: vec![problem], ..Gate::default() });
    insta::assert_snapshot!(plan(&preview), @r"
    ### `dev`: release `65b538219a12`, now `0123456789ab`

    | | |
    |---|---|
    | steps | validate, bootstrap, bundle, stack, hosts, pools, pointer, dags, smoke |
    | DAGs added | `orders` (`@hourly`) |
    | DAGs removed | `gone` |
    | DAGs moved | `stock` (`old.py` → `new.py`; paused) |
    | DAGs rescheduled | `nightly` (`0 1 * * *` → no schedule) |
    | DAGs changed | `revenue` (tasks added `load`, removed `extract`; params changed `day`) |
    | host revision | `4740ae6347b0` |

    The stack `ductwork-dev` is updated.

    - **`Database/Instance` (AWS::RDS::DBInstance) is replaced**

    ```
      ! Instance                        AWS::RDS::DBInstance
          REPLACED: DBInstanceClass
      ~ Other                           AWS::RDS::DBInstance
          DBInstanceClass
    1 to change, 1 to replace
    ```

    > DAG `orders` and 1 more name the connection `warehouse`, which `dev` does not have: declare it in airflow/objects.toml, or create it in Airflow

    > DAG `orders` names the variable `lake`; whether `dev` has it cannot be told, as it gave no answer

    Gates refused: dags; passed: stack; skipped: ports

    **1 problem**

    - `dags/a.py:3`: No module named `x`<br>add it to airflow/requirements.in
    ");
}

#[test]
fn problems_stand_beside_their_lines() {
    let problems = vec![
        Problem::new("import_error", "dags/a.py:3", "line 1\nline 2", "cure, 100 %"),
        Problem::new("invalid_value", "environments/dev.toml:7 `aws.region`", "no such region", ""),
        Problem::new("missing", "airflow/host/appspec.yml", "does not exist", ""),
        Problem::new("quota", "L-1216C47A in eu-central-1", "too few vCPUs", "ask for more"),
    ];
    insta::assert_snapshot!(annotations(&Fail::problems("4 findings", problems)), @r"
    ::error file=dags/a.py,line=3::line 1%0Aline 2%0Acure, 100 %25
    ::error file=environments/dev.toml,line=7::no such region
    ::error file=airflow/host/appspec.yml::does not exist
    ::error::L-1216C47A in eu-central-1: too few vCPUs%0Aask for more
    ");
    assert_eq!(annotations(&Fail::failed("it broke\nbadly")), "::error::it broke%0Abadly\n");
}

#[test]
fn an_error_is_a_headline_and_a_block() {
    let fail = Fail::failed("the stack failed").cause("Database/Instance: no capacity").hint("try again");
    insta::assert_snapshot!(failure(&fail), @r"
    ### Failed: the stack failed

    ```
    error: the stack failed
      caused by: Database/Instance: no capacity

    hint: try again
    ```
    ");
}
