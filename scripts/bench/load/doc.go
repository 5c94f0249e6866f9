// Package load drives an MQTT server over the loopback interface and measures
// its process through /proc: CPU time, memory, context switches. Linux only.
//
// The codec (codec.go) is its own and not the product's, so that mistakes of
// the server and of what measures it cannot cancel out.
//
// Throughput (flow.go) is a closed loop: publishers run ahead of their
// subscribers by at most Config.Window messages, and with QoS 1 and 2 by at
// most Config.InFlight messages without acknowledgement. A server sees bursts
// of tens of messages per read. The other regime, one message at a time, is in
// latency.go.
//
// Every message carries the number of its publisher and a sequence number, and
// subscribers tick each one off (tracker): what is lost, doubled or late is
// counted, never estimated. A loss is not hidden by the closed loop: after
// Config.Stall without progress the credit is given back and the message stays
// lost.
package load
