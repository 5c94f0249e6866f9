// Package packet turns bytes into MQTT control packets and back, for MQTT
// 3.1, 3.1.1 and 5.0 and for both ends of a connection.
//
// Frame finds the end of the first packet in a buffer, Decode reads it into a
// View, Append and AppendPublish write one. Nothing here does I/O, holds state
// between packets, or knows what a session may do: whether a packet is allowed
// now, from this peer, is decided above (FromClient helps). The words of the
// packets are package mqtt's; a Topic Filter is checked for well-formed UTF-8
// here and for its wildcards in package topic.
//
// Decode is strict: what the standard calls malformed or a protocol error is an
// *mqtt.Error with the Reason Code to send and the statement broken. Statement
// numbers are those of MQTT 5.0, "MQTT311-" marks one of 3.1.1; where the
// standard gives no number, the section is named ("MQTT-3.3.2.1").
//
// A View borrows the buffer and is reused: decoding and encoding a PUBLISH
// allocates nothing. Message and Will make owned copies of what is kept.
//
// Locks: none.
package packet
