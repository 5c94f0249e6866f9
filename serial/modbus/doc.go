// Package modbus is a master on a Modbus line: RTU frames over a serial port,
// or MBAP frames over TCP.
//
//	Read, Write, Mask -> ask (back-off, one slot) -> rtu.go or tcp.go -> Conn
//	                     pdu.go: requests, and which bytes can answer them
//	Plan merges what is to be read into few requests; Format makes values of
//	registers, and registers of values.
//
// # No value under a wrong name
//
// An RTU answer does not say which request it belongs to. A master that gives
// up waiting and asks for something else takes the late answer for the new
// one, and is one behind from then on. So a unit that owes an answer is not
// asked for anything for Options.Recovery; what arrives meanwhile is thrown
// away. And a read whose answer would look like the one owed is made only when
// one of another shape was answered first (resync.go), so that no lateness
// makes a wrong value. An answer counts only with the unit, the
// function and the length that the request asks for, and a valid checksum;
// whatever else arrives, an echo, noise, another unit's late answer, is
// searched for the right one until the time is up. Over TCP the transaction
// identifier says what belongs together.
//
// # One bad unit harms no other
//
// Requests of all units share the line, one at a time. A unit that stays
// silent costs the others one Options.Timeout, and after its second silence in
// a row it is asked only after a pause that doubles up to ten seconds; until
// then requests to it fail at once.
//
// # What it refuses to do
//
// It repeats no request: whether a write may be repeated, its caller knows. It
// sends no broadcasts, speaks no ASCII frames, starts no goroutine, and reopens
// a lost line only when the next request is made.
//
// # Locks
//
// Master.slot is a lock of one slot, held while a request is on its way; it
// guards the units and the state of the line. Master.open guards the
// connection for Close, which may come at any time, and is held for no I/O.
package modbus
