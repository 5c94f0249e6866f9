// Package serialtest gives tests serial devices without hardware: pseudo
// terminals that can be unplugged and plugged back in (Pty, and Port for programs
// that are no test, on Linux), and directory trees that look like sysfs with USB
// adapters (NewTree).
//
// A pseudo terminal has no wire: no modem lines, no parity, no speed, and
// output that nobody reads stays in a buffer of a few KiB. What it has of a
// real port is what matters to a program's control flow: partial reads, writes
// that block, hangup, the node that vanishes and comes back under another
// number.
//
// It moves no bytes on its own and starts no goroutine. A Port's methods may
// be called from several goroutines; its lock is held while a pseudo terminal
// is made or closed, never during Read or Write.
package serialtest
