// Command thermometer is an example of an MQTT client on a serial line: it
// publishes a temperature through a gateway at the other end of a UART, with
// QoS 1, a will and a session that survives whatever happens to the line.
//
//	thermometer /dev/ttyAMA0
//
// It shows serial.Dial; any MQTT client that takes a net.Conn can do the same.
// One goroutine, no locks.
package main
