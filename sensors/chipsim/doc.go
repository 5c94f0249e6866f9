// Package chipsim models sensor chips at the level of their registers, behind
// periph's i2c.Bus: what a driver writes and reads is what it would write and
// read on a wire, power-on values, conversion times and resets included.
//
// The models take physical values ([BME280.Set]) and invert the data sheet's
// floating-point formulas numerically, so they share no code with a driver and
// can prove its arithmetic. [Bus] injects the faults of real wires: an absent
// chip, a time-out, a transfer that hangs, a line that reads all ones.
//
// It refuses to time anything itself: models are given the moment of each
// transfer, which inside a testing/synctest bubble is the bubble's clock.
//
// Locks: Bus has one mutex over its table and each chip one over its
// registers; Bus's is released before a fault or a chip is called.
package chipsim
