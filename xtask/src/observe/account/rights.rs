//! What the caller may do, as IAM itself works it out, and which service-linked roles are there.

use super::{Ask, optional, parsed, senseless, told};
use crate::doors::aws;
use crate::doors::signed::{Answer as Signed, Service};
use crate::model::account::{Answer, Calls, Denied, ServiceRole, ServiceRoles, Topic};

const VERSION: &str = "2010-05-08";

/// Whose policies count.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Principal {
    /// Is never denied anything that the account itself may do.
    Root,
    User(String),
    /// By its name: in what the caller is called, its path is missing.
    Role(String),
}

impl Principal {
    /// Of the ARN that STS calls the caller by.
    fn of(arn: &str) -> Answer<Self> {
        let resource = arn.splitn(6, ':').nth(5).unwrap_or_default();
        match resource.split_once('/') {
            None if resource == "root" => Ok(Self::Root),
            Some(("user", _)) => Ok(Self::User(arn.to_owned())),
            Some(("assumed-role", rest)) => {
                Ok(Self::Role(rest.split('/').next().unwrap_or_default().to_owned()))
            }
            _ => Err(format!("IAM does not tell what `{arn}` may do")),
        }
    }
}

impl Ask<'_> {
    /// Those of the tool's own calls that the caller may not make.
    pub(super) async fn rights(&self) -> Option<Answer<Vec<Denied>>> {
        if self.wants(Topic::Rights) { Some(self.denied().await) } else { None }
    }

    async fn denied(&self) -> Answer<Vec<Denied>> {
        let Some(policies) = self.policies().await? else { return Ok(Vec::new()) };
        let mut denied = Vec::new();
        for call in self.demands.calls(partition(&policies)) {
            let refused = self.simulated(&policies, &call).await;
            denied.extend(told(refused)?);
        }
        Ok(denied)
    }

    /// The ARN of whoever has the caller's policies; nothing for the root user.
    async fn policies(&self) -> Answer<Option<String>> {
        let caller = self.aws.sts.get_caller_identity().send().await;
        let caller = caller.map_err(|error| format!("STS does not say who asks: {}", aws::code(&error)))?;
        let arn = caller.arn().ok_or_else(|| senseless("ARN").to_string())?;
        match Principal::of(arn)? {
            Principal::Root => Ok(None),
            Principal::User(arn) => Ok(Some(arn)),
            Principal::Role(name) => {
                let role = told(self.role(&name).await)?;
                role.map(Some).ok_or_else(|| format!("IAM knows no role `{name}`"))
            }
        }
    }

    /// The ARN of a role, if there is one of that name.
    async fn role(&self, name: &str) -> Signed<Option<String>> {
        let found = self.iam("GetRole", vec![("RoleName".to_owned(), name.to_owned())]).await;
        let Some(xml) = optional(found, "NoSuchEntity")? else { return Ok(None) };
        // An answer to anything else, which may have an ARN too, is none.
        let is_it = texts(&xml, "RoleName")?.iter().any(|found| found == name);
        let arn = texts(&xml, "Arn")?.into_iter().next().filter(|_| is_it);
        arn.map(Some).ok_or_else(|| senseless("role"))
    }

    async fn simulated(&self, policies: &str, calls: &Calls) -> Signed<Vec<Denied>> {
        let Calls { actions, resource, cluster } = calls;
        let mut wanted = vec![
            ("PolicySourceArn".to_owned(), policies.to_owned()),
            ("ResourceArns.member.1".to_owned(), resource.clone()),
        ];
        wanted.extend(cluster.iter().flat_map(|cluster| context("ecs:cluster", cluster)));
        let numbered = (1..).zip(actions);
        wanted.extend(numbered.map(|(n, action)| (format!("ActionNames.member.{n}"), (*action).to_owned())));
        let xml = self.iam("SimulatePrincipalPolicy", wanted).await?;
        let (names, decisions) = (texts(&xml, "EvalActionName")?, texts(&xml, "EvalDecision")?);
        if names.is_empty() || names.len() != decisions.len() {
            return Err(senseless("decision"));
        }
        let refused = names.into_iter().zip(decisions).filter(|(_, decision)| decision != "allowed");
        Ok(refused.map(|(action, _)| Denied { action, resource: resource.clone() }).collect())
    }

    /// Those that are not there, and whether the deployment can make them.
    pub(super) async fn service_roles(&self) -> Option<Answer<ServiceRoles>> {
        if !self.wants(Topic::ServiceRoles) {
            return None;
        }
        Some(match told(self.missing_roles().await) {
            Ok(missing) if missing.is_empty() => Ok(ServiceRoles::default()),
            Ok(missing) => self.uncreatable(&missing).await.map(|denied| ServiceRoles { missing, denied }),
            Err(why) => Err(why),
        })
    }

    async fn missing_roles(&self) -> Signed<Vec<ServiceRole>> {
        let mut missing = Vec::new();
        for role in &self.demands.service_roles {
            if self.role(role.name).await?.is_none() {
                missing.push(*role);
            }
        }
        Ok(missing)
    }

    /// Whether there is one among these that the caller may not let its service make.
    async fn uncreatable(&self, missing: &[ServiceRole]) -> Answer<bool> {
        let Some(policies) = self.policies().await? else { return Ok(false) };
        let (partition, account) = (partition(&policies), &self.demands.account);
        for ServiceRole { service, name } in missing {
            let role = format!("arn:{partition}:iam::{account}:role/aws-service-role/{service}/{name}");
            let calls = Calls { actions: vec!["iam:CreateServiceLinkedRole"], resource: role, cluster: None };
            let asked = self.simulated(&policies, &calls).await;
            if !told(asked)?.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn iam(&self, action: &str, parameters: Vec<(String, String)>) -> Signed<String> {
        self.aws.signed.query(Service::Iam, VERSION, action, &parameters).await
    }
}

/// What a condition may ask for; IAM denies what depends on something that it is not told.
fn context(key: &str, value: &str) -> [(String, String); 3] {
    [("Name", key), ("Type", "string"), ("Values.member.1", value)]
        .map(|(what, value)| (format!("ContextEntries.member.1.ContextKey{what}"), value.to_owned()))
}

fn partition(arn: &str) -> &str {
    arn.split(':').nth(1).unwrap_or("aws")
}

/// The texts of all elements of a name.
fn texts(xml: &str, name: &str) -> Signed<Vec<String>> {
    let document = parsed(xml)?;
    let nodes = document.descendants().filter(|node| node.tag_name().name() == name);
    Ok(nodes.filter_map(|node| node.text()).map(|text| text.trim().to_owned()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whose_policies_count() {
        let of = |resource: &str| Principal::of(&format!("arn:aws:sts::111122223333:{resource}"));
        assert_eq!(of("root"), Ok(Principal::Root));
        assert_eq!(of("assumed-role/deploy/GitHub"), Ok(Principal::Role("deploy".to_owned())));
        let user = "arn:aws:iam::111122223333:user/people/ann";
        assert_eq!(Principal::of(user), Ok(Principal::User(user.to_owned())));
        assert!(of("federated-user/ann").is_err());
    }

    #[test]
    fn iam_is_told_what_conditions_ask_for() {
        let pairs = context("ecs:cluster", "arn").map(|(name, value)| format!("{name}={value}"));
        let entry = "ContextEntries.member.1.ContextKey";
        let expected = ["Name=ecs:cluster", "Type=string", "Values.member.1=arn"];
        assert_eq!(pairs, expected.map(|pair| format!("{entry}{pair}")));
    }

    #[test]
    fn the_answer_of_iam() {
        let xml = "<R xmlns=\"https://iam.amazonaws.com/doc/2010-05-08/\"><EvaluationResults><member>\
                   <EvalActionName>s3:PutObject</EvalActionName><EvalDecision>implicitDeny</EvalDecision>\
                   </member></EvaluationResults></R>";
        assert_eq!(texts(xml, "EvalDecision").unwrap(), ["implicitDeny"]);
        assert!(texts("no XML", "EvalDecision").is_err());
    }
}
