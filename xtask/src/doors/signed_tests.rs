//! Signatures against those of botocore, and answers of a server of this process.

use super::*;
use aws_credential_types::provider::future::ProvideCredentials;
use serde_json::json;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;

fn credentials(token: Option<&str>) -> Credentials {
    let secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
    Credentials::new("AKIDEXAMPLE", secret, token.map(str::to_owned), None, "test")
}

/// The signature at 2026-11-28T12:00:00Z; botocore's `SigV4Auth` made those that are expected.
fn signed(request: &Request, region: &str, token: Option<&str>) -> String {
    let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_867_200);
    let headers = signature(request, region, credentials(token), at).unwrap();
    let (_, value) = headers.iter().find(|(name, _)| *name == "authorization").unwrap();
    value.rsplit('=').next().unwrap().to_owned()
}

#[test]
fn signatures_are_those_of_other_tools() {
    let ec2 = Request {
        service: Service::Ec2,
        method: "POST",
        url: "https://ec2.eu-central-1.amazonaws.com/".to_owned(),
        headers: vec![("content-type", "application/x-www-form-urlencoded".to_owned())],
        body: "Action=DescribeVpcs&Version=2016-11-15".to_owned(),
    };
    let expected = "01a80483d4fcffe1cddbc112808e7a1151679ec6aa506731dce004768bfdd342";
    assert_eq!(signed(&ec2, "eu-central-1", None), expected);
    let expected = "49069e67fcf21b5b775642766bf4c674b818dfb97ac8163e4af5068def78168f";
    assert_eq!(signed(&ec2, "eu-central-1", Some("session")), expected);
    let zone = Request {
        service: Service::Route53,
        method: "GET",
        url: "https://route53.amazonaws.com/2013-04-01/hostedzone/Z1".to_owned(),
        headers: Vec::new(),
        body: String::new(),
    };
    let expected = "e4a42a50efafd81ae221d502dd15bc063910a1d1384ef76f1f012ee32993ed2d";
    assert_eq!(signed(&zone, "us-east-1", None), expected);
}

#[test]
fn a_region_decides_where_a_service_answers() {
    let place = |service: Service, region| {
        let (url, signed) = service.place(region);
        format!("{url} {signed}")
    };
    assert_eq!(place(Service::Acm, "eu-central-1"), "https://acm.eu-central-1.amazonaws.com eu-central-1");
    assert_eq!(place(Service::Ec2, "cn-north-1"), "https://ec2.cn-north-1.amazonaws.com.cn cn-north-1");
    assert_eq!(place(Service::Route53, "eu-central-1"), "https://route53.amazonaws.com us-east-1");
    assert_eq!(place(Service::Iam, "eu-central-1"), "https://iam.amazonaws.com us-east-1");
    assert_eq!(place(Service::Iam, "cn-north-1"), "https://iam.cn-north-1.amazonaws.com.cn cn-north-1");
    assert_eq!(
        place(Service::Route53, "us-gov-east-1"),
        "https://route53.us-gov.amazonaws.com us-gov-west-1"
    );
}

/// A service that gives one answer after the other, and a client of it.
fn service(answers: Vec<(u16, &'static str)>) -> (Signed, Counter) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for (stream, (status, text)) in listener.incoming().zip(answers) {
            let mut stream = stream.unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let (mut line, mut length) = (String::new(), 0);
            while reader.read_line(&mut line).unwrap() > 2 {
                let lower = line.to_lowercase();
                length = lower.strip_prefix("content-length:").map_or(length, |n| n.trim().parse().unwrap());
                line.clear();
            }
            reader.read_exact(&mut vec![0; length]).unwrap();
            let head = format!("HTTP/1.1 {status} X\r\nConnection: close\r\nContent-Length: {}", text.len());
            write!(stream, "{head}\r\n\r\n{text}").unwrap();
        }
    });
    let counter = Counter::default();
    let provider = SharedCredentialsProvider::new(credentials(None));
    (
        Signed::new("stack", Some(provider), "eu-central-1", Some(&url), (counter.clone(), Fence::default())),
        counter,
    )
}

#[tokio::test]
async fn what_passes_is_repeated_and_every_request_counted() {
    let answers = vec![
        (503, "busy"),
        (400, r#"{"__type": "com.amazon#ThrottlingException", "message": "slow down"}"#),
        (200, r#"{"Quota": {"Value": 5.0}}"#),
    ];
    let (signed, counter) = service(answers);
    let answer = signed.json(Service::Quotas, "ServiceQuotasV20190624.GetServiceQuota", &json!({})).await;
    assert_eq!(answer.unwrap()["Quota"]["Value"], 5.0);
    assert_eq!(counter.get(), 3);
}

#[tokio::test]
async fn an_answer_that_is_broken_is_asked_for_again() {
    let (signed, counter) = service(vec![(200, r#"{"Quota": {"Va"#), (200, r#"{"Quota": {"Value": 5.0}}"#)]);
    let answer = signed.json(Service::Quotas, "ServiceQuotasV20190624.GetServiceQuota", &json!({})).await;
    assert_eq!((answer.unwrap()["Quota"]["Value"].as_f64(), counter.get()), (Some(5.0), 2));
    let (signed, counter) = service(vec![(200, "<Response><vpc"), (200, "<Response/>")]);
    assert_eq!((signed.ec2("DescribeVpcs", &[]).await.unwrap().as_str(), counter.get()), ("<Response/>", 2));
}

/// A burst of throttling lasts longer than three quick attempts; a service that says nothing is not there.
#[tokio::test]
async fn a_read_bears_with_throttling_longer_than_with_silence() {
    let throttled = (400, r#"{"__type": "ThrottlingException"}"#);
    let (signed, counter) = service(vec![throttled, throttled, throttled, throttled, (200, "{}")]);
    let answer = signed.json(Service::Ecs, "AmazonEC2ContainerServiceV20141113.ListTasks", &json!({})).await;
    assert_eq!((answer.unwrap(), counter.get()), (json!({}), 5));
    let (mut signed, counter) = service(Vec::new());
    signed.endpoint = Some("http://127.0.0.1:1".to_owned());
    signed.ec2("DescribeVpcs", &[]).await.unwrap_err();
    assert_eq!(counter.get(), 3);
}

/// Those of a role end after an hour, a rollout that drains workers need not.
#[tokio::test]
async fn credentials_that_end_are_fetched_anew() {
    #[derive(Debug, Default)]
    struct Role(std::sync::atomic::AtomicU64);
    impl aws_sdk_sts::config::ProvideCredentials for Role {
        fn provide_credentials<'a>(&'a self) -> ProvideCredentials<'a>
        where
            Self: 'a,
        {
            // The first are about to end.
            let left = 60 + 7200 * self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let end = time::system() + Duration::from_secs(left);
            ProvideCredentials::ready(Ok(Credentials::new(left.to_string(), "s", None, Some(end), "test")))
        }
    }
    let provider = SharedCredentialsProvider::new(Role::default());
    let signed =
        Signed::new("stack", Some(provider), "eu-central-1", None, (Counter::default(), Fence::default()));
    let mut keys = Vec::new();
    for _ in 0..3 {
        keys.push(signed.credentials().await.unwrap().access_key_id().to_owned());
    }
    assert_eq!(keys, ["60", "7260", "7260"]);
}

#[tokio::test]
async fn a_refusal_has_the_services_own_code_in_json_and_in_xml() {
    let xml = "<Response><Errors><Error><Code>UnauthorizedOperation</Code><Message>You are not \
               authorized</Message></Error></Errors></Response>";
    let (signed, counter) = service(vec![(403, xml)]);
    let refused = signed.ec2("DescribeVpcs", &[]).await.unwrap_err();
    assert_eq!(refused.to_string(), "UnauthorizedOperation: You are not authorized");
    assert_eq!(counter.get(), 1, "what stays is not repeated");
    let (signed, _) = service(vec![(404, r#"{"__type": "ResourceNotFoundException"}"#)]);
    let refused = signed.json(Service::Acm, "x", &json!({})).await.unwrap_err();
    assert_eq!(refused.to_string(), "ResourceNotFoundException");
}

#[tokio::test]
async fn nobody_there_is_no_error_of_the_service() {
    let (mut signed, _) = service(Vec::new());
    signed.endpoint = Some("http://127.0.0.1:1".to_owned());
    let refused = signed.get(Service::Route53, "/2013-04-01/hostedzone/Z1").await.unwrap_err();
    assert!(
        refused.code().is_empty() && refused.to_string().starts_with("no answer from route53"),
        "{refused}"
    );
    let without = Signed::new("stack", None, "eu-central-1", None, Default::default());
    assert_eq!(without.ec2("DescribeVpcs", &[]).await.unwrap_err().to_string(), "there are no credentials");
}

#[test]
fn forms_are_escaped() {
    assert_eq!(escaped("a-b_c.~1 /:é"), "a-b_c.~1%20%2F%3A%C3%A9");
}
