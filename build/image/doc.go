// Image builds the flashable card image of dunlin, without root and without
// loop devices, the same bytes from the same commit:
//
//	cd build/image && go run . -board rpi|pizero [-out DIR]
//
// It writes dunlin-VERSION-BOARD.img, the same compressed (.img.xz), and the
// partition of one slot, which is what an update carries.
//
// The card of a Raspberry Pi (package slots has the layout): a selector that
// the user sees as the drive DUNLIN, two slots with firmware, kernel and an
// initramfs, and /data. The initramfs holds two programs, init (build/image/init, the
// first process) and dunlin, and certificates; there is no shell and no
// other userland. Kernel and firmware are files of Go modules that go.mod
// pins and go.sum checks: none of them is kept here.
//
//	slots     the card's layout, the selector, writing the idle slot
//	update    signed update files, their trial, and the socket of "dunlin update"
//	network   links, DHCP, NTP, mDNS and Wi-Fi
//	init      the first process: mounts, /data, the user's files, dunlin, watchdog
//	emulator  boots a card in QEMU, for tests
package main
