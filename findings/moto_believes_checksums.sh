#!/usr/bin/env bash
# moto 5.2.5, boto3 1.43.117, Python 3.
#
# put_object with the SHA-256 of other bytes: S3 refuses it (BadDigest), moto stores the object and tells the
# wrong checksum ever after. Of an object in parts it tells the checksum of their checksums without the "-2"
# that S3 puts behind it, and no ChecksumType.
#
# Why it surprises: moto looks like the place to test that a changed byte on the line is refused, and it cannot
# show it. And who tells objects in parts by the dash takes their checksum for that of the file.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet "moto[s3,server]==5.2.5" boto3==1.43.117
"$work/venv/bin/python" - <<'PYTHON'
import base64
import hashlib
import logging

import boto3
from moto.server import ThreadedMotoServer


def digest(content):
    return base64.b64encode(hashlib.sha256(content).digest()).decode()


logging.getLogger("werkzeug").setLevel(logging.ERROR)
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
host, port = server.get_host_and_port()
s3 = boto3.client("s3", endpoint_url=f"http://{host}:{port}", region_name="us-east-1",
                  aws_access_key_id="x", aws_secret_access_key="y")
s3.create_bucket(Bucket="models")
about = {"Bucket": "models", "Key": "wrong"}
s3.put_object(**about, Body=b"1", ChecksumAlgorithm="SHA256", ChecksumSHA256=digest(b"2"))
told = s3.head_object(**about, ChecksumMode="ENABLED")["ChecksumSHA256"]
print("told:", told, "of these bytes:", digest(b"1"))
assert told == digest(b"2")

about = {"Bucket": "models", "Key": "parts"}
upload = s3.create_multipart_upload(**about, ChecksumAlgorithm="SHA256")
contents = [b"x" * (5 << 20), b"y"]
parts = []
for number, content in enumerate(contents, 1):
    checked = {"ChecksumAlgorithm": "SHA256", "ChecksumSHA256": digest(content)}
    answer = s3.upload_part(**about, UploadId=upload["UploadId"], PartNumber=number, Body=content, **checked)
    parts.append({"PartNumber": number, "ETag": answer["ETag"], "ChecksumSHA256": digest(content)})
s3.complete_multipart_upload(**about, UploadId=upload["UploadId"], MultipartUpload={"Parts": parts})
found = s3.head_object(**about, ChecksumMode="ENABLED")
print("in parts:", found["ChecksumSHA256"], found.get("ChecksumType"))
assert "-" not in found["ChecksumSHA256"] and "ChecksumType" not in found
server.stop()
PYTHON
