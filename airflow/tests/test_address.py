"""The host of the only API server takes the elastic IP address of its environment."""

from __future__ import annotations

import http.server
import threading

import boto3
import pytest

from ductwork_airflow.hosts import address
from ductwork_airflow.hosts.settings import SettingsError


def env(allocation, components):
    """What AfterInstall has written to airflow.env."""
    return {"DUCTWORK_ADDRESS": allocation, "DUCTWORK_COMPONENTS": components, "AWS_REGION": "eu-west-1"}


@pytest.fixture
def ec2(aws):
    """A client of the AWS of this machine."""
    return boto3.client("ec2", region_name="eu-west-1")


@pytest.fixture
def instance(ec2, monkeypatch):
    """Makes this the host of a new instance, and tells its id."""

    class Metadata(http.server.BaseHTTPRequestHandler):
        def do_PUT(self):
            self.say("token")

        def do_GET(self):
            self.say(self.server.instance if self.path.endswith("/instance-id") else "")

        def say(self, text):
            self.send_response(200)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Metadata)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", f"http://127.0.0.1:{server.server_port}")

    def launch():
        image = ec2.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
        made = ec2.run_instances(ImageId=image, MinCount=1, MaxCount=1)["Instances"][0]
        server.instance = made["InstanceId"]
        return server.instance

    yield launch
    server.shutdown()
    server.server_close()


def test_the_address_follows_the_host_of_the_api_server(ec2, instance):
    allocation = ec2.allocate_address(Domain="vpc")["AllocationId"]

    def owner():
        return ec2.describe_addresses(AllocationIds=[allocation])["Addresses"][0].get("InstanceId", "")

    for components in ("api-server", "api-server scheduler"):
        host = instance()
        address.take(env(allocation, components))
        assert owner() == host
    address.take(env(allocation, "api-server"))
    assert owner() == host, "taking it twice changes nothing"
    instance()
    address.take(env(allocation, "worker keeper"))
    assert owner() == host, "hosts of other components leave it alone"


def test_nothing_is_asked_where_there_is_no_address(monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    address.take(env("-", "api-server"))


def test_an_address_that_is_gone_is_named(instance):
    instance()
    with pytest.raises(SettingsError, match="eipalloc-0123 was not associated with this host"):
        address.take(env("eipalloc-0123", "api-server"))
