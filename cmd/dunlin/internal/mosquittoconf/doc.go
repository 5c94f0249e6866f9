// Package mosquittoconf turns a mosquitto.conf into a configuration of dunlin, with
// a note for every line that has no equal.
//
// Source: mosquitto.conf(5) of mosquitto 2.0.
package mosquittoconf
