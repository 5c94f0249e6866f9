// Package bridgetest runs a real mosquitto as the upstream server of a test:
// on a loopback port, with a configuration and a database of its own, started,
// stopped, killed and restarted by the test. It refuses to use a mosquitto
// that is already running.
package bridgetest
