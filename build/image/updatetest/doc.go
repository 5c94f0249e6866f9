// Updatetest updates the very card that users flash, on QEMU's raspi3b: a good
// update that stays, a broken one that does not, and the power cut in the
// middle of one.
//
//	updatetest [-images DIR] [-cuts 200] [-boots 3] [-network]
//
// It stands in for the firmware: it reads autoboot.txt for the slot to start,
// and honours "0 tryboot", which QEMU's model of the mailbox logs.
//
// A small update with nothing to start is sent to the guest, which writes it.
// The large ones are written by the guest's own code, on this machine while
// the board is off: QEMU's USB takes four minutes for one. With -network they
// are sent too.
//
// The first update is recorded write by write, and so is what the guest writes
// from its trial on (QEMU's blklogwrites). Each cut is the card after so many of these writes: QEMU's SD
// card has no cache that could lose or reorder them, that is for the tests of
// package slots. Each such card must have a selector that names a whole slot,
// and a second slot that is whole or blank; some are booted.
package main
