// Package serial opens serial ports, finds them by what is plugged into USB,
// and cuts what arrives into lines or frames.
//
// # Ports
//
// Open takes a Config, finds the port (Resolve), takes it for this program
// alone and sets it up. On Linux a Port is a tty on Go's netpoller: a blocked
// call costs a goroutine and no thread, ends at its deadline and at Close, and
// no descriptor number is too high. Settings are read back from the driver,
// and one that it refused is an error, not a surprise. Elsewhere a Port is one
// of go.bug.st/serial behind the same interface.
//
// When the device is pulled out, calls fail with ErrUnplugged; the owner
// closes the port, waits with WaitFor and opens again. Nothing here reopens on
// its own, because only the owner knows what the device needs afterwards.
//
// A two-wire line is turned around by its adapter, or by the port's driver
// (Config.RS485); a driver that cannot is an error, since half a line answers
// nothing.
//
// # Identity
//
// Names such as ttyUSB0 go to whoever is plugged in first. A USBID says what
// is meant instead; it is looked up in sysfs, without udev. The enumerator of
// go.bug.st/serial is used off Linux only: on Linux it opens ports to see
// whether they are real, which resets boards, and it knows neither socket nor
// interface.
//
// # Lines
//
// Lines reads from a Port into one buffer of fixed size and returns slices of
// it: bytes move from the kernel into the buffer once, and a line is valid
// until the next call. What is too long, not text, or missed its beginning is
// dropped by rule and counted.
//
// # Frames
//
// Frames does the same for binary frames: a Framing says how they lie in the
// stream, a Check how they are proven. A frame that is damaged costs itself;
// where nothing but a length tells frames apart, the next is looked for byte
// by byte inside of what was none.
//
// # MQTT
//
// Listen makes a port a net.Listener: a microcontroller at the other end is an
// MQTT client, each of whose packets is a frame (FRAMES.md). Its goroutine
// opens the port whenever it is there and reads it; each connection has one
// that writes. Close waits for both. Dial is the client's end.
//
// # Many ports
//
// A Waiter waits for the bytes of all ports that it is given, in one goroutine:
// Await of Lines and Frames has it call when there is a whole piece. It reads
// into the piece's own buffer; Next, Reset and Leave take that back.
//
// # What it refuses to do
//
// It reads no modem status lines. It does not wait for boards to boot:
// Config.Settle is for the caller.
//
// # Locks
//
// A Waiter has one, a leaf, which is held while it reads what has arrived. A port
// has none on Linux: os.File synchronizes its calls, and one atomic flag tells our
// own Close from an unplug. Off Linux each port has one slot for its reader and
// a goroutine for its writer, which Close waits for. A Lines or Frames
// belongs to one goroutine. A connection that Dial returns has one slot for
// its writers and a lock for its read deadline; neither is held with the other.
package serial
