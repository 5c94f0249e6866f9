// Package bridgetest runs a real mosquitto or NATS server as the upstream
// server of a test: on a loopback port, with a configuration and a database of
// its own, started, stopped, killed and restarted by the test. It refuses to
// use a server that is already running.
package bridgetest
