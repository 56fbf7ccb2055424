"""Operations on clusters, capacity providers, tags and account settings."""

from __future__ import annotations

from ministack.services import autoscaling

from localcloud.base.paging import page
from localcloud.ecs import capacity, checks, managed, managed_instances
from localcloud.ecs.errors import ApiError, client, invalid
from localcloud.ecs.store import FARGATE, NAME, Store, arn, public, tail
from localcloud.emulator.shapes import Operation

SETTINGS = ("disabled", "enabled", "enhanced")


class Clusters:
    def __init__(self, store: Store) -> None:
        self._store = store

    def operations(self) -> dict[str, Operation]:
        return {
            "CreateCluster": self.create,
            "UpdateCluster": self.update,
            "UpdateClusterSettings": self.update,
            "DeleteCluster": self.delete,
            "DescribeClusters": self.describe,
            "ListClusters": self.list,
            "PutClusterCapacityProviders": self.put_providers,
            "CreateCapacityProvider": self.create_provider,
            "UpdateCapacityProvider": self.update_provider,
            "DeleteCapacityProvider": self.delete_provider,
            "DescribeCapacityProviders": self.describe_providers,
            "TagResource": self.tag,
            "UntagResource": self.untag,
            "ListTagsForResource": self.list_tags,
        }

    # -- clusters
    def create(self, request: dict) -> dict:
        store, name = self._store, request.get("clusterName") or "default"
        if not NAME.fullmatch(name):
            raise checks.name_error(name)
        found = store.clusters.get(name)
        if found is None or found["status"] == "INACTIVE":
            store.clusters[name] = {
                "clusterArn": arn(f"cluster/{name}"),
                "clusterName": name,
                "status": "ACTIVE",
                "settings": [{"name": "containerInsights", "value": "disabled"}],
                "capacityProviders": [],
                "defaultCapacityProviderStrategy": [],
            }
        cluster = store.clusters[name]
        self._put(cluster, request)
        store.tags[cluster["clusterArn"]] = list(request.get("tags") or [])
        return {"cluster": self._shown(cluster)}

    def update(self, request: dict) -> dict:
        cluster = self._store.cluster(request.get("cluster"))
        self._put(cluster, request)
        return {"cluster": self._shown(cluster)}

    def _put(self, cluster: dict, request: dict) -> None:
        for setting in request.get("settings") or []:
            if setting.get("name") != "containerInsights" or setting.get("value") not in SETTINGS:
                raise invalid(f"Invalid cluster setting {setting.get('name')}={setting.get('value')}.")
        for key in ("settings", "configuration", "serviceConnectDefaults"):
            if request.get(key) is not None:
                cluster[key] = request[key]
        if "capacityProviders" in request or "defaultCapacityProviderStrategy" in request:
            self._associate(cluster, request)

    def _associate(self, cluster: dict, request: dict) -> None:
        names = [tail(name) for name in request.get("capacityProviders") or []]
        for name in names:
            if name not in FARGATE and name not in self._store.providers:
                raise invalid("The specified capacity provider was not found. Specify a valid name.")
        managed_instances.refuse(self._store, names)
        names += [one for one in cluster["capacityProviders"] if managed_instances.is_one(self._store, one)]
        strategy = capacity.whole(request.get("defaultCapacityProviderStrategy") or [])
        if strategy:
            capacity.check(self._store, strategy, {"capacityProviders": names})
        cluster.update(capacityProviders=names, defaultCapacityProviderStrategy=strategy)

    def put_providers(self, request: dict) -> dict:
        """Both lists are replaced; a provider that a service or a task uses stays."""
        cluster = self._store.cluster(request.get("cluster"))
        kept = {tail(name) for name in request.get("capacityProviders") or []}
        if self._used(cluster) - kept:
            raise ApiError(
                "ResourceInUseException",
                "The specified capacity provider is in use and cannot be removed. "
                "Update the services that use it and try again.",
            )
        self._associate(cluster, {"defaultCapacityProviderStrategy": [], **request})
        return {"cluster": self._shown(cluster)}

    def _used(self, cluster: dict) -> set[str]:
        """The capacity providers that services ask for, and those that tasks have until they have stopped; but
        managed instances, which are in no list."""
        used = {
            one["capacityProvider"]
            for service in self._services(cluster)
            for one in service.get("capacityProviderStrategy") or []
        }
        for task in self._store.tasks.values():
            if task["clusterArn"] == cluster["clusterArn"] and task["lastStatus"] != "STOPPED":
                used.add(task.get("capacityProviderName", ""))
        return {one for one in used if one and not managed_instances.is_one(self._store, one)}

    def delete(self, request: dict) -> dict:
        cluster = self._store.cluster(request.get("cluster"))
        if self._services(cluster):
            raise ApiError(
                "ClusterContainsServicesException", "The Cluster cannot be deleted while Services are active."
            )
        if self._hosts(cluster):
            raise ApiError(
                "ClusterContainsContainerInstancesException",
                "The Cluster cannot be deleted while Container Instances are active or draining.",
            )
        if any(task["lastStatus"] != "STOPPED" for task in self._tasks(cluster)):
            raise ApiError(
                "ClusterContainsTasksException", "The Cluster cannot be deleted while Tasks are active."
            )
        cluster["status"] = "INACTIVE"
        return {"cluster": self._shown(cluster)}

    def describe(self, request: dict) -> dict:
        found, failures = [], []
        for reference in request.get("clusters") or ["default"]:
            cluster = self._store.clusters.get(tail(reference))
            if cluster is None:
                failures.append({"arn": arn(f"cluster/{tail(reference)}"), "reason": "MISSING"})
            else:
                found.append(self._shown(cluster, request.get("include") or []))
        return {"clusters": found, "failures": failures}

    def list(self, request: dict) -> dict:
        names = sorted(c["clusterArn"] for c in self._store.clusters.values() if c["status"] == "ACTIVE")
        some, token = page(names, request.get("nextToken"))
        return {"clusterArns": some, **({"nextToken": token} if token else {})}

    def _services(self, cluster: dict) -> list[dict]:
        mine = (s for s in self._store.services.values() if s["clusterArn"] == cluster["clusterArn"])
        return [service for service in mine if service["status"] != "INACTIVE"]

    def _tasks(self, cluster: dict) -> list[dict]:
        return [t for t in self._store.tasks.values() if t["clusterArn"] == cluster["clusterArn"]]

    def _hosts(self, cluster: dict) -> list[dict]:
        return [h for h in self._store.hosts.values() if h["local"]["cluster"] == cluster["clusterName"]]

    def _shown(
        self, cluster: dict, include: list[str] | tuple[str, ...] = ("CONFIGURATIONS", "SETTINGS", "TAGS")
    ) -> dict:
        tasks, shown = self._tasks(cluster), public(cluster)
        if "CONFIGURATIONS" not in include:
            shown.pop("configuration", None)
        if "SETTINGS" not in include:
            shown["settings"] = []
        return {
            **shown,
            "activeServicesCount": len(self._services(cluster)),
            "runningTasksCount": sum(task["lastStatus"] == "RUNNING" for task in tasks),
            "pendingTasksCount": sum(task["lastStatus"] in ("PROVISIONING", "PENDING") for task in tasks),
            "registeredContainerInstancesCount": len(self._hosts(cluster)),
            "tags": self._store.tags.get(cluster["clusterArn"]) or [] if "TAGS" in include else [],
        }

    # -- capacity providers
    def create_provider(self, request: dict) -> dict:
        name, group = request.get("name", ""), request.get("autoScalingGroupProvider") or {}
        if not NAME.fullmatch(name) or name.lower().startswith(("aws", "ecs", "fargate")):
            raise client(f"Invalid capacity provider name '{name}'.")
        if name in self._store.providers:
            raise client(
                "The specified capacity provider already exists. Specify another name and try again."
            )
        provider = {"capacityProviderArn": arn(f"capacity-provider/{name}"), "name": name, "status": "ACTIVE"}
        if managed_instances.KEY in request:
            if group:
                raise client("A capacity provider has either an Auto Scaling group or Managed Instances.")
            wanted = managed_instances.check(self._store, request)
            provider |= {"type": managed_instances.TYPE, managed_instances.KEY: wanted}
            self._store.providers[name] = provider
            managed_instances.join(provider, self._store.cluster(request["cluster"]))
        else:
            self._check_group(group)
            provider |= {"type": "EC2_AUTOSCALING", "autoScalingGroupProvider": group}
            self._store.providers[name] = provider
            managed.put_hook(provider)
        self._store.tags[provider["capacityProviderArn"]] = list(request.get("tags") or [])
        return {"capacityProvider": self._shown_provider(provider)}

    def _check_group(self, group: dict) -> None:
        """Managed termination protection needs managed scaling, and a group that protects its instances."""
        wanted = group.get("autoScalingGroupArn", "")
        named = tail(wanted)
        found = next(
            (g for g in autoscaling._asgs.values()
             if g["AutoScalingGroupARN"] == wanted or g["AutoScalingGroupName"] == named), None,
        )  # fmt: skip
        if found is None:
            raise client(f"The specified Auto Scaling group '{wanted}' was not found.")
        if group.get("managedTerminationProtection") != "ENABLED":
            return
        if (group.get("managedScaling") or {}).get("status") != "ENABLED":
            raise client("Managed termination protection requires managed scaling to be enabled.")
        if not found.get("NewInstancesProtectedFromScaleIn"):
            raise client(
                "The managed termination protection setting for the capacity provider is invalid. To enable managed "
                "termination protection, the Auto Scaling group must have instance protection from scale in enabled."
            )

    def update_provider(self, request: dict) -> dict:
        provider = self._provider(request.get("name", ""))
        if managed_instances.KEY in provider:
            asked = {**request, "cluster": provider["cluster"]}
            provider[managed_instances.KEY] = managed_instances.check(self._store, asked)
            return {"capacityProvider": self._shown_provider(provider)}
        group = {**provider["autoScalingGroupProvider"], **(request.get("autoScalingGroupProvider") or {})}
        self._check_group(group)
        provider["autoScalingGroupProvider"] = group
        managed.put_hook(provider)
        return {"capacityProvider": self._shown_provider(provider)}

    def delete_provider(self, request: dict) -> dict:
        provider = self._provider(request.get("capacityProvider", ""))
        if managed_instances.KEY in provider:
            managed_instances.leave(self._store, provider["name"])
        for cluster in self._store.clusters.values():
            if cluster["status"] == "ACTIVE" and provider["name"] in cluster["capacityProviders"]:
                raise client(
                    "The specified capacity provider is in use by a cluster and cannot be deleted. "
                    "Disassociate it and try again."
                )
        managed.drop_hook(provider)
        del self._store.providers[provider["name"]]
        return {"capacityProvider": {**self._shown_provider(provider), "status": "INACTIVE"}}

    def _provider(self, reference: str) -> dict:
        found = self._store.providers.get(tail(reference))
        if found is None:
            raise client(
                "The specified capacity provider does not exist. Specify a valid name or ARN and try again."
            )
        return found

    def describe_providers(self, request: dict) -> dict:
        own = {
            name: {
                "capacityProviderArn": arn(f"capacity-provider/{name}"),
                "name": name, "status": "ACTIVE", "type": name,
            }
            for name in FARGATE
        }  # fmt: skip
        known = {**own, **dict(self._store.providers.items())}
        names = [tail(name) for name in request.get("capacityProviders") or known]
        return {
            "capacityProviders": [self._shown_provider(known[name]) for name in names if name in known],
            "failures": [
                {"arn": arn(f"capacity-provider/{name}"), "reason": "MISSING"}
                for name in names
                if name not in known
            ],
        }

    def _shown_provider(self, provider: dict) -> dict:
        return {**public(provider), "tags": self._store.tags.get(provider["capacityProviderArn"]) or []}

    # -- tags
    def tag(self, request: dict) -> dict:
        name = request.get("resourceArn", "")
        tags = self._store.tags_of(name) | {one["key"]: one["value"] for one in request.get("tags") or []}
        self._store.tags[name] = [{"key": key, "value": value} for key, value in tags.items()]
        return {}

    def untag(self, request: dict) -> dict:
        name, gone = request.get("resourceArn", ""), request.get("tagKeys") or []
        self._store.tags[name] = [one for one in self._store.tags.get(name) or [] if one["key"] not in gone]
        return {}

    def list_tags(self, request: dict) -> dict:
        return {"tags": self._store.tags.get(request.get("resourceArn", "")) or []}
