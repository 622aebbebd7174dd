"""The Containerfile and the manifests: linted by hadolint, checked by Kubernetes' own schemas."""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from bgrscrpt_ioc.deploy import container, kubernetes
from bgrscrpt_ioc.deploy.site import Site, site_of

IMAGE = "registry.example.org/bgrscrpt-ioc:1"
ODD = 'a b%n $X "q" \\ä #: '
DOCUMENTS = {
    "bare": {},
    "full": {
        "prefix": "TE:",
        "registry": "mysql+pymysql://iocdb:hunter2@127.0.0.1/$(DATABASE)",
        "instance": {"A": {"stop_timeout": 100, "script": "/opt/my scripts/a.py"}},
    },
}
VERSIONS = ("1.28", "1.33", kubernetes_validate.latest_version())
# The keys of ioc-instance.schema.json in epics-containers' ec-helm-charts, May 2026. It allows no
# others, and refers to Kubernetes' own schemas for the objects.
CHART = {
    "affinity", "args", "autosaveClaim", "baseIp", "caServerPort", "clusterIP", "command",
    "dataVolume", "domain", "env", "extraContainers", "hostNetwork", "image", "imagePullPolicy",
    "initContainers", "iocConfig", "iocFolder", "labels", "lifecycle", "livenessExecutable",
    "livenessProbe", "location", "nodeName", "nodeSelector", "opisClaim", "podAnnotations",
    "podLabels", "podSecurityContext", "preStopExecutable", "pvaServerPort",
    "readinessExecutable", "readinessProbe", "rebootEveryCommit", "resources", "runtimeClaim",
    "runtimeClassName", "securityContext", "serviceAccountName", "startupExecutable",
    "startupProbe", "tolerations", "usbDevices", "volumeMounts", "volumes",
}  # fmt: skip
OF_CONTAINER = {
    "args", "command", "env", "image", "livenessProbe", "readinessProbe", "resources",
    "securityContext", "startupProbe",
}  # fmt: skip


def site(document: Mapping[str, Any], name: str = "instrument.toml") -> Site:
    """A site with this file of settings."""
    return site_of(
        document, ("/x",), Path("/etc/bgrscrpt", name), prefix=document.get("prefix", ""), user="u"
    )


@pytest.mark.parametrize("name", ["instrument.toml", ODD])
@pytest.mark.parametrize("document", DOCUMENTS.values(), ids=DOCUMENTS)
def test_hadolint_takes_the_containerfile(
    document: Mapping[str, Any], name: str, tmp_path: Path
) -> None:
    """The linter parses it, and its shell with shellcheck, and finds nothing amiss."""
    path = tmp_path / container.CONTAINERFILE
    path.write_text(container.containerfile(site(document, name), IMAGE))
    lint = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([lint, "--no-color", path], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_containerfile_knows_no_secret() -> None:
    """It has no value of the settings, but their directories; no process is root."""
    text = container.containerfile(site(DOCUMENTS["full"]), IMAGE)
    assert "hunter2" not in text
    assert "--volume '/opt/my scripts:/opt/my scripts:ro'" in text
    assert "--stop-timeout 330" in text
    assert "\nUSER 1000:1000\n" in text


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", ["instrument.toml", ODD])
@pytest.mark.parametrize("document", DOCUMENTS.values(), ids=DOCUMENTS)
def test_kubernetes_takes_the_manifest(
    document: Mapping[str, Any], name: str, version: str
) -> None:
    """The strict schema of each version knows every key, and each volume is one that there is."""
    (manifest,) = yaml.safe_load_all(kubernetes.stateful_set(site(document, name), IMAGE))
    kubernetes_validate.validate(manifest, version, strict=True)
    pod = manifest["spec"]["template"]["spec"]
    (ioc,) = pod["containers"]
    claims = [each["metadata"]["name"] for each in manifest["spec"]["volumeClaimTemplates"]]
    volumes = {each["name"] for each in pod["volumes"]} | set(claims)
    assert {each["name"] for each in ioc["volumeMounts"]} == volumes
    assert ioc["args"][2] == f"/etc/bgrscrpt/{name}"
    assert shlex.split(ioc["startupProbe"]["exec"]["command"][2])[3] == f"/etc/bgrscrpt/{name}"
    assert ioc.keys() >= {"startupProbe", "readinessProbe", "livenessProbe"}
    assert pod["hostNetwork"]
    assert pod["securityContext"]["runAsNonRoot"]
    assert manifest["spec"]["replicas"] == 1


def test_the_manifest_knows_no_secret() -> None:
    """Variables come from a Secret, and the pod has the time that the scripts may take to end."""
    text = kubernetes.stateful_set(site(DOCUMENTS["full"]), IMAGE)
    assert "hunter2" not in text
    assert "The settings refer to DATABASE:" in text
    (manifest,) = yaml.safe_load_all(text)
    pod = manifest["spec"]["template"]["spec"]
    assert pod["terminationGracePeriodSeconds"] == 330
    (secret,) = pod["containers"][0]["envFrom"]
    assert secret == {"secretRef": {"name": "te-bgrscrpt-variables"}}


@pytest.mark.parametrize("document", DOCUMENTS.values(), ids=DOCUMENTS)
def test_the_chart_takes_the_values(document: Mapping[str, Any]) -> None:
    """epics-containers' chart knows each key; what it hands on is what Kubernetes takes."""
    text = kubernetes.values(site(document), IMAGE)
    (top,) = yaml.safe_load_all(text)
    assert "hunter2" not in text
    assert list(top) == ["ioc-instance"]
    values = top["ioc-instance"]
    assert values.keys() <= CHART
    assert values["dataVolume"].keys() == {"pvc", "hostPath"}
    assert values["livenessExecutable"] == values["preStopExecutable"] == ""
    assert all(isinstance(each, str) for each in values["resources"]["limits"].values())
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "x"},
        "spec": {
            "hostNetwork": values["hostNetwork"],
            "securityContext": values["podSecurityContext"],
            "containers": [{"name": "x", **{k: v for k, v in values.items() if k in OF_CONTAINER}}],
        },
    }
    kubernetes_validate.validate(pod, "1.33", strict=True)


@pytest.mark.parametrize(
    ("prefix", "name"),
    [
        ("TE:NDW1234:", "te-ndw1234-bgrscrpt"),
        ("", "bgrscrpt"),
        ("é_9:", "9-bgrscrpt"),
        ("X" * 60, "x" * 43 + "-bgrscrpt"),
    ],
)
def test_names_of_resources(prefix: str, name: str) -> None:
    """Each prefix has a name that Kubernetes takes, of which a label can be made."""
    assert kubernetes.resource_name(prefix) == name
    assert len(name) <= kubernetes.LONGEST
