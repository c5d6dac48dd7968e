"""Tarball and Debian package, by dpkg's own word. Only in `make deploy-test`."""

import os
import re
import shutil
import subprocess
import tarfile

import pytest

from manifests import VERSION
from proxy import BINARY, REPOSITORY

pytestmark = [
    pytest.mark.skipif(not os.environ.get("EXPURGATE_DEPLOY"), reason="only in `make deploy-test`"),
    pytest.mark.skipif(not shutil.which("dpkg-shlibdeps"), reason="dpkg-dev is not installed"),
    pytest.mark.timeout(600),
]

# A root of its own over this machine's: what is installed there is gone after.
OVERLAY = """
set -e
mount -t tmpfs tmpfs "$1"
mkdir "$1/upper" "$1/work" "$1/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" "$1/root"
cp "$2" "$1/root/expurgate.deb"
exec chroot "$1/root" sh -ec "$3"
"""


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    return package(tmp_path_factory.mktemp("package"))


def package(folder):
    made = subprocess.run(
        [REPOSITORY / "scripts/package", BINARY, folder], capture_output=True, text=True, timeout=500
    )
    assert made.returncode == 0, made.stdout + made.stderr
    tarball, debian = made.stdout.split()
    return tarball, debian


def dpkg(*arguments):
    return subprocess.run(["dpkg-deb", *arguments], check=True, capture_output=True, text=True, timeout=60).stdout


def test_the_tarball_runs_where_it_is_unpacked(packages, tmp_path):
    with tarfile.open(packages[0]) as archive:
        archive.extractall(tmp_path, filter="data")
        assert {member.uid for member in archive.getmembers()} == {0}
    (root,) = tmp_path.iterdir()
    said = subprocess.run([root / "expurgate", "--version"], capture_output=True, text=True, timeout=60)
    # `make` tells the build its revision.
    assert re.fullmatch(rf"expurgate {re.escape(VERSION)} \(revision [0-9a-f]{{40}}(-dirty)?\)\n", said.stdout)
    assert {"LICENSE", "README.md", "config.toml", "docs", "prometheus", "grafana", "systemd"} <= {
        each.name for each in root.iterdir()
    }
    for link in re.findall(r"\]\((docs/[\w-]+\.md)", (root / "README.md").read_text()):
        assert (root / link).exists(), link


def test_the_package_names_what_it_needs_and_keeps_what_was_edited(packages):
    control = dpkg("--field", packages[1])
    fields = dict(re.findall(r"^([\w-]+): (.*)$", control, re.MULTILINE))
    assert (fields["Package"], fields["Version"]) == ("expurgate", VERSION)
    needs = [each.split(" (")[0] for each in fields["Depends"].split(", ")]
    assert {"libc6", "ca-certificates"} <= set(needs)
    contents = dpkg("--contents", packages[1])
    assert re.search(r"^-rw-r--r-- root/root .* \./etc/expurgate/config\.toml$", contents, re.MULTILINE)
    assert re.search(r"^-rwxr-xr-x root/root .* \./usr/bin/expurgate$", contents, re.MULTILINE)
    assert " ./usr/lib/systemd/system/expurgate.service" in contents


@pytest.mark.skipif(os.geteuid() != 0, reason="dpkg installs as root")
def test_the_package_is_installed_checks_its_configuration_and_goes_without_a_trace(packages, tmp_path):
    probe = subprocess.run(["unshare", "--mount", "true"], capture_output=True)
    if probe.returncode:
        pytest.skip("this machine allows no mounts")
    script = """
        dpkg --install /expurgate.deb
        expurgate --version
        systemd-analyze verify --man=no /usr/lib/systemd/system/expurgate.service
        printf '[[route]]\\nupstream = "https://api.example.com"\\n' >> /etc/expurgate/config.toml
        expurgate check --config /etc/expurgate/config.toml
        dpkg --install /expurgate.deb
        grep -q api.example.com /etc/expurgate/config.toml
        dpkg --purge expurgate
        test ! -e /usr/bin/expurgate
        test ! -e /etc/expurgate
        test ! -e /usr/share/doc/expurgate
    """
    command = ["unshare", "--mount", "sh", "-c", OVERLAY, "sh", tmp_path, packages[1], script]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert f"expurgate {VERSION} (revision " in ran.stdout and "valid: 1 route" in ran.stdout


def test_the_same_files_make_the_same_packages(packages, tmp_path):
    for first, second in zip(packages, package(tmp_path), strict=True):
        with open(first, "rb") as one, open(second, "rb") as other:
            assert one.read() == other.read(), first
