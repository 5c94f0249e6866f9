// Board runs dunlin's own ARMv7 program on boards that QEMU emulates, with
// Debian's kernel, and plays the world around them: temperatures, inputs,
// cables. What dunlin makes of it is read where a user would read it, at a
// broker that its bridge goes to.
//
//	board [-kernel DIR] [-dunlin FILE] [-guest FILE] [BOARD...]
//
// DIR is an unpacked linux-image package of Debian with a file "version".
// Boards: ast2600 (I2C, hwmon, IIO, GPIO, USB serial gadget), virt (USB serial
// converter), sabrelite (i.MX6: I2C, GPIO, UART, network cable, power cut,
// watchdog).
package main
