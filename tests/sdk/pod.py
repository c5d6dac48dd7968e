"""Pods as Kubernetes would run them, by podman: no daemon and no cluster.

`podman kube play` knows no native sidecars, so the sidecar runs as a container
beside the application; security context, limits, volumes and probes are those
of the manifest.
"""

import contextlib
import ctypes
import json
import os
import resource
import shutil
import subprocess
import time

import yaml

PODMAN = shutil.which("podman")
RUNTIME = next(filter(None, map(shutil.which, ("runc", "crun"))), None)
CLONE_NEWNET = 0x40000000
WAIT_SECONDS = 30


def podman(*arguments, check=True, environment=None):
    result = subprocess.run(
        [PODMAN, *([] if RUNTIME is None else ["--runtime", RUNTIME]), *arguments],
        env=os.environ | (environment or {}),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert not check or result.returncode == 0, result.stdout + result.stderr
    return result


class Pod:
    """A pod of these objects: ConfigMaps, and one Pod. Use as a context manager.

    Its network is its own and reaches nobody; `inside()` is in it.
    """

    def __init__(self, objects, folder):
        (self._pod,) = [each for each in objects if each["kind"] == "Pod"]
        self._name = self._pod["metadata"]["name"]
        self._file = folder / "pod.yaml"
        self._file.write_text(yaml.safe_dump_all(objects))
        # podman asks for more than whoever has few may hand on.
        files = min(resource.getrlimit(resource.RLIMIT_NOFILE)[1], 16384)
        settings = folder / "containers.conf"
        settings.write_text(f'[containers]\ndefault_ulimits = ["nofile={files}:{files}", "nproc=4096:4096"]\n')
        self._environment = {"CONTAINERS_CONF": str(settings)}
        # By container: to ask podman takes its time.
        self._pids = {}

    def __enter__(self):
        self.__exit__()
        play = ["kube", "play", "--network", "none", str(self._file)]
        played = podman(*play, check=False, environment=self._environment)
        if played.returncode:
            self.__exit__()
            raise AssertionError(played.stdout + played.stderr)
        return self

    def __exit__(self, *_):
        podman("kube", "down", str(self._file), check=False)
        podman("pod", "rm", "--force", self._name, check=False)
        for each in json.loads(podman("volume", "ls", "--format", "json").stdout or "[]"):
            if each["Name"].startswith("expurgate-"):
                podman("volume", "rm", each["Name"], check=False)

    def state(self, container):
        return json.loads(podman("inspect", f"{self._name}-{container}").stdout)[0]

    def pid(self, container):
        if container not in self._pids:
            self._pids[container] = self.state(container)["State"]["Pid"]
        return self._pids[container]

    def log(self, container):
        said = podman("logs", f"{self._name}-{container}")
        return said.stdout + said.stderr

    def volume(self, name):
        """Where the files of a ConfigMap's volume are on this machine."""
        return json.loads(podman("volume", "inspect", name).stdout)[0]["Mountpoint"]

    def terminate(self, container):
        """SIGTERM, as kubelet sends it."""
        podman("kill", "--signal", "TERM", f"{self._name}-{container}")

    def exit_code(self, container):
        """Waits until it has ended."""
        end = time.monotonic() + WAIT_SECONDS
        while (state := self.state(container)["State"])["Status"] != "exited":
            assert time.monotonic() < end, state
            time.sleep(0.1)  # the interval of a poll with a deadline
        return state["ExitCode"]

    @contextlib.contextmanager
    def inside(self, container):
        """Sockets that are made meanwhile by this thread are the pod's."""
        with open("/proc/thread-self/ns/net") as own, open(f"/proc/{self.pid(container)}/ns/net") as pod:
            _enter(pod)
            try:
                yield
            finally:
                _enter(own)


def _enter(namespace):
    if ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")
