//! What is there under a name: certificates, hosted zones, public parameters.

use super::{Ask, optional, parsed, senseless, told};
use crate::doors::aws::Aws;
use crate::doors::signed::{Answer as Signed, Service};
use crate::fail::{Fail, Result};
use crate::model::account::{Answer, Certificate, HostedZone, ImageDemand, Topic};
use serde_json::{Value, json};

impl Ask<'_> {
    pub(super) async fn certificate(&self) -> Option<Answer<Option<Certificate>>> {
        let arn = self.demands.certificate.as_ref().filter(|_| self.wants(Topic::Certificate))?;
        let input = json!({ "CertificateArn": arn });
        let answer =
            self.aws.signed.json(Service::Acm, "CertificateManager.DescribeCertificate", &input).await;
        let found = optional(answer, "ResourceNotFoundException");
        let found =
            found.and_then(|found| found.map(|answer| certificate(&answer["Certificate"])).transpose());
        Some(told(found))
    }

    pub(super) async fn hosted_zone(&self) -> Option<Answer<Option<HostedZone>>> {
        let id = self.demands.hosted_zone.as_ref().filter(|_| self.wants(Topic::HostedZone))?;
        let answer = self.aws.signed.get(Service::Route53, &format!("/2013-04-01/hostedzone/{id}")).await;
        let found = optional(answer, "NoSuchHostedZone");
        Some(told(found.and_then(|found| found.map(|xml| hosted_zone(&xml)).transpose())))
    }

    pub(super) async fn image(&self) -> Option<Answer<bool>> {
        if !self.wants(Topic::Image) {
            return None;
        }
        let image = self.demands.image.as_ref()?;
        if image.is_id() {
            return Some(told(self.has_image(&image.name).await));
        }
        Some(told(parameter(self.aws, &image.name).await.map(|found| found.is_some())))
    }
}

/// The value of a parameter.
async fn parameter(aws: &Aws, name: &str) -> Signed<Option<String>> {
    let answer = aws.signed.json(Service::Ssm, "AmazonSSM.GetParameter", &json!({ "Name": name })).await;
    let Some(answer) = optional(answer, "ParameterNotFound")? else { return Ok(None) };
    let value = answer["Parameter"]["Value"].as_str();
    value.map(|value| Some(value.to_owned())).ok_or_else(|| senseless("parameter"))
}

/// The ID of the image that hosts are launched from; nothing if the parameter that holds it does not exist.
pub async fn image_id(aws: &Aws, image: &ImageDemand) -> Result<Option<String>> {
    if image.is_id() {
        return Ok(Some(image.name.clone()));
    }
    parameter(aws, &image.name).await.map_err(|refused| {
        Fail::failed(format!("cannot look up the machine image in the parameter `{}`", image.name))
            .cause(refused.to_string())
            .hint(image.way_around())
    })
}

fn certificate(found: &Value) -> Signed<Certificate> {
    if !found["Status"].is_string() {
        return Err(senseless("certificate"));
    }
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let names = found["SubjectAlternativeNames"].as_array().map_or(&[][..], Vec::as_slice);
    let mut names: Vec<String> = names.iter().map(text).collect();
    let first = text(&found["DomainName"]);
    if !names.contains(&first) {
        names.insert(0, first);
    }
    Ok(Certificate { status: text(&found["Status"]), names })
}

fn hosted_zone(xml: &str) -> Signed<HostedZone> {
    let document = parsed(xml)?;
    let text = |name: &str| {
        let found = document.descendants().find(|node| node.tag_name().name() == name);
        found.and_then(|node| node.text()).unwrap_or_default().trim()
    };
    let name = text("Name").trim_end_matches('.').to_lowercase();
    if name.is_empty() {
        return Err(senseless("name"));
    }
    Ok(HostedZone { name, private: text("PrivateZone") == "true" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zone_and_a_certificate_as_aws_describes_them() {
        let xml = "<?xml version=\"1.0\"?><GetHostedZoneResponse xmlns=\"https://route53.amazonaws.com/doc/\
                   2013-04-01/\"><HostedZone><Id>/hostedzone/Z1</Id><Name>Example.com.</Name><Config>\
                   <PrivateZone>true</PrivateZone></Config></HostedZone></GetHostedZoneResponse>";
        let zone = hosted_zone(xml).unwrap();
        assert_eq!(zone, HostedZone { name: "example.com".to_owned(), private: true });
        assert!(hosted_zone("<a/>").is_err() && hosted_zone("no").is_err());
        let json =
            json!({ "Status": "ISSUED", "DomainName": "a.b", "SubjectAlternativeNames": ["a.b", "*.c"] });
        assert_eq!(certificate(&json).unwrap().names, ["a.b", "*.c"]);
        assert!(certificate(&json!({})).is_err());
    }
}
