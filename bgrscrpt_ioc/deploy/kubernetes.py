"""Makes a StatefulSet of an IOC, and values for epics-containers' chart `ioc-instance`. Pure.

Kubernetes restarts an IOC that does not answer. The IOC restarts its scripts.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from bgrscrpt_ioc.deploy.container import (
    PATIENCE,
    PROGRAM,
    SETTINGS,
    STATE,
    USER,
    alive,
    serve,
    well,
)
from bgrscrpt_ioc.deploy.site import Site
from bgrscrpt_ioc.deploy.systemd import one_line, stop_timeout

LOGS = "/var/log/bgrscrpt"
LONGEST = 52  # characters of a StatefulSet's name: a label adds the revision to it
CHART = "5.14"  # version of ioc-instance
CHART_SETTINGS = "/epics/ioc/config"  # where the chart puts the files of `config`
CHART_STATE = "/autosave"  # the chart's claim, which has a directory for each IOC
CHART_LOGS = "/epics/runtime/log"

STATEFUL_SET = """\
# Made by `bgrscrpt-ioc deploy kubernetes` from {config}.
# Make these two first. The settings are in a Secret, because they may have a password:
#     kubectl create secret generic {name}-settings --from-file={file}
#     kubectl create configmap {name}-scripts --from-file=DIRECTORY
# Both are mounted at {settings}, so the settings name a script by its file name alone.
apiVersion: apps/v1
kind: StatefulSet
metadata:
  name: {name}
  labels: {labels}
spec:
  replicas: 1  # an IOC does not serve PVs that another one serves
  serviceName: {name}
  selector:
    matchLabels: {labels}
  template:
    metadata:
      labels: {labels}
    spec:
      hostNetwork: true  # Channel Access finds PVs by UDP broadcasts
      dnsPolicy: ClusterFirstWithHostNet
      terminationGracePeriodSeconds: {stop}  # for `finally:` of the scripts
      securityContext:
        runAsNonRoot: true
        runAsUser: {user}
        runAsGroup: {user}
        fsGroup: {user}
        seccompProfile: {{type: RuntimeDefault}}
      containers:
        - name: ioc
          image: {image}
          args: {arguments}
{variables}          securityContext:
            allowPrivilegeEscalation: false
            readOnlyRootFilesystem: true
            capabilities: {{drop: [ALL]}}
          # For the IOC and all its scripts. A limit of memory would end all of them together.
          resources:
            requests: {{cpu: 100m, memory: 256Mi}}
          startupProbe:
            {startup}
          readinessProbe:
            {readiness}
          livenessProbe:
            {liveness}
          volumeMounts:
            - {{name: settings, mountPath: {settings}, readOnly: true}}
            - {{name: state, mountPath: {state}}}
            - {{name: logs, mountPath: {logs}}}
            - {{name: tmp, mountPath: /tmp}}
      volumes:
        - name: settings
          projected:
            sources:
              - secret: {{name: {name}-settings}}
              - configMap: {{name: {name}-scripts, optional: true}}
        - name: tmp
          emptyDir: {{}}
  volumeClaimTemplates:
    - metadata: {{name: state}}
      spec: {claim}
    - metadata: {{name: logs}}
      spec: {log_claim}
"""

ENVIRONMENT = """\
          # The settings refer to {names}:
          #     kubectl create secret generic {name}-variables --from-env-file=FILE
          envFrom:
            - secretRef: {{name: {name}-variables}}
"""

VALUES = """\
# Made by `bgrscrpt-ioc deploy kubernetes` from {config}.
# This is for a repository of epics-containers' services, with the chart ioc-instance, {chart}.
# Put the settings and the scripts into the directory `config` beside this file. The settings name a
# script by its file name alone. The chart makes a ConfigMap of this directory, and writes `env`
# into the manifest. So put no password into either.
# The chart gives the IOC 3 s to end. Set `stop_timeout` to 0.5 s or so in the settings.
ioc-instance:
  image: {image}
  hostNetwork: true  # Channel Access finds PVs by UDP broadcasts
  command: {command}
  args: {arguments}
{variables}  iocConfig: {settings}
  dataVolume: {{pvc: false, hostPath: ""}}
  startupProbe:
    {startup}
  readinessProbe:
    {readiness}
  livenessProbe:
    {liveness}
  # The chart's defaults are programs that this image does not have.
  livenessExecutable: ""
  preStopExecutable: ""
  podSecurityContext: {{runAsNonRoot: true, fsGroup: {user}}}
  securityContext:
    runAsUser: {user}
    runAsGroup: {user}
    allowPrivilegeEscalation: false
    capabilities: {{drop: [ALL]}}
  # For the IOC and all its scripts.
  resources:
    requests: {{cpu: 100m, memory: 256Mi}}
    limits: {{cpu: "2", memory: 2Gi}}
"""

CHART_ENVIRONMENT = """\
  # The settings refer to these variables.
  env: {pairs}
"""


def files(site: Site, image: str) -> dict[str, str]:
    """Return the manifest and the values for epics-containers' chart, by their paths."""
    name = resource_name(site.prefix)
    return {
        "bgrscrpt.yaml": stateful_set(site, image),
        f"services/{name}/values.yaml": values(site, image),
    }


def stateful_set(site: Site, image: str) -> str:
    """Return the manifest of the IOC's StatefulSet."""
    name = resource_name(site.prefix)
    settings = f"{SETTINGS}/{site.config.name}"
    labels = {"app.kubernetes.io/name": PROGRAM, "app.kubernetes.io/instance": name}
    return STATEFUL_SET.format(
        config=one_line(str(site.config)),
        file=one_line(str(site.config)),
        name=name,
        labels=_flow(labels),
        image=_flow(image),
        stop=stop_timeout(site),
        user=USER,
        arguments=_flow(serve(settings, STATE, "--log-dir", LOGS)),
        variables=ENVIRONMENT.format(names=", ".join(site.variables), name=name)
        if site.variables
        else "",
        startup=_probe(alive(settings), every=5, failures=24, indent=12),
        readiness=_probe(well(settings), every=30, failures=1, indent=12),
        liveness=_probe(alive(settings), every=30, failures=4, indent=12),
        settings=SETTINGS,
        state=STATE,
        logs=LOGS,
        claim=_flow(_claim("1Gi")),
        log_claim=_flow(_claim("10Gi")),
    )


def values(site: Site, image: str) -> str:
    """Return the values of one IOC for the chart `ioc-instance`."""
    settings = f"{CHART_SETTINGS}/{site.config.name}"
    return VALUES.format(
        config=one_line(str(site.config)),
        name=resource_name(site.prefix),
        chart=CHART,
        image=_flow(image),
        command=_flow([PROGRAM]),
        arguments=_flow(serve(settings, CHART_STATE, "--log-dir", CHART_LOGS)),
        variables=CHART_ENVIRONMENT.format(
            pairs=_flow([{"name": each, "value": "FILL IN"} for each in site.variables])
        )
        if site.variables
        else "",
        settings=CHART_SETTINGS,
        startup=_probe(alive(settings), every=5, failures=24, indent=4),
        readiness=_probe(well(settings), every=30, failures=1, indent=4),
        liveness=_probe(alive(settings), every=30, failures=4, indent=4),
        user=USER,
    )


def resource_name(prefix: str) -> str:
    """Return the name of the IOC's resources: `TE:NDW1234:` -> `te-ndw1234-bgrscrpt`."""
    words = re.findall("[a-z0-9]+", f"{prefix}:bgrscrpt".lower())
    return "-".join(words)[-LONGEST:].lstrip("-")


def _probe(command: Sequence[str], *, every: int, failures: int, indent: int) -> str:
    return f"\n{' ' * indent}".join(
        [
            f"exec: {_flow({'command': list(command)})}",
            f"periodSeconds: {every}",
            f"timeoutSeconds: {PATIENCE}",
            f"failureThreshold: {failures}",
        ]
    )


def _claim(size: str) -> dict[str, object]:
    return {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}}


def _flow(value: object) -> str:
    """Return a value as JSON, which is valid YAML: no character needs another quoting."""
    return json.dumps(value)
