//! What a change set as AWS answers it says for sure.

use super::*;
use sdk::ChangeSource as By;
use sdk::EvaluationType::{Dynamic, Static};
use sdk::RequiresRecreation::{Always, Conditionally, Never};

fn parameter(key: &str, value: &str) -> sdk::Parameter {
    sdk::Parameter::builder().parameter_key(key).parameter_value(value).build()
}

fn detail(
    need: sdk::RequiresRecreation,
    evaluation: sdk::EvaluationType,
    source: By,
    cause: Option<&str>,
) -> sdk::ResourceChangeDetail {
    let target = sdk::ResourceTargetDefinition::builder()
        .attribute(sdk::ResourceAttribute::Properties)
        .name("P")
        .requires_recreation(need);
    sdk::ResourceChangeDetail::builder()
        .target(target.build())
        .evaluation(evaluation)
        .change_source(source)
        .set_causing_entity(cause.map(str::to_owned))
        .build()
}

fn tags() -> sdk::ResourceChangeDetail {
    let target = sdk::ResourceTargetDefinition::builder().attribute(sdk::ResourceAttribute::Tags);
    let target = target.requires_recreation(Never).build();
    sdk::ResourceChangeDetail::builder().target(target).evaluation(Static).build()
}

fn change(id: &str, told: sdk::Replacement, details: Vec<sdk::ResourceChangeDetail>) -> sdk::ResourceChange {
    let change = sdk::ResourceChange::builder().logical_resource_id(id).resource_type("AWS::RDS::DBInstance");
    change.replacement(told).set_details(Some(details)).build()
}

/// What is made of each change where `Wired` is a token and `Given` a value.
fn judged(changes: Vec<sdk::ResourceChange>) -> Vec<(Replacement, Evidence)> {
    let token = "{{IntrinsicFunction:p-dev/Network.Outputs.VpcId/Fn::GetAtt}}";
    let level = Level::new(changes, &[parameter("Wired", token), parameter("Given", "vpc-1")]);
    level.resources().iter().map(|one| (level.replacement(one), level.evidence(one))).collect()
}

/// As AWS tells a property of the parameter `cause`: once for itself, once for the parameter.
fn by_parameter(need: sdk::RequiresRecreation, cause: &str) -> Vec<sdk::ResourceChangeDetail> {
    vec![
        detail(need.clone(), Dynamic, By::DirectModification, None),
        detail(need, Static, By::ParameterReference, Some(cause)),
    ]
}

#[test]
fn a_replacement_for_a_token_is_not_known() {
    use sdk::Replacement::{Conditional, False, True};
    let own = |need| detail(need, Static, By::DirectModification, None);
    let tagged = [vec![tags()], by_parameter(Never, "Wired")].concat();
    let mixed = [by_parameter(Always, "Wired"), vec![own(Never)]].concat();
    let milder = [by_parameter(Always, "Wired"), vec![own(Conditionally)]].concat();
    let cases = [
        (True, by_parameter(Always, "Wired"), Replacement::Unknown, Evidence::Unknown),
        (True, by_parameter(Always, "Given"), Replacement::Always, Evidence::Known),
        (False, by_parameter(Never, "Wired"), Replacement::Never, Evidence::Unknown),
        (False, tagged, Replacement::Never, Evidence::Unknown),
        (False, vec![tags()], Replacement::Never, Evidence::Known),
        (True, mixed, Replacement::Unknown, Evidence::Known),
        (True, milder, Replacement::Maybe, Evidence::Known),
        (Conditional, vec![own(Conditionally)], Replacement::Maybe, Evidence::Known),
        (
            Conditional,
            vec![detail(Always, Dynamic, By::ResourceAttribute, Some("Other.Arn"))],
            Replacement::Unknown,
            Evidence::Unknown,
        ),
        // Its type is another.
        (True, Vec::new(), Replacement::Always, Evidence::Known),
    ];
    for (told, details, replacement, evidence) in cases {
        let found = judged(vec![change("A", told, details.clone())]);
        assert_eq!(found, [(replacement, evidence)], "{details:#?}");
    }
}

#[test]
fn doubt_spreads_to_what_refers_to_the_resource() {
    use sdk::Replacement::True;
    let refers = |to: &str| vec![detail(Always, Static, By::ResourceReference, Some(to))];
    let chain = |parameter: &str| {
        judged(vec![
            change("Third", True, refers("Second")),
            change("Second", True, refers("First")),
            change("First", True, by_parameter(Always, parameter)),
        ])
    };
    assert_eq!(chain("Wired"), [(Replacement::Unknown, Evidence::Unknown); 3]);
    assert_eq!(chain("Given"), [(Replacement::Always, Evidence::Known); 3]);
}

#[test]
fn a_nested_stack_is_never_replaced() {
    let mut stack = change("S", sdk::Replacement::True, by_parameter(Always, "Given"));
    stack.resource_type = Some(STACK_TYPE.to_owned());
    assert_eq!(judged(vec![stack])[0].0, Replacement::Never);
}
