// Bench compares MQTT servers on this machine: dunlin as it is in this
// checkout, Debian's mosquitto, mochi-mqtt (mochi/), and whatever a start
// command starts. Linux only.
//
//	go run . [-rounds 5] [-scale 1] [-brokers "dunlin mosquitto"] [-broker 'name=command'] [scenario ...]
//
// Runs are interleaved: each round takes one scenario after the other, and for
// each scenario one server after the other, every time as a fresh process with
// an empty folder. What a machine does beside the benchmark hits all of them
// alike, so ratios of the same round are compared and wall-clock rates are not.
//
// A start command finds PORT, TLSPORT, DATA (an empty folder) and CERTS
// (cert.pem, key.pem) in its environment, and must become the server by exec:
// its process is what is measured.
//
// The scenarios and what dunlin has to reach are data: scenarios.go, limits.go.
// A message that is lost, doubled or out of order is a failure, and so is a
// limit that is not met; -judge=false drops the limits, which mean nothing when
// -scale is far from 1. How the load is made: load/doc.go.
package main
