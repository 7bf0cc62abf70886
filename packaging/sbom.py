# SPDX-License-Identifier: MIT
"""The parts of a built package as SPDX 2.3 JSON: the program, the libraries that it is linked with or loads, and what is
embedded in it. Usage: sbom.py [--arch ARCH] FOLDER, on the Debian that it was built on."""

import argparse
import hashlib
import json
import pathlib
import re
import subprocess

# The library's file name: its name, its licence, what Debian calls its package.
LIBRARIES = {
    "libpaho-mqtt3a": ("Eclipse Paho MQTT C", "EPL-2.0 OR BSD-3-Clause", "libpaho-mqtt1.3"),
    "libserialport": ("libserialport", "LGPL-3.0-or-later", "libserialport0"),
    "libsqlite3": ("SQLite", "blessing", "libsqlite3-0"),
    "libyaml-0": ("libyaml", "MIT", "libyaml-0-2"),
    "libuv": ("libuv", "MIT", "libuv1t64|libuv1"),
    "libjansson": ("jansson", "MIT", "libjansson4"),
    "libsystemd": ("libsystemd", "LGPL-2.1-or-later", "libsystemd0"),
    "libcrypto": ("OpenSSL", "Apache-2.0", "libssl3t64|libssl3"),
    "libssl": ("OpenSSL", "Apache-2.0", "libssl3t64|libssl3"),
    "libmicrohttpd": ("GNU libmicrohttpd", "LGPL-2.1-or-later", "libmicrohttpd12t64|libmicrohttpd12"),
    "libz": ("zlib", "Zlib", "zlib1g"),
    "libcurl": ("libcurl", "curl", "libcurl4t64|libcurl4"),
    "libwebsockets": ("libwebsockets", "MIT", "libwebsockets19t64|libwebsockets17"),
    "libc": ("GNU C Library", "LGPL-2.1-or-later", "libc6"),
    "libm": ("GNU C Library", "LGPL-2.1-or-later", "libc6"),
    "ld-linux": ("GNU C Library", "LGPL-2.1-or-later", "libc6"),
    "libgcc_s": ("GCC runtime", "GPL-3.0-or-later WITH GCC-exception-3.1", "libgcc-s1"),
}
LOADED = ["libcrypto", "libcurl", "libmicrohttpd", "libpaho-mqtt3a", "libssl", "libwebsockets"]  # by dlopen, when they are first used
EMBEDDED = [("dygraphs", "MIT", "libjs-dygraphs")]


def version_of(packages, arch):
    for package in packages.split("|"):
        for name in (f"{package}:{arch}", package):
            query = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", name], capture_output=True, text=True)
            if query.returncode == 0 and query.stdout:
                return query.stdout
    return None


def needed(binary):
    dump = subprocess.run(["objdump", "-p", binary], capture_output=True, text=True)
    if dump.returncode != 0:  # another processor's: the bytes say it as well
        dump = subprocess.run(["readelf", "-d", binary], capture_output=True, text=True, check=True)
    return re.findall(r"NEEDED\)?.*?\[?(\S+\.so[.\d]*)\]?", dump.stdout)


def part(name, version, licence, relation):
    reference = "SPDXRef-" + re.sub(r"[^A-Za-z0-9.-]", "-", name)
    return {"SPDXID": reference, "name": name, "versionInfo": version or "NOASSERTION", "licenseDeclared": licence,
            "licenseConcluded": "NOASSERTION", "downloadLocation": "NOASSERTION", "filesAnalyzed": False,
            "copyrightText": "NOASSERTION"}, {"spdxElementId": "SPDXRef-bl2mqtt", "relatedSpdxElement": reference,
                                              "relationshipType": relation}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--arch", default=subprocess.run(["dpkg", "--print-architecture"], capture_output=True,
                                                         text=True).stdout.strip())
    parser.add_argument("folder", type=pathlib.Path)
    options = parser.parse_args()
    binary = options.folder / "usr/bin/bl2mqtt"
    found = {}
    for library in needed(binary) + LOADED:
        key = max((name for name in LIBRARIES if library.startswith(name)), key=len, default=None)
        if key is None:
            raise SystemExit(f"sbom.py: {library} is linked, but its licence is not in the table")
        name, licence, packages = LIBRARIES[key]
        found[name] = part(name, version_of(packages, options.arch), licence,
                           "DYNAMIC_LINK" if library not in LOADED else "RUNTIME_DEPENDENCY_OF")
    for name, licence, package in EMBEDDED:
        found[name] = part(name, version_of(package, options.arch), licence, "CONTAINS")
    parts = [found[name] for name in sorted(found)]
    changelog = subprocess.run(["dpkg-parsechangelog", "-S", "Version"], capture_output=True, text=True).stdout.strip()
    stamp = subprocess.run(["dpkg-parsechangelog", "-S", "Timestamp"], capture_output=True, text=True).stdout.strip()
    created = subprocess.run(["date", "-u", "-d", f"@{stamp or 0}", "+%Y-%m-%dT%H:%M:%SZ"], capture_output=True,
                             text=True).stdout.strip()
    digest = hashlib.sha256(binary.read_bytes()).hexdigest()
    own, _ = part("bl2mqtt", changelog, "MIT", "")
    own["checksums"] = [{"algorithm": "SHA256", "checksumValue": digest}]
    print(json.dumps({
        "spdxVersion": "SPDX-2.3", "dataLicense": "CC0-1.0", "SPDXID": "SPDXRef-DOCUMENT",
        "name": f"bl2mqtt {changelog} {options.arch}",
        "documentNamespace": f"urn:bl2mqtt:sbom:{changelog}:{options.arch}:{digest}",
        "creationInfo": {"created": created, "creators": ["Tool: packaging/sbom.py"]},
        "packages": [own, *(package for package, _ in parts)],
        "relationships": [{"spdxElementId": "SPDXRef-DOCUMENT", "relatedSpdxElement": "SPDXRef-bl2mqtt",
                           "relationshipType": "DESCRIBES"}, *(relation for _, relation in parts)],
    }, indent=1))


main()
