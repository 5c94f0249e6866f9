// Updatetest updates the very card that users flash, on QEMU's raspi3b: a good
// update that stays, a broken one that does not, and the power cut in the
// middle of one.
//
//	updatetest [-images DIR] [-cuts 200] [-boots 3] [-network]
//
// It stands in for the firmware: it reads autoboot.txt for the slot to start,
// and honours "0 tryboot", which QEMU's model of the mailbox logs.
//
// The updates are written by the guest's own code, on this machine while the
// board is off: to send one over QEMU's network takes minutes. With -network
// they are sent to the guest, which writes them.
//
// The first update is recorded write by write, and so is its trial in the
// guest (QEMU's blklogwrites). Each cut is the card after so many of these writes: QEMU's SD
// card has no cache that could lose or reorder them, that is for the tests of
// package slots. Each such card must have a selector that names a whole slot,
// and a second slot that is whole or blank; some are booted.
package main
