#!/usr/bin/env bash
# mochi-mqtt v2.7.9, everybody welcome, no storage.
exec "$MOCHI" -tcp "127.0.0.1:$PORT" -tls "127.0.0.1:$TLSPORT" -cert "$CERTS/cert.pem" -key "$CERTS/key.pem"
