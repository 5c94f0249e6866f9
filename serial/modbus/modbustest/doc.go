// Package modbustest gives tests Modbus units without hardware: a dumb model of
// their registers behind RTU frames on any stream (the far end of a pseudo
// terminal) or MBAP frames on a connection. It shares no code with the master
// that it tests.
//
// Twist lets a unit answer late, damaged, twice or not at all.
//
// Locks: Units.mu guards the registers and is held for no I/O. The goroutines
// are the caller's: Serve functions return when their stream ends.
package modbustest
