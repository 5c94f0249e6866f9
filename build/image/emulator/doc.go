// Package emulator boots a card in QEMU, for tests: the boards raspi3b and
// raspi0, a network by USB, the console as a text.
//
// QEMU has no Raspberry Pi firmware. This package stands in for it: it takes
// kernel, device tree, first file system and command line out of the slot it
// is told, as the firmware would, and tells whether the machine asked for a
// trial of the other slot (Machine.Tryboot). Which slot is next is for the
// caller to read out of the selector.
//
// A machine ends with the test's process, if not before. QEMU's watchdog
// resets at once when it is armed, so that it is never opened here.
package emulator
