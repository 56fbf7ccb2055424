"""AWS::SecretsManager::Secret: GenerateSecretString as documented, Ref = ARN, no silent overwrite.

A value is generated when the secret is created and when GenerateSecretString itself changes, never otherwise.
"""

from __future__ import annotations

import json
import secrets
import string
from collections.abc import Callable

from ministack.services import secretsmanager
from ministack.services.cloudformation import provisioners

from localcloud.cfn.registry import draw_name, register, truth
from localcloud.emulator.shapes import Made

# docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetRandomPassword.html
PUNCTUATION = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"
DEFAULT_LENGTH = 32
MAX_LENGTH = 4096


def generate(options: dict) -> str:
    """A password as GetRandomPassword makes it, at least one of each included kind by default."""
    length = int(options.get("PasswordLength", DEFAULT_LENGTH))
    if not 1 <= length <= MAX_LENGTH:
        raise ValueError(f"PasswordLength must be between 1 and {MAX_LENGTH}.")
    excluded = set(str(options.get("ExcludeCharacters", "")))
    kinds = [
        ("ExcludeLowercase", string.ascii_lowercase),
        ("ExcludeUppercase", string.ascii_uppercase),
        ("ExcludeNumbers", string.digits),
        ("ExcludePunctuation", PUNCTUATION),
    ]
    sets = [
        [c for c in characters if c not in excluded]
        for option, characters in kinds
        if not truth(options.get(option, False))
    ]
    if truth(options.get("IncludeSpace", False)) and " " not in excluded:
        sets.append([" "])
    sets = [characters for characters in sets if characters]
    if not sets:
        raise ValueError("Every character is excluded; a password cannot be generated.")
    each = truth(options.get("RequireEachIncludedType", True))
    if each and length < len(sets):
        raise ValueError("PasswordLength is too short to hold one character of each included type.")
    everything = [c for characters in sets for c in characters]
    chosen = [secrets.choice(characters) for characters in sets] if each else []
    chosen += [secrets.choice(everything) for _ in range(length - len(chosen))]
    secrets.SystemRandom().shuffle(chosen)
    return "".join(chosen)


def secret_string(props: dict) -> str:
    """The value a template declares."""
    options = props.get("GenerateSecretString")
    if options is None:
        return str(props.get("SecretString", ""))
    if props.get("SecretString"):
        raise ValueError("You can't specify both SecretString and GenerateSecretString.")
    template, key = options.get("SecretStringTemplate"), options.get("GenerateStringKey")
    if (template is None) != (key is None):
        raise ValueError("SecretStringTemplate and GenerateStringKey must be given together.")
    password = generate(options)
    if template is None:
        return password
    try:
        document = json.loads(template)
        document[key] = password
    except (ValueError, TypeError):
        raise ValueError("SecretStringTemplate is not a JSON object.") from None
    return json.dumps(document)


def _name(physical_id: str) -> str:
    for name, secret in secretsmanager._secrets.items():
        if physical_id in (secret.get("ARN"), name):
            return name
    return physical_id


def create(logical_id: str, props: dict, stack_name: str) -> Made:
    draw_name(props, "Name")
    name = props.get("Name") or provisioners._physical_name(stack_name, logical_id)
    existing = secretsmanager._secrets.get(name)
    if existing is not None:
        raise ValueError(f"The operation failed because the secret {name} already exists.")
    _, attributes = provisioners._sm_secret_create(logical_id, props, stack_name)
    return attributes["Arn"], attributes


def update(physical_id: str, old: dict, new: dict, stack_name: str, logical_id: str | None = None) -> Made:
    name = _name(physical_id)
    if name not in secretsmanager._secrets:
        return create(logical_id or physical_id, new, stack_name)
    if new.get("Name") and new["Name"] != name:
        created = create(logical_id or physical_id, new, stack_name)
        provisioners._delete_predecessor(delete, physical_id, old)
        return created
    # The stored name stands for the generated one, so that ministack's own update never takes it for a
    # rename.
    _, attributes = provisioners._sm_secret_update(
        name, {**old, "Name": name}, {**new, "Name": name}, stack_name, logical_id
    )
    return physical_id, attributes


def delete(physical_id: str, props: dict) -> None:
    provisioners._sm_secret_delete(_name(physical_id), props)


def reader(ministacks: Callable[[str, dict], dict | None]) -> Callable[[str, dict], dict | None]:
    """For drift detection, which looks a secret up by its name."""
    return lambda physical_id, props: ministacks(_name(physical_id), props)


def install() -> None:
    register("AWS::SecretsManager::Secret", create, delete, update)
