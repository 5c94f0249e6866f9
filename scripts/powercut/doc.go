// Powercut runs dunlin under MQTT load in an emulated machine whose disk writes
// are recorded, and cuts the power at many points of that record.
//
//	powercut [-states N] [-seconds N] [-seed N] [-keep DIR] [-bad] -dunlin FILE -offline FILE -guest FILE -kernel DIR
//
// QEMU's driver blklogwrites notes each write and flush of the disk. A cut at
// one of them leaves what was written before the last flush, and of what came
// later nothing, some of the first, or any of it, torn at sectors. Each such
// disk is repaired as a start would (e2fsck), its files are taken out (debugfs),
// and dunlin's own tools say what is there: dunlin store check and export. No
// root and no loop device are needed.
//
// What must be there is in the record as well: the machine stamps what was
// acknowledged behind the file system (package oracle). Of the durability class
// always all of it must be there, of interval all but a suffix that is not older
// than the interval and the time of a sync; and nothing that was never sent, in
// another order, or twice.
//
// FILEs are dunlin and scripts/powercut/guest for the machine, and dunlin for
// this one. The seeds of a run and the record (-keep) make it again.
//
// With -bad dunlin has a bug of scripts/mutants/crash.txt, and the run must find
// harm: so it is known that it can.
package main
