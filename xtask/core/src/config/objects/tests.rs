//! Whole files in, the objects of an environment or every problem out.

use super::*;
use std::fmt::Write as _;

fn known() -> Vec<String> {
    ["dev", "local", "prod"].map(str::to_owned).to_vec()
}

fn of(text: &str, environment: &str) -> Objects {
    objects(text, environment, &known()).unwrap_or_else(|problems| panic!("{problems:#?}"))
}

fn bad(text: &str) -> String {
    let problems = objects(text, "dev", &known()).unwrap_err();
    problems.iter().fold(String::new(), |mut text, Problem { kind, location, message, hint }| {
        writeln!(text, "{location}: {message} [{kind}]\n    {hint}").unwrap();
        text
    })
}

const EXAMPLE: &str = r#"
[connections.warehouse]
conn_type = "postgres"
host = "db.dev.example.com"
port = 5432
login = "airflow"
extra = { sslmode = "require", keepalives = 1, flags = [true] }
secret = "connections/warehouse"

[variables]
lake = "s3://lake-dev"
retries = 3
report = { to = ["ann@example.com"], daily = true }
api_token = { secret = "variables/api_token" }

[pools.warehouse]
slots = 4

[environments.prod.connections.warehouse]
host = "db.example.com"
[environments.prod.connections.archive]
conn_type = "ftp"
[environments.prod.variables]
lake = "s3://lake"
[environments.prod.pools.warehouse]
slots = 16
description = "what the database bears"
"#;

#[test]
fn an_environment_has_what_is_common_and_its_own_goes_before_it() {
    insta::assert_snapshot!(serde_json::to_string_pretty(&of(EXAMPLE, "dev")).unwrap(), @r#"
    {
      "connections": {
        "warehouse": {
          "conn_type": "postgres",
          "host": "db.dev.example.com",
          "port": 5432,
          "login": "airflow",
          "extra": {
            "flags": [
              true
            ],
            "keepalives": 1,
            "sslmode": "require"
          },
          "secret": "connections/warehouse"
        }
      },
      "variables": {
        "api_token": {
          "secret": "variables/api_token"
        },
        "lake": "s3://lake-dev",
        "report": "{\"daily\":true,\"to\":[\"ann@example.com\"]}",
        "retries": "3"
      },
      "pools": {
        "warehouse": {
          "slots": 4,
          "include_deferred": false
        }
      }
    }
    "#);
    let prod = of(EXAMPLE, "prod");
    let warehouse = &prod.connections["warehouse"];
    assert_eq!(warehouse.host.as_deref(), Some("db.example.com"));
    assert_eq!((warehouse.port, warehouse.login.as_deref()), (Some(5432), Some("airflow")));
    assert_eq!(prod.variables["lake"], Variable::Plain("s3://lake".to_owned()));
    assert_eq!((prod.pools["warehouse"].slots, prod.connections.len()), (16, 2));
    let secrets = [
        ("connections.warehouse".to_owned(), "connections/warehouse"),
        ("variables.api_token".to_owned(), "variables/api_token"),
    ];
    assert_eq!(prod.secrets(), secrets);
    assert_eq!(of("", "dev"), Objects::default());
}

#[test]
fn what_differs_from_the_release_before_is_told_by_kind() {
    let diff = of(EXAMPLE, "prod").since(&of(EXAMPLE, "dev"));
    assert_eq!(diff.connections.added, ["archive"]);
    assert_eq!(diff.connections.changed, ["warehouse"]);
    assert_eq!(
        (diff.variables.changed.as_slice(), diff.pools.changed.as_slice()),
        (&["lake".to_owned()][..], &["warehouse".to_owned()][..])
    );
    assert_eq!(of("", "dev").since(&of(EXAMPLE, "dev")).pools.removed, ["warehouse"]);
}

const MISTAKES: &str = r#"
[connection.a]
conn_type = "x"
[connections.b]
conn_typ = "postgres"
conn_host = "h"
password = "hunter2"
port = "5432"
[connections."c d"]
conn_type = "http"
host = "https://u:hunter2@example.com"
extra = { aws_secret_access_key = "hunter2", nested = { api_token = "hunter2" }, empty_token = "" }
secret = "variables/x"
[connections.d]
conn_type = "aws"
extra = "{}"
secret = "warehouse"
[variables]
db_password = "hunter2"
store = ["redis://u:hunter2@h"]
since = 2026-01-01
ok = { secret = "variables/x", more = 1 }
[pools.default_pool]
slots = 3
[pools.e]
slot = 3
[pools.f]
slots = 0
[environments.prd.variables]
x = 1
[environments.prod.pools.g]
description = "x"
"#;

#[test]
fn every_mistake_is_told_at_once() {
    let found = bad(MISTAKES);
    assert!(!found.contains("hunter2"), "{found}");
    insta::assert_snapshot!(found, @r#"
    airflow/objects.toml:2 `connection`: unknown key [unknown_key]
        rename it to `connections`, or remove it
    airflow/objects.toml:4 `connections.b`: `conn_type` is missing [missing_key]
        add its type, as in `conn_type = "postgres"`
    airflow/objects.toml:5 `connections.b.conn_typ`: unknown key [unknown_key]
        rename it to `conn_type`, or remove it
    airflow/objects.toml:6 `connections.b.conn_host`: moved to `host` [moved_key]
        rename it to `host`
    airflow/objects.toml:7 `connections.b.password`: passwords do not belong in this file [secret]
        write `secret = "connections/b"`, and store it: cargo xtask secret set connections/b --env ENV
    airflow/objects.toml:8 `connections.b.port`: expected an integer, found a string [wrong_type]
        remove the quotes: `port = 5432`
    airflow/objects.toml:9 `connections.c d`: invalid ID of a connection: `c d` [invalid_value]
        use letters, digits and `_-.`
    airflow/objects.toml:11 `connections.c d.host`: the URL contains a user name or password; secrets do not belong in this file [secret]
        write `secret = "connections/c d"`, and store it: cargo xtask secret set connections/c d --env ENV
    airflow/objects.toml:12 `connections.c d.extra`: `extra.aws_secret_access_key` appears to contain a secret; secrets do not belong in this file [secret]
        write `secret = "connections/c d"`, and store it: cargo xtask secret set connections/c d --env ENV
    airflow/objects.toml:12 `connections.c d.extra`: `extra.nested.api_token` appears to contain a secret; secrets do not belong in this file [secret]
        write `secret = "connections/c d"`, and store it: cargo xtask secret set connections/c d --env ENV
    airflow/objects.toml:13 `connections.c d.secret`: `variables/x` is not a secret of connections [invalid_value]
        use `connections/c d`, or another name that starts with `connections/`
    airflow/objects.toml:16 `connections.d.extra`: expected a table [wrong_type]
        write a table, as in `extra = { sslmode = "require" }`
    airflow/objects.toml:17 `connections.d.secret`: invalid name of a secret: `warehouse` [invalid_value]
        write it as `connections/warehouse`, `variables/warehouse`, `login/google`, `image/registry`, `packages/index` or `dags/git`
    airflow/objects.toml:19 `variables.db_password`: `db_password` appears to contain a secret; secrets do not belong in this file [secret]
        write `db_password = { secret = "variables/db_password" }`, and store it: cargo xtask secret set variables/db_password --env ENV
    airflow/objects.toml:20 `variables.store`: the URL contains a user name or password; secrets do not belong in this file [secret]
        write `store = { secret = "variables/store" }`, and store it: cargo xtask secret set variables/store --env ENV
    airflow/objects.toml:21 `variables.since`: expected a string, number, boolean, array or table, found a datetime [wrong_type]
        put it in quotes: `since = "2026-01-01"`
    airflow/objects.toml:22 `variables.ok`: `ok.secret` appears to contain a secret; secrets do not belong in this file [secret]
        write `ok = { secret = "variables/ok" }`, and store it: cargo xtask secret set variables/ok --env ENV
    airflow/objects.toml:24 `pools.default_pool.slots`: `default_pool` belongs to Airflow itself [owned_key]
        change its slots in Airflow (Admin, Pools); before the first deployment, set `"core.default_pool_task_slot_count"` under `[airflow.config]`
    airflow/objects.toml:25 `pools.e`: `slots` is missing [missing_key]
        say how many tasks may run in it at a time, as in `slots = 4`
    airflow/objects.toml:26 `pools.e.slot`: unknown key [unknown_key]
        rename it to `slots`, or remove it
    airflow/objects.toml:28 `pools.f.slots`: `0` is out of range: 1 to 1000000 [invalid_value]
        use a number from 1 to 1000000
    airflow/objects.toml:29 `environments.prd`: there is no environment `prd`: no file `environments/prd.toml` [unknown_environment]
        rename it to `environments.prod`, or remove it
    "#);
}
