// Package bus opens the real buses, lines and ports of a machine for drivers:
// it is the sensors.Buses of production.
//
// I2C buses and SPI chip selects are opened once and shared. A transfer on them
// is bounded although the kernel's interface has no time-out: every bus has one
// goroutine that carries out one transfer at a time; whoever waits longer than the
// bound gives up with reason hung, and until that transfer returns the bus
// refuses every other one, so a stuck adapter costs one goroutine and never
// mixes two transfers. GPIO lines and serial ports belong to one driver each.
//
// A Modbus line is opened by its first request and shared; its master makes one
// request at a time and bounds each.
//
// Errors leave here as *sensors.Fault with a reason; what the kernel's error
// numbers mean is said once ([ErrNoDevice] and its neighbors).
//
// Trace shows a person every transfer, and what drivers read and write of lines,
// files of the kernel and programs; GPIO describes lines without taking
// one. Record writes every transfer to a file, and Replay plays such a file in
// place of the hardware: drivers cannot tell. A port that is played has two
// goroutines, which its Close waits for.
//
// It refuses to map a board's memory, to open what nobody configured, and to
// address lines by the kernel's global numbers, which change between kernels.
//
// Locks: Buses.mu guards the table of open buses and is never held during a
// transfer; opening a bus is done under it, so that a bus is opened once. A
// recording has one slot for whoever writes to it or takes from it.
package bus
