"""AWS::S3::Bucket: lifecycle, encryption, ownership, tags and suspended versioning reach the bucket, and a
bucket that is not empty is not deleted, as on AWS. Objects themselves are ministack's.
"""

from __future__ import annotations

from collections.abc import Callable
from xml.etree.ElementTree import Element, SubElement, tostring

from ministack.services import s3
from ministack.services.cloudformation import provisioners

from localcloud.cfn.registry import register, tags_of
from localcloud.emulator.shapes import Answer, Made


def _leaf(parent: Element, tag: str, value: object) -> None:
    if value is not None:
        SubElement(parent, tag).text = str(value).lower() if isinstance(value, bool) else str(value)


def _bytes(root: Element) -> bytes:
    root.set("xmlns", s3.S3_NS)
    return tostring(root, encoding="utf-8")


def lifecycle_xml(configuration: dict) -> bytes:
    """LifecycleConfiguration as the PutBucketLifecycleConfiguration body."""
    root = Element("LifecycleConfiguration")
    for rule in configuration.get("Rules") or []:
        node = SubElement(root, "Rule")
        _leaf(node, "ID", rule.get("Id"))
        _filter(SubElement(node, "Filter"), rule)
        _leaf(node, "Status", rule.get("Status", "Enabled"))
        for entry in rule.get("Transitions") or ([rule["Transition"]] if rule.get("Transition") else []):
            part = SubElement(node, "Transition")
            _leaf(part, "Days", entry.get("TransitionInDays"))
            _leaf(part, "Date", entry.get("TransitionDate"))
            _leaf(part, "StorageClass", entry.get("StorageClass"))
        if any(key in rule for key in ("ExpirationInDays", "ExpirationDate", "ExpiredObjectDeleteMarker")):
            part = SubElement(node, "Expiration")
            _leaf(part, "Days", rule.get("ExpirationInDays"))
            _leaf(part, "Date", rule.get("ExpirationDate"))
            _leaf(part, "ExpiredObjectDeleteMarker", rule.get("ExpiredObjectDeleteMarker"))
        noncurrent = rule.get("NoncurrentVersionExpiration") or {}
        days = noncurrent.get("NoncurrentDays", rule.get("NoncurrentVersionExpirationInDays"))
        if days is not None:
            part = SubElement(node, "NoncurrentVersionExpiration")
            _leaf(part, "NoncurrentDays", days)
            _leaf(part, "NewerNoncurrentVersions", noncurrent.get("NewerNoncurrentVersions"))
        abort = rule.get("AbortIncompleteMultipartUpload") or {}
        if abort:
            _leaf(SubElement(node, "AbortIncompleteMultipartUpload"), "DaysAfterInitiation",
                  abort.get("DaysAfterInitiation"))  # fmt: skip
    return _bytes(root)


def _filter(node: Element, rule: dict) -> None:
    tags = rule.get("TagFilters") or []
    prefix = rule.get("Prefix")
    parts = len(tags) + (prefix is not None)
    target = SubElement(node, "And") if parts > 1 else node
    if prefix is not None or not parts:
        SubElement(target, "Prefix").text = prefix or ""
    for tag in tags:
        entry = SubElement(target, "Tag")
        _leaf(entry, "Key", tag.get("Key"))
        _leaf(entry, "Value", tag.get("Value"))


def encryption_xml(configuration: dict) -> bytes:
    root = Element("ServerSideEncryptionConfiguration")
    for rule in configuration.get("ServerSideEncryptionConfiguration") or []:
        node = SubElement(root, "Rule")
        default = rule.get("ServerSideEncryptionByDefault") or {}
        if default:
            part = SubElement(node, "ApplyServerSideEncryptionByDefault")
            _leaf(part, "SSEAlgorithm", default.get("SSEAlgorithm"))
            _leaf(part, "KMSMasterKeyID", default.get("KMSMasterKeyID"))
        _leaf(node, "BucketKeyEnabled", rule.get("BucketKeyEnabled"))
    return _bytes(root)


def ownership_xml(configuration: dict) -> bytes:
    root = Element("OwnershipControls")
    for rule in configuration.get("Rules") or []:
        _leaf(SubElement(root, "Rule"), "ObjectOwnership", rule.get("ObjectOwnership"))
    return _bytes(root)


def _checked(put: Callable[[str, bytes], Answer], prop: str) -> Callable[[str, bytes], None]:
    def apply(name: str, body: bytes) -> None:
        answer = put(name, body)
        if answer[0] >= 300:
            raise ValueError(f"{prop} of bucket {name} was refused: {answer[2]!r}")

    return apply


def _rest(name: str, props: dict) -> None:
    """What ministack's own handler leaves out and no XML is needed for."""
    versioning = (props.get("VersioningConfiguration") or {}).get("Status")
    if versioning:
        s3._bucket_versioning[name] = versioning
    elif s3._bucket_versioning.get(name) == "Enabled":
        s3._bucket_versioning[name] = "Suspended"
    tags = {tag["Key"]: tag["Value"] for tag in tags_of(props)}
    if tags:
        s3._bucket_tags[name] = tags
    else:
        s3._bucket_tags.pop(name, None)


def create(logical_id: str, props: dict, stack_name: str) -> Made:
    name, attributes = provisioners._s3_create(logical_id, props, stack_name)
    _rest(name, props)
    return name, attributes


def update(physical_id: str, old: dict, new: dict, stack_name: str, logical_id: str | None = None) -> Made:
    name, attributes = provisioners._s3_update(physical_id, old, new, stack_name)
    _rest(name, new)
    return name, attributes


def delete(physical_id: str, props: dict) -> None:
    if physical_id not in s3._buckets:
        return
    status, _, body = s3._delete_bucket(physical_id)
    if status == 409:
        raise ValueError(
            "The bucket you tried to delete is not empty (Service: S3, Status Code: 409, Bucket: "
            f"{physical_id})"
        )
    if status >= 300:
        raise ValueError(f"bucket {physical_id} was not deleted: {body!r}")


def install() -> None:
    provisioners._S3_BUCKET_CONFIGURATIONS += (
        (
            "LifecycleConfiguration",
            lifecycle_xml,
            _checked(s3._put_bucket_lifecycle, "LifecycleConfiguration"),
            s3._delete_bucket_lifecycle,
        ),
        (
            "BucketEncryption",
            encryption_xml,
            _checked(s3._put_bucket_encryption, "BucketEncryption"),
            s3._delete_bucket_encryption,
        ),
        (
            "OwnershipControls",
            ownership_xml,
            _checked(s3._put_bucket_ownership_controls, "OwnershipControls"),
            s3._delete_bucket_ownership_controls,
        ),
    )
    register("AWS::S3::Bucket", create, delete, update)
