#!/usr/bin/env bash
# Debian's mosquitto: no persistence, queue limits lifted.
cat >"$DATA/mosquitto.conf" <<C
allow_anonymous true
listener $PORT 127.0.0.1
listener $TLSPORT 127.0.0.1
certfile $CERTS/cert.pem
keyfile $CERTS/key.pem
log_type error
persistence false
max_queued_messages 0
max_inflight_messages 20
sys_interval 0
set_tcp_nodelay true
C
[ "$(id -u)" -ne 0 ] || echo "user root" >>"$DATA/mosquitto.conf"
[ -z "${UPSTREAM:-}" ] || cat >>"$DATA/mosquitto.conf" <<C
connection up
address $UPSTREAM
topic drain/# out 1
cleansession false
notifications false
try_private false
restart_timeout 1
C
exec mosquitto -c "$DATA/mosquitto.conf"
