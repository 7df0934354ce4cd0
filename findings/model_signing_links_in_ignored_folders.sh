#!/usr/bin/env bash
# model-signing 1.1.1, Python 3.10 or later, with pyOpenSSL, which it imports and does not ask for.
#
# A symbolic link anywhere in a folder fails its verification, also below a path that the signature says
# to ignore: links are looked for before names are. A snapshot in the Hub's cache, which is made of
# links, needs --allow_symlinks; what `hf download --local-dir` brings does not.
#
# Why it surprises: what is ignored may change in every other way. A release folder must hold no link.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet 'model-signing==1.1.1' pyopenssl
cd "$work"
openssl ecparam -name prime256v1 -genkey -noout -out key.pem
openssl ec -in key.pem -pubout -out pub.pem 2>/dev/null
mkdir -p model/.cache
echo weights > model/weights
venv/bin/python -m model_signing sign key model --signature model/model.sig --private_key key.pem \
    --ignore-paths model/.cache
verify() {
    venv/bin/python -m model_signing verify key model --signature model/model.sig --public_key pub.pem "$@"
}
refused() {
    local said
    if said=$(verify 2>&1); then echo "verified: $1"; exit 1; fi
    grep symlink <<< "$said"
}
echo downloaded > model/.cache/file
verify # ignored, as it was said
ln -s file model/.cache/link
refused "with a link below an ignored path" # "Cannot use 'model/.cache/link' because it is a symlink"
rm -r model/.cache
mv model/weights blob
ln -s ../blob model/weights
refused "with a link in place of a file"
verify --allow_symlinks
