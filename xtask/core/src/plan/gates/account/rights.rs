//! What the caller may do, and the roles that AWS's services make for themselves.

use super::{About, Judged};
use crate::model::account::{Denied, ServiceRoles};
use crate::model::text::count;
use std::collections::BTreeMap;

/// Each resource with everything that is denied there.
pub(super) fn calls(about: &About, denied: &[Denied]) -> Judged {
    let mut by_resource: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for Denied { action, resource } in denied {
        by_resource.entry(resource).or_default().push(action);
    }
    let problem = |(resource, actions): (&str, Vec<&str>)| {
        let message = format!("you may not call {} on {resource}", actions.join(", "));
        let hint = "use another profile or role (AWS_PROFILE), or have these actions allowed";
        about.problem("rights", &["aws.account"], message, hint.to_owned())
    };
    Judged::of("the calls of this tool are allowed", by_resource.into_iter().map(problem).collect())
}

pub(super) fn roles(about: &About, roles: &ServiceRoles) -> Judged {
    let ServiceRoles { missing, denied } = roles;
    let services: Vec<&str> = missing.iter().map(|role| role.service).collect();
    match (missing.len(), denied) {
        (0, _) => Judged::Ok("all are there".to_owned()),
        (_, false) => {
            let short = services.iter().map(|service| service.split('.').next().unwrap_or_default());
            Judged::Ok(format!("made at first use: {}", short.collect::<Vec<_>>().join(", ")))
        }
        (number, true) => {
            let message = format!(
                "the account lacks {} that you may not create: {}",
                count(number, "service-linked role"),
                services.join(", ")
            );
            let create =
                |service: &&str| format!("aws iam create-service-linked-role --aws-service-name {service}");
            let commands: Vec<String> = services.iter().map(create).collect();
            let hint = format!("have somebody run: {}", commands.join("; "));
            Judged::Missing(vec![about.problem("service_role", &["aws.account"], message, hint)])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::findings;
    use super::super::tests::healthy;
    use crate::model::account::{Account, Denied, ServiceRole, ServiceRoles};

    fn told(account: &Account) -> String {
        let last = findings("f", account).pop().unwrap();
        let problems =
            last.problems.iter().map(|one| format!("\n{}: {}\n  {}", one.location, one.message, one.hint));
        format!("{}: {}{}", last.name, last.text, problems.collect::<String>())
    }

    #[test]
    fn what_is_denied_is_told_by_resource() {
        let denied = |action: &str, resource: &str| Denied {
            action: action.to_owned(),
            resource: resource.to_owned(),
        };
        let all =
            vec![denied("s3:GetObject", "b/k"), denied("s3:ListBucket", "b"), denied("s3:PutObject", "b/k")];
        insta::assert_snapshot!(told(&Account { rights: Some(Ok(all)), ..healthy() }), @r"
        rights: 2 problems
        f `aws.account`: you may not call s3:ListBucket on b
          use another profile or role (AWS_PROFILE), or have these actions allowed
        f `aws.account`: you may not call s3:GetObject, s3:PutObject on b/k
          use another profile or role (AWS_PROFILE), or have these actions allowed
        ");
        let none = Account { rights: Some(Ok(Vec::new())), ..healthy() };
        assert_eq!(told(&none), "rights: the calls of this tool are allowed");
    }

    #[test]
    fn a_service_linked_role_is_missed_only_where_nobody_may_make_it() {
        let of = |denied| {
            let missing = vec![ServiceRole { service: "rds.amazonaws.com", name: "AWSServiceRoleForRDS" }];
            told(&Account { service_roles: Some(Ok(ServiceRoles { missing, denied })), ..healthy() })
        };
        assert_eq!(of(false), "service roles: made at first use: rds");
        insta::assert_snapshot!(of(true), @r"
        service roles: 1 problem
        f `aws.account`: the account lacks 1 service-linked role that you may not create: rds.amazonaws.com
          have somebody run: aws iam create-service-linked-role --aws-service-name rds.amazonaws.com
        ");
    }
}
