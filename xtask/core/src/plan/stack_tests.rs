//! The decision for every state of a stack, and what counts as a difference.

use super::*;
use crate::model::digest::Digest;

const BODY: &str =
    "Parameters:\n  Size: {Type: String, Default: small}\n  Name: {Type: String}\nResources: {}\n";

fn packaged(body: &str) -> Packaged {
    let digest = Digest::of(body.as_bytes());
    Packaged { path: "master.yaml".to_owned(), digest, body: body.to_owned() }
}

fn map(entries: &[(&str, &str)]) -> BTreeMap<String, String> {
    entries.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn desired(template: &Packaged) -> Desired<'_> {
    Desired {
        template,
        parameters: map(&[("Name", "x")]),
        tags: map(&[("project", "p")]),
        protection: Protection::Off,
    }
}

fn facts(status: Status) -> StackFacts {
    StackFacts {
        name: "p-dev".to_owned(),
        arn: "arn:p-dev".to_owned(),
        status,
        reason: None,
        template: Some(BODY.to_owned()),
        parameters: map(&[("Name", "x"), ("Size", "small")]),
        outputs: BTreeMap::new(),
        tags: map(&[("project", "p")]),
        protection: Protection::Off,
        stuck: Vec::new(),
    }
}

fn stuck(path: &str, skip: &str, status: &str) -> Stuck {
    Stuck {
        path: path.to_owned(),
        kind: "AWS::SQS::Queue".to_owned(),
        status: status.to_owned(),
        reason: Some("denied".to_owned()),
        skip_name: skip.to_owned(),
    }
}

fn show(decision: &Decision) -> String {
    let consent = decision.consent.as_ref().map(|consent| format!(" [ask: {consent}]")).unwrap_or_default();
    let action = match &decision.action {
        StackAction::ContinueRollback { skip } => {
            let names: Vec<&str> = skip.iter().map(|stuck| stuck.skip_name.as_str()).collect();
            format!("ContinueRollback {names:?}")
        }
        action => format!("{action:?}"),
    };
    format!("{action}: {}{consent}", decision.reason)
}

#[test]
fn every_state_has_its_action() {
    let template = packaged(BODY);
    let lines: Vec<String> = Status::ALL
        .iter()
        .map(|status| {
            let mut facts = facts(*status);
            facts.stuck = vec![
                stuck("Broker/Queue", "p-dev-Broker-1X.Queue", "UPDATE_FAILED"),
                stuck("Old", "Old", "DELETE_FAILED"),
            ];
            format!("{status} → {}", show(&decide(&desired(&template), Some(&facts)).unwrap()))
        })
        .collect();
    insta::assert_snapshot!(lines.join("\n"), @r#"
    CREATE_IN_PROGRESS → Wait: an operation is in progress: CREATE_IN_PROGRESS
    CREATE_FAILED → DeleteThenCreate: its creation failed [ask: delete what is left of the stack, with Broker/Queue, Old, then create it]
    CREATE_COMPLETE → None: nothing changed
    ROLLBACK_IN_PROGRESS → Wait: an operation is in progress: ROLLBACK_IN_PROGRESS
    ROLLBACK_FAILED → DeleteThenCreate: its creation failed and could not be undone [ask: delete what is left of the stack, with Broker/Queue, Old, then create it]
    ROLLBACK_COMPLETE → DeleteThenCreate: its creation failed and was undone
    DELETE_IN_PROGRESS → Wait: an operation is in progress: DELETE_IN_PROGRESS
    DELETE_FAILED → DeleteThenCreate: its deletion got stuck [ask: delete what is left of the stack, with Broker/Queue, Old, then create it]
    DELETE_COMPLETE → Create: the stack was deleted
    UPDATE_IN_PROGRESS → Wait: an operation is in progress: UPDATE_IN_PROGRESS
    UPDATE_COMPLETE_CLEANUP_IN_PROGRESS → Wait: an operation is in progress: UPDATE_COMPLETE_CLEANUP_IN_PROGRESS
    UPDATE_COMPLETE → None: nothing changed
    UPDATE_FAILED → Rollback: an update failed with rollback switched off [ask: roll the stack back to its last good state, then update it]
    UPDATE_ROLLBACK_IN_PROGRESS → Wait: an operation is in progress: UPDATE_ROLLBACK_IN_PROGRESS
    UPDATE_ROLLBACK_FAILED → ContinueRollback ["p-dev-Broker-1X.Queue"]: an update failed and could not be undone [ask: continue the rollback, if need be leaving these as they are: Broker/Queue (denied); then update the stack]
    UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS → Wait: an operation is in progress: UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS
    UPDATE_ROLLBACK_COMPLETE → None: nothing changed
    REVIEW_IN_PROGRESS → Create: the stack was prepared but never created
    IMPORT_IN_PROGRESS → Wait: an operation is in progress: IMPORT_IN_PROGRESS
    IMPORT_COMPLETE → None: nothing changed
    IMPORT_ROLLBACK_IN_PROGRESS → Wait: an operation is in progress: IMPORT_ROLLBACK_IN_PROGRESS
    IMPORT_ROLLBACK_FAILED → Refuse: an import failed and could not be undone
    IMPORT_ROLLBACK_COMPLETE → None: nothing changed
    "#);
}

#[test]
fn an_absent_stack_is_created_and_protected_where_wanted() {
    let template = packaged(BODY);
    let decision = decide(&desired(&template), None).unwrap();
    assert_eq!((decision.action, decision.protection), (StackAction::Create, None));
    let wanted = Desired { protection: Protection::On, ..desired(&template) };
    assert_eq!(decide(&wanted, None).unwrap().protection, Some(Protection::On));
}

#[test]
fn every_difference_is_named() {
    type Case = (fn(&mut StackFacts), &'static str);
    let changes: [Case; 6] = [
        (|f| f.template = Some(BODY.replace("small", "large")), "changed: the templates"),
        (|f| f.template = None, "changed: the templates"),
        (|f| drop(f.parameters.insert("Name".to_owned(), "y".to_owned())), "changed: parameter `Name`"),
        (|f| drop(f.parameters.insert("Size".to_owned(), "large".to_owned())), "changed: parameter `Size`"),
        (|f| drop(f.parameters.insert("Gone".to_owned(), "1".to_owned())), "changed: parameter `Gone`"),
        (|f| f.tags.clear(), "changed: tag `project`"),
    ];
    let template = packaged(BODY);
    for (change, expected) in changes {
        let mut facts = facts(Status::UpdateComplete);
        change(&mut facts);
        let decision = decide(&desired(&template), Some(&facts)).unwrap();
        assert_eq!((decision.action, decision.reason.as_str()), (StackAction::Update, expected));
    }
}

#[test]
fn a_comment_in_the_root_template_is_no_difference() {
    let template = packaged(&format!("# new\n{BODY}"));
    let decision = decide(&desired(&template), Some(&facts(Status::CreateComplete))).unwrap();
    assert!(decision.is_settled());
}

#[test]
fn protection_alone_needs_no_change_set() {
    let template = packaged(BODY);
    let wanted = Desired { protection: Protection::On, ..desired(&template) };
    let decision = decide(&wanted, Some(&facts(Status::CreateComplete))).unwrap();
    assert_eq!((&decision.action, decision.protection), (&StackAction::None, Some(Protection::On)));
    assert!(!decision.is_settled());
}

#[test]
fn a_protected_stack_is_never_deleted() {
    let template = packaged(BODY);
    for status in
        [Status::RollbackComplete, Status::RollbackFailed, Status::CreateFailed, Status::DeleteFailed]
    {
        let facts = StackFacts { protection: Protection::On, ..facts(status) };
        let decision = decide(&desired(&template), Some(&facts)).unwrap();
        assert_eq!(decision.action, StackAction::Refuse, "{status}");
        assert!(decision.reason.contains("termination protection"));
    }
}

#[test]
fn parameters_that_do_not_fit_are_all_told() {
    let template = packaged(BODY);
    let wanted = Desired { parameters: map(&[("Typo", "1")]), ..desired(&template) };
    let problems = decide(&wanted, None).unwrap_err();
    let kinds: Vec<&str> = problems.iter().map(|problem| problem.kind.as_str()).collect();
    assert_eq!(kinds, ["unknown_parameter", "missing_parameter"]);
}
