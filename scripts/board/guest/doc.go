// Guest is the first process of an emulated board: it loads the kernel's
// modules, brings the network up, keeps dunlin running, and does to the board
// what the test on the other side of the console asks for.
//
// Lines from the console:
//
//	insmod FILE [PARAMETERS]   rmmod NAME
//	tty PATH                   opens a terminal, raw, and keeps it open
//	send PATH TEXT             writes a line to it
//	close PATH
//	write PATH TEXT            writes to a file of the kernel
//	kill                       ends dunlin as a crash would; it is started again
//	hang                       stops dunlin without ending it
//	watchdog                   arms the board's watchdog; dunlin's signs of life feed it
//	stop                       ends the board's dunlin for good, as systemd would
//
// "data=DEVICE" on the kernel's command line is where dunlin's state is, instead
// of memory.
//
// Each is answered with "guest: ok" or "guest: error: ...".
package main
