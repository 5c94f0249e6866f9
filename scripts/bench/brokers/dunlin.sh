#!/usr/bin/env bash
# The dunlin of this checkout ($DUNLIN); limits lifted so that no scenario meets them.
cat >"$DATA/dunlin.yaml" <<C
node: bench
data_dir: $DATA/state
store: {durability: ${KEPT:-never}} # as the others; a backlog that outgrows memory is on disk all the same
mqtt:
  sys_interval: ${SYS:-0s}
  limits:
    connections: 20000
    connect_rate: 0/s
    queue_messages: 1000000
    queue_size: 1GiB
    retained_messages: 1000000
    retained_size: 1GiB
    subscriptions: 20000
  listeners:
    - {bind: "127.0.0.1:$PORT", anonymous: true}
    - {bind: "127.0.0.1:$TLSPORT", anonymous: true, tls: {cert: $CERTS/cert.pem, key: $CERTS/key.pem}}
C
[ -z "${UPSTREAM:-}" ] || cat >>"$DATA/dunlin.yaml" <<C
bridges:
  up: {servers: ["mqtt://$UPSTREAM"], protocol: "3.1.1", status_topic: "", out: [{from: "drain/#"}], spool: {max_size: 256MiB}}
C
exec "$DUNLIN" run -c "$DATA/dunlin.yaml"
