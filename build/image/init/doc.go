// Init is the first process of dunlin's image, and all of its userland beside
// dunlin itself. It refuses to run as another process: it mounts, sets the
// network up and restarts the machine.
//
// The order (main.go): the kernel's file systems, /data (grown at the first
// boot, in memory if the card gives none), the host name, the user's files
// from the drive DUNLIN (the card's first partition), then side by side what
// parts.go lists: device permissions, the network, the socket for updates,
// dunlin. A part that fails is said aloud and started again; only the end of
// init itself ends the machine.
//
// Everything said goes to the kernel's console and, with dunlin's own log, to
// a ring in memory (log.go). Nothing but init runs as root.
//
// What the kernel's command line may say:
//
//	dunlin.slot=2|3      the slot that runs; tests pass it in the firmware's place
//	dunlin.watchdog=off  never opens the hardware watchdog (QEMU's resets at once)
//
// Places: /boot/card the drive DUNLIN (mounted only while it is read or
// written), /data/etc configuration and users, /data/dunlin dunlin's data,
// /data/init what init itself keeps, /run/dunlin sockets.
package main
