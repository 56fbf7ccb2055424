//! Plans with a migration in them, there and back.

use super::super::deployment::{Plan, Source, plan};
use super::super::running::{Records, Running};
use super::*;
use crate::model::digest::Digest;
use crate::model::engine::Engine;
use crate::model::objects::Objects;
use crate::model::release::{Parts, Pointer};
use crate::model::schema::tests::schema;

/// On hosts or on ECS, with a database of this engine.
fn release(engine: Engine, database: &str, code: &str, schema: Option<Schema>) -> Release {
    let digest = Digest::of(code.as_bytes());
    let parameters = [("DatabaseEngine", database)].map(|(name, value)| (name.to_owned(), value.to_owned()));
    let stack = StackSpec { template: Digest::of(b"t"), parameters: parameters.into() };
    let (runtime, image, stack) = match engine {
        Engine::Ec2 => (Runtime::Hosts(digest), None, stack),
        _ => (Runtime::Services(digest), Some(digest), stack.with_image(&format!("r/i@sha256:{digest}"))),
    };
    let (bundle, templates, objects) = (Digest::of(b"b"), None, Objects::default());
    Release::new(Parts {
        bundle,
        templates,
        image,
        engine,
        runtime,
        stack,
        objects,
        schema,
        git: None,
        commit: None,
    })
}

fn old(engine: Engine, database: &str) -> Release {
    release(engine, database, "old", Some(schema("3.2.1", "ab")))
}

fn new(engine: Engine, database: &str) -> Release {
    release(engine, database, "new", Some(schema("3.3.2", "abcd")))
}

fn running(current: &Release) -> Facts {
    let pointer = Pointer::next(None, current);
    Facts {
        running: Running::recorded(Some(&pointer), Some(current), Records::Trusted),
        previous: Some(current.clone()),
        ..Facts::default()
    }
}

fn names(plan: &Plan) -> String {
    plan.names().join(" ")
}

fn moving(plan: &Plan) -> &Moving {
    let found = plan.steps.iter().find_map(|step| match step {
        Step::Migration(moving) | Step::Downgrade(moving) => Some(&**moving),
        _ => None,
    });
    found.unwrap()
}

#[test]
fn the_database_is_saved_and_migrated_before_anything_runs_the_new_code() {
    let hosts = plan(&new(Engine::Ec2, "postgres"), Source::Tree, &running(&old(Engine::Ec2, "postgres")));
    assert_eq!(names(&hosts), "validate snapshot migration hosts pointer smoke");
    assert!(!moving(&hosts).dumps);
    let told = hosts.migration.as_ref().unwrap().to_string();
    assert_eq!(told, "migrates the database: 3.2.1 → 3.3.2, 2 revisions");
    for engine in ["aurora-postgresql", "mysql"] {
        let now = old(Engine::Fargate, engine);
        let services = plan(&new(Engine::Fargate, engine), Source::Tree, &running(&now));
        assert_eq!(names(&services), "validate image stack snapshot migration services pointer smoke");
    }
}

#[test]
fn an_existing_database_is_dumped_by_what_migrates_it() {
    let now = old(Engine::Fargate, "existing");
    let plan = plan(&new(Engine::Fargate, "existing"), Source::Tree, &running(&now));
    assert_eq!(names(&plan), "validate image stack migration services pointer smoke");
    assert!(moving(&plan).dumps);
}

#[test]
fn a_release_with_the_same_migrations_has_no_such_step() {
    let now = old(Engine::Ec2, "postgres");
    let other = release(Engine::Ec2, "postgres", "other", now.schema.clone());
    let plan = plan(&other, Source::Tree, &running(&now));
    assert_eq!((names(&plan).as_str(), plan.migration), ("validate hosts pointer smoke", None));
}

#[test]
fn a_first_release_makes_the_database_and_migrates_none() {
    let facts = Facts { running: Running::recorded(None, None, Records::Trusted), ..Facts::default() };
    let plan = plan(&new(Engine::Ec2, "postgres"), Source::Tree, &facts);
    assert!(plan.migration.is_none() && !plan.has("migration"), "{}", names(&plan));
}

/// Records of before have no schema: the next rollout of other code may migrate, all else does not.
#[test]
fn what_no_record_tells_may_be_a_migration() {
    let before = release(Engine::Ec2, "postgres", "old", None);
    let same = release(Engine::Ec2, "postgres", "old", Some(schema("3.2.1", "ab")));
    assert!(plan(&same, Source::Tree, &running(&before)).is_unchanged());
    let next = plan(&new(Engine::Ec2, "postgres"), Source::Tree, &running(&before));
    assert_eq!(names(&next), "validate snapshot migration hosts pointer smoke");
    let now = new(Engine::Ec2, "postgres");
    let back = plan(&before, Source::Record, &running(&now)).migration.unwrap();
    assert_eq!(back.direction, Direction::Unrecorded, "a gate refuses it");
    let told = "may have to migrate the database back: 3.3.2 → unknown, revisions unknown";
    assert_eq!(back.to_string(), told);
    let way_back = plan(&before, Source::Record, &after(&before, &now, 1, true));
    assert_eq!(names(&way_back), "hosts pointer smoke", "a failed deployment goes back as far as it can");
}

/// What a deployment to `target` leaves if it ends after this many steps, or within the next.
fn after(now: &Release, target: &Release, steps: usize, begun: bool) -> Facts {
    let facts = running(now);
    let (plan, mut running) = (plan(target, Source::Tree, &facts), facts.running);
    plan.steps.iter().take(steps).for_each(|step| running.advance(step));
    if begun {
        running.unsettle_schema(target.schema.as_ref().unwrap());
    }
    Facts { running, ..facts }
}

#[test]
fn a_failed_upgrade_takes_the_migration_back_before_the_old_code_comes() {
    for engine in [Engine::Ec2, Engine::Fargate] {
        let (now, target) = (old(engine, "postgres"), new(engine, "postgres"));
        let ecs = engine.is_ecs();
        let back = |steps, begun| plan(&now, Source::Record, &after(&now, &target, steps, begun));
        let (before, rollout) = if ecs { (3, "services") } else { (1, "hosts") };
        let untouched = names(&back(before, false));
        assert_eq!(
            untouched,
            if ecs { "stack services pointer smoke" } else { "health" },
            "no migration has begun"
        );
        for (steps, begun) in [(before, true), (before + 1, false)] {
            let back = back(steps, begun);
            let stack = if ecs { "stack " } else { "" };
            assert_eq!(names(&back), format!("downgrade {stack}{rollout} pointer smoke"));
            assert_eq!((&moving(&back).to, moving(&back).dumps), (now.schema.as_ref().unwrap(), false));
            assert_eq!(back.migration.unwrap().direction, Direction::Down);
        }
    }
}

#[test]
fn a_rollback_that_somebody_asks_for_is_saved_first() {
    let (now, target) = (new(Engine::Fargate, "postgres"), old(Engine::Fargate, "postgres"));
    let plan = plan(&target, Source::Record, &running(&now));
    assert_eq!(names(&plan), "snapshot downgrade stack services pointer smoke");
}

#[test]
fn a_downgrade_that_was_done_is_not_done_again() {
    let (now, target) = (old(Engine::Fargate, "postgres"), new(Engine::Fargate, "postgres"));
    let mut half = after(&now, &target, 4, true);
    half.running.advance(&plan(&now, Source::Record, &half).steps[0]);
    assert_eq!(names(&plan(&now, Source::Record, &half)), "stack services pointer smoke");
}

/// A deployment from `now` to `target` was killed after the migration had begun: records tell of `now` alone.
fn interrupted(now: &Release, target: &Release) -> Facts {
    let pointer = Pointer::next(None, now);
    let recorded = Running::recorded(Some(&pointer), Some(now), Records::Doubtful);
    let running = Running { begun: target.schema.clone(), ..recorded };
    Facts { running, previous: Some(now.clone()), ..Facts::default() }
}

#[test]
fn an_interrupted_migration_is_taken_back_by_the_older_tree() {
    for (engine, first) in [(Engine::Ec2, "validate downgrade"), (Engine::Fargate, "validate downgrade")] {
        let (now, target) = (old(engine, "postgres"), new(engine, "postgres"));
        let facts = interrupted(&now, &target);
        let back = plan(&now, Source::Tree, &facts);
        assert!(names(&back).starts_with(first), "{}", names(&back));
        assert!(!back.has("snapshot"), "the one of the interrupted deployment is older");
        let other = release(engine, "postgres", "other", now.schema.clone());
        assert!(plan(&other, Source::Tree, &facts).has("snapshot"));
        let on = plan(&target, Source::Tree, &facts);
        assert!(on.has("snapshot") && on.has("migration"), "{}", names(&on));
        let apart = release(engine, "postgres", "apart", Some(schema("3.2.9", "abx")));
        assert_eq!(plan(&apart, Source::Tree, &facts).migration.unwrap().direction, Direction::Apart);
        let mut done = facts.clone();
        back.steps.iter().for_each(|step| done.running.advance(step));
        assert!(plan(&now, Source::Tree, &done).migration.is_none());
    }
}
