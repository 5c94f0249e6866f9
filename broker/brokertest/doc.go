// Package brokertest runs a broker.Broker for tests.
//
// New starts one on a listener in memory and checks at the end of the test
// that its accounts are right and that nothing of it is left running. Client
// speaks MQTT in packets, so that a test can also say what no library would.
// RunScript plays a wire script: lines of what clients send, must receive, and
// how much time passes. Scripts are in broker/testdata/wire.
//
// It is for tests only and fails them; it returns no errors.
//
// Locks: Client.inbox, a leaf.
package brokertest
