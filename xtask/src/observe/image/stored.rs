//! What a registry has of an image, and what its scan has found.

use crate::doors::aws::{self, Aws};
use crate::doors::registry::{Blob, Reference, Registry};
use crate::fail::{Fail, Result};
use crate::model::digest::Digest;
use crate::model::image::{Findings, Stored};
use crate::model::names;
use oci_spec::image::{ImageConfiguration, ImageIndex, ImageManifest};
use std::collections::BTreeMap;

/// The images behind a tag, one for each architecture; none if there is no such tag.
pub async fn stored(registry: &Registry, image: &Reference) -> Result<Option<(Digest, Vec<Stored>)>> {
    let Some((bytes, digest)) = registry.manifest(image).await? else { return Ok(None) };
    let Ok(index) = serde_json::from_slice::<ImageIndex>(&bytes) else {
        return Ok(Some((digest, vec![one(registry, image, &bytes, digest).await?])));
    };
    let mut all = Vec::new();
    for entry in index.manifests() {
        let named = image.clone_with_digest(entry.digest().to_string());
        let found = registry.manifest(&named).await?;
        let (bytes, digest) =
            found.ok_or_else(|| Fail::failed(format!("`{image}` names `{named}`, which is not there")))?;
        all.push(one(registry, image, &bytes, digest).await?);
    }
    Ok(Some((digest, all)))
}

async fn one(registry: &Registry, image: &Reference, manifest: &[u8], digest: Digest) -> Result<Stored> {
    let unfit = |error| Fail::failed(format!("the registry answers `{image}` with no image")).because(error);
    let manifest: ImageManifest = serde_json::from_slice(manifest).map_err(unfit)?;
    let descriptor = manifest.config();
    let name = descriptor.digest().digest().parse();
    let name =
        name.map_err(|error| Fail::failed(format!("`{image}` has an unknown digest")).because(error))?;
    let configuration = registry.read(image, &Blob { digest: name, size: descriptor.size() }).await?;
    let configuration: ImageConfiguration = serde_json::from_slice(&configuration).map_err(unfit)?;
    let labels = configuration.labels_of_config().cloned().unwrap_or_default();
    let label = |name: &str| labels.get(&format!("org.opencontainers.image.{name}")).cloned();
    Ok(Stored {
        platform: format!("{}/{}", configuration.os(), configuration.architecture()),
        digest,
        bytes: manifest.layers().iter().map(oci_spec::image::Descriptor::size).sum(),
        created: label("created"),
        revision: label("revision"),
        base: label("base.name"),
        findings: None,
    })
}

/// What ECR's scan of an image has found, by severity; none if it has not been scanned.
pub async fn findings(aws: &Aws, digest: &Digest) -> Result<Option<Findings>> {
    let id = aws_sdk_ecr::types::ImageIdentifier::builder().image_digest(format!("sha256:{digest}")).build();
    let asked = aws.ecr.describe_image_scan_findings().repository_name(names::IMAGE_REPOSITORY).image_id(id);
    match asked.send().await {
        Ok(answer) => {
            Ok(answer.image_scan_findings.and_then(|found| found.finding_severity_counts).map(counts))
        }
        Err(error) if aws::code(&error) == "ScanNotFoundException" => Ok(None),
        Err(error) => Err(aws::failure("ECR", "cannot read the findings of the image's scan", error)),
    }
}

fn counts(found: std::collections::HashMap<aws_sdk_ecr::types::FindingSeverity, i32>) -> Findings {
    found
        .into_iter()
        .map(|(severity, count)| (severity.as_str().to_lowercase(), count))
        .collect::<BTreeMap<_, _>>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_ecr::Client;
    use aws_sdk_ecr::error::ErrorMetadata;
    use aws_sdk_ecr::operation::describe_image_scan_findings::{
        DescribeImageScanFindingsError, DescribeImageScanFindingsOutput,
    };
    use aws_sdk_ecr::types::{FindingSeverity, ImageScanFindings};
    use aws_smithy_mocks::{RuleMode, mock, mock_client};

    #[tokio::test]
    async fn findings_are_counted_by_severity() {
        let counted = ImageScanFindings::builder()
            .finding_severity_counts(FindingSeverity::High, 2)
            .finding_severity_counts(FindingSeverity::Low, 9)
            .build();
        let answer = DescribeImageScanFindingsOutput::builder().image_scan_findings(counted).build();
        let scanned = mock!(Client::describe_image_scan_findings)
            .match_requests(|request| {
                let id = request.image_id().and_then(|id| id.image_digest());
                id.is_some_and(|digest| digest.starts_with("sha256:"))
                    && request.repository_name() == Some("ductwork")
            })
            .then_output(move || answer.clone());
        let mut aws = Aws::nowhere();
        aws.ecr = mock_client!(aws_sdk_ecr, RuleMode::MatchAny, [&scanned]);
        let found = findings(&aws, &Digest::of(b"image")).await.unwrap().unwrap();
        assert_eq!(found, BTreeMap::from([("high".to_owned(), 2), ("low".to_owned(), 9)]));
    }

    #[tokio::test]
    async fn an_image_that_was_not_scanned_has_none_and_other_errors_are_told() {
        for (code, told) in [("ScanNotFoundException", false), ("AccessDeniedException", true)] {
            let refused = mock!(Client::describe_image_scan_findings).then_error(move || {
                DescribeImageScanFindingsError::generic(ErrorMetadata::builder().code(code).build())
            });
            let mut aws = Aws::nowhere();
            aws.ecr = mock_client!(aws_sdk_ecr, RuleMode::MatchAny, [&refused]);
            let found = findings(&aws, &Digest::of(b"image")).await;
            assert_eq!(found.is_err(), told, "{code}");
        }
    }
}
