// Boottest boots the very card that users flash, on QEMU's boards, and looks
// at it as a user would: through the network, and at the files on the card.
//
//	boottest [-images DIR] [rpi] [pizero]
//
// What it does not cover: the firmware's own stage (config.txt, overlays,
// autoboot.txt), I2C and SPI, Wi-Fi, the hardware watchdog.
package main
