#!/usr/bin/env bash
# docker-registry 2.8.2 of Debian bookworm (distribution), with token authentication.
#
# DELETE of an upload session, by which a client gives up what it began itself, wants the right `delete` on
# the repository, not `push`. Servers of tokens give `delete` to few: then a client with a good push token
# is answered 401, and the session stays until the registry purges uploads.
#
# Why it surprises: the session was begun with `pull,push`, nothing that anybody can see is removed, and
# the specification lists no right of its own for it.
# Pinned: docker-registry==2.8.2+ds1-1 (Debian 12), by apt-get.
set -euo pipefail
work=$(mktemp -d)
trap 'kill "$registry" 2>/dev/null || true; rm -rf "$work"' EXIT
cd "$work"
apt-get download --quiet docker-registry=2.8.2+ds1-1 >/dev/null
dpkg-deb --extract docker-registry_*.deb .
openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -subj /CN=x -days 1 2>/dev/null
cat > config.yml <<YAML
version: 0.1
storage: {filesystem: {rootdirectory: $work/data}}
auth: {token: {realm: "http://127.0.0.1:1/token", service: s, issuer: i, rootcertbundle: $work/cert.pem}}
http: {addr: "127.0.0.1:0"}
YAML
usr/bin/docker-registry serve config.yml > log 2>&1 &
registry=$!
until grep -q "listening on" log; do sleep 0.1; done
port=$(sed -n 's/.*listening on 127.0.0.1:\([0-9]*\).*/\1/p' log)

wanted() {
  curl -s -o /dev/null -D - -X "$1" "http://127.0.0.1:$port/v2/a/b/blobs/uploads/$2" |
    tr -d '\r' | sed -n 's/^[Ww]ww-[Aa]uthenticate:.*scope="\([^"]*\)".*/\1/p'
}
echo "POST   begins an upload:   $(wanted POST '')"
echo "PATCH  goes on with it:    $(wanted PATCH 123)"
echo "DELETE gives it up:        $(wanted DELETE 123)"
[ "$(wanted POST '')" = "repository:a/b:pull,push" ] || [ "$(wanted POST '')" = "repository:a/b:push,pull" ]
[ "$(wanted DELETE 123)" = "repository:a/b:delete" ]
