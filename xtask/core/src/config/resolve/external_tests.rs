//! External tasks: what a file can say of them, and everything that is wrong with it at once.

use super::tests::{bad, good};
use crate::config::Images;

fn file(engine: &str, more: &str) -> String {
    format!(
        "engine = '{engine}'\n[aws]\naccount = '111122223333'\nregion = 'eu-central-1'\n\
         [entry]\nallowed_cidrs = ['203.0.113.0/24']\n{more}"
    )
}

#[test]
fn a_folder_is_enough() {
    let environment = good(&file("fargate", "[tasks.big-fish]\nfolder = 'tasks/fish/'\n"));
    let [task] = environment.external_tasks() else { panic!("{:?}", environment.external_tasks()) };
    assert_eq!(task.command, ["python", "main.py"]);
    let given = task.parameters();
    let of = |name: &str| given[name].as_str();
    assert_eq!(
        [of("TaskName"), of("Cpu"), of("Memory"), of("ImageBuilt")],
        ["big-fish", "256", "512", "true"]
    );
    assert_eq!((task.stack(), task.parameter()), ("ExternalTaskBigFish".into(), "TaskImageBigFish".into()));
    let images = Images {
        tasks: Some([("big-fish".to_owned(), "a@sha256:b".to_owned())].into()),
        ..Images::example()
    };
    assert_eq!(environment.parameters(&images, None)["TaskImageBigFish"], "a@sha256:b");
}

#[test]
fn the_repository_of_an_image_is_known_if_it_is_in_ecr() {
    let of = |image: &str| {
        let environment = good(&file("ecs-ec2", &format!("[tasks.a]\nimage = '{image}'\n")));
        let task = &environment.external_tasks()[0];
        assert!(task.command.is_empty(), "the image decides");
        task.repository().map(|place| place.map(str::to_owned))
    };
    let here = "111122223333.dkr.ecr.eu-west-1.amazonaws.com/team/report:1";
    assert_eq!(of(here).unwrap(), ["111122223333", "eu-west-1", "team/report"]);
    assert_eq!(of("alpine:3.22"), None);
}

#[test]
fn whatever_is_wrong_is_told_at_once() {
    let text = "[tasks.both]\nimage = 'alpine:3'\nfolder = 'tasks/a'\n[tasks.neither]\ncpu = 256\n\
                [tasks.big-fish]\nfolder = 'tasks/a'\ncpu = 512\nmemory = 512\n\
                [tasks.Report]\nimage = 'alpine'\ncommand = []\n\
                [tasks.a-b]\nfolder = '../a'\nfiles = true\n[tasks.a-b.environment]\nDB_PASSWORD = 'x'\n\
                [tasks.c-d]\nfolder = 'x'\n[tasks.cD]\nfolder = 'x'\n";
    insta::assert_snapshot!(bad(&file("fargate", text)), @r#"
    environments/dev.toml:8 `tasks.both.image`: `image` and `folder` both say where the image comes from [conflict]
        remove one of the two
    environments/dev.toml:10 `tasks.neither`: nothing says where the image comes from [conflict]
        add `folder`, which an image is built from, or `image`, which somebody else has made
    environments/dev.toml:15 `tasks.big-fish.memory`: Fargate has no tasks with 512 CPU units and 512 MiB [invalid_value]
        use `cpu = 512` with `memory = 1024`, or `cpu = 256` with `memory = 512`
    environments/dev.toml:16 `tasks.Report`: invalid task name: `Report` [invalid_value]
        use at most 20 lower-case letters, digits and hyphens; start with a letter and do not end with a hyphen
    environments/dev.toml:17 `tasks.Report.image`: `alpine` names neither a tag nor a digest [invalid_value]
        add one, for instance `alpine:1.2`; only a digest is certain to stay the same
    environments/dev.toml:18 `tasks.Report.command`: the command is empty [invalid_value]
        write the program and its arguments, or remove it
    environments/dev.toml:20 `tasks.a-b.folder`: the path leaves the project: `../a` [invalid_value]
        use the path of a folder relative to the project root, such as `templates/more`
    environments/dev.toml:21 `tasks.a-b.files`: there is no shared folder [conflict]
        set `shared = true` under `[files]`, or remove it
    environments/dev.toml:23 `tasks.a-b.environment.DB_PASSWORD`: `DB_PASSWORD` appears to contain a secret; secrets do not belong in this file [secret]
        store it as a variable of Airflow, and read it in the task with `Variable.get("db_password")`: cargo xtask secret set variables/db_password --env ENV
    environments/dev.toml:26 `tasks.cD`: invalid task name: `cD` [invalid_value]
        use at most 20 lower-case letters, digits and hyphens; start with a letter and do not end with a hyphen
    "#);
}

/// They would be the same stack, parameter and template.
#[test]
fn names_that_become_the_same_are_refused() {
    let text = "[tasks.a1-b]\nfolder = 'x'\n[tasks.a1b]\nfolder = 'x'\n[tasks.a-1]\nfolder = 'x'\n[tasks.a1]\nfolder = 'x'\n";
    insta::assert_snapshot!(bad(&file("fargate", text)), @r"
    environments/dev.toml:13 `tasks.a1`: `a-1` and `a1` would become the same stack, `ExternalTaskA1` [conflict]
        rename one of the two
    ");
}

#[test]
fn there_is_nothing_to_run_them_on_ec2() {
    insta::assert_snapshot!(bad(&file("ec2", "[tasks.a]\nfolder = 'tasks/a'\ncpu = 1\n")), @r#"
    environments/dev.toml:7 `tasks.a`: `a` has no effect on the engine `ec2` [conflict]
        remove it, or set `engine = "fargate"` or `engine = "ecs-ec2"`: on `ec2` there is no ECS to run it
    "#);
}

/// Whatever the names, what tasks are told fits into a parameter of their stack.
#[test]
fn as_many_as_fit_into_a_parameter() {
    let tasks = |count: u32| -> String {
        let each = (0..count).map(|n| format!("[tasks.a{n:019}]\nfolder = 'x'\n"));
        format!("project = '{}'\n", "p".repeat(40)) + &file("fargate", &each.collect::<String>())
    };
    let told = good(&tasks(15)).external_tasks_stand_in().unwrap();
    // A list of six subnets instead of the one that stands for them.
    assert!(told.len() + 6 * 27 < 4096, "{}", told.len());
    assert!(bad(&tasks(16)).contains("too many tasks: 16, the limit is 15"));
}
