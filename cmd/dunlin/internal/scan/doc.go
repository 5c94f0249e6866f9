// Package scan looks for hardware that dunlin can read, and writes what it
// finds as text and as a configuration.
//
// It only reads. Asking an I2C chip for a register means to send the number of
// the register first; where a chip might take that for an order (expanders at
// relays, displays, memories, multiplexers) nothing is sent, and the report
// says so. Chips that the kernel or the running gateway use are not touched.
// SPI chips, GPIO lines and serial ports are listed, not spoken to; a Modbus
// line is asked on request.
//
// It refuses to guess: what cannot be told apart is in the configuration as a
// comment.
package scan
