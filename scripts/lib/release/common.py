"""What the steps of a release share: the platforms, names of files, and archives whose bytes depend on their content only."""

import gzip
import io
import json
import os
import subprocess
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


@dataclass(frozen=True)
class Platform:
    """One target of the compiler, in the words of npm and of bundles."""

    target: str
    os: str
    # None: an archive for every processor of that system; npm has no word for that.
    cpu: str | None
    # Which C library the program needs; None: none, it is static.
    libc: str | None = None

    @property
    def npm(self) -> str | None:
        return self.cpu and f"{self.os}-{self.cpu}"

    @property
    def suffix(self) -> str:
        return ".zip" if self.os == "win32" else ".tgz"

    @property
    def exe(self) -> str:
        return ".exe" if self.os == "win32" else ""


# Where two serve the same machines the first wins: a static program runs on every Linux, and binstall looks for it after
# the one that needs glibc.
PLATFORMS = [
    Platform("x86_64-unknown-linux-musl", "linux", "x64"),
    Platform("aarch64-unknown-linux-musl", "linux", "arm64"),
    Platform("universal-apple-darwin", "darwin", None),
    Platform("aarch64-apple-darwin", "darwin", "arm64"),
    Platform("x86_64-apple-darwin", "darwin", "x64"),
    Platform("x86_64-pc-windows-msvc", "win32", "x64"),
    Platform("x86_64-unknown-linux-gnu", "linux", "x64", "glibc"),
    Platform("aarch64-unknown-linux-gnu", "linux", "arm64", "glibc"),
]


def platform(target: str) -> Platform:
    for known in PLATFORMS:
        if known.target == target:
            return known
    raise SystemExit(f"release: `{target}` is no target of ours: {', '.join(known.target for known in PLATFORMS)}")


def version(package: str) -> str:
    """The version in the manifest, as cargo understands it."""
    text = subprocess.run(
        ["cargo", "pkgid", "--offline", "--package", package], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.strip()
    return text.rsplit("#", 1)[1].rsplit("@", 1)[-1]


def source_date() -> int:
    """Seconds since 1970 that stand for "when": of the commit, so that a second build gives the same bytes."""
    said = os.environ.get("SOURCE_DATE_EPOCH")
    if said:
        return int(said)
    git = subprocess.run(["git", "log", "-1", "--format=%ct"], cwd=ROOT, capture_output=True, text=True)
    # 1980 is the first year a zip archive can tell.
    return int(git.stdout) if git.returncode == 0 and git.stdout.strip() else 315_532_800


# (name in the archive, content, whether it can be run)
File = tuple[str, bytes, bool]


def write_tgz(path: Path, files: list[File]) -> None:
    with path.open("wb") as raw, gzip.GzipFile("", "wb", 9, raw, mtime=0) as zipped:
        with tarfile.open(fileobj=zipped, mode="w", format=tarfile.USTAR_FORMAT) as archive:
            for name, content, runs in files:
                entry = tarfile.TarInfo(name)
                entry.size, entry.mode, entry.mtime = len(content), 0o755 if runs else 0o644, source_date()
                archive.addfile(entry, io.BytesIO(content))


def write_zip(path: Path, files: list[File]) -> None:
    import time

    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, content, runs in files:
            entry = zipfile.ZipInfo(name, time.gmtime(source_date())[:6])
            entry.compress_type, entry.create_system = zipfile.ZIP_DEFLATED, 3
            entry.external_attr = (0o100755 if runs else 0o100644) << 16
            archive.writestr(entry, content)


def binary_in(archive: Path, name: str) -> bytes:
    """The program called `name` out of one of our archives."""
    if archive.suffix == ".zip":
        with zipfile.ZipFile(archive) as opened:
            member = next(member for member in opened.namelist() if member.endswith(f"/{name}"))
            return opened.read(member)
    with tarfile.open(archive) as opened:
        member = next(member for member in opened.getmembers() if member.name.endswith(f"/{name}"))
        content = opened.extractfile(member)
        assert content is not None, f"{member.name} is no file"
        return content.read()


def to_json(value: object) -> bytes:
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode()
