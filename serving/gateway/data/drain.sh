#!/usr/bin/env bash
# Lets a gateway pod leave without cutting a stream. Envoy exits at once on SIGTERM, so this runs before it (preStop):
# fail the readiness check, close idle connections, keep serving until nobody is left.
#
# ENVOY_ADMIN           host:port of Envoy's administration interface
# DRAIN_MINIMUM_SECONDS how long load balancers may go on sending requests
# DRAIN_MAXIMUM_SECONDS when to give up on what is still running
set -u

# The image has bash but neither curl nor wget.
request() {
  exec 3<>"/dev/tcp/${ENVOY_ADMIN%:*}/${ENVOY_ADMIN##*:}" || return 1
  printf '%s %s HTTP/1.1\r\nHost: admin\r\nConnection: close\r\nContent-Length: 0\r\n\r\n' "$1" "$2" >&3
  cat <&3
  exec 3>&-
}

# Requests of clients in flight: the scrape and readiness requests of the other listener are not counted.
active_requests() {
  request GET '/stats?filter=^http.gateway.downstream_rq_active$' | tr -d '\r' | sed -n 's/.*downstream_rq_active: //p'
}

request POST /healthcheck/fail >/dev/null || exit 0 # nothing answers: nothing to drain
request POST '/drain_listeners?graceful&skip_exit' >/dev/null

while ((SECONDS < DRAIN_MAXIMUM_SECONDS)); do
  if ((SECONDS >= DRAIN_MINIMUM_SECONDS)); then
    active="$(active_requests)"
    # No number: a pod that leaves before it has ever listened to clients, or an Envoy that is gone.
    [[ -z "$active" || "$active" == 0 ]] && exit 0
  fi
  sleep 1
done
