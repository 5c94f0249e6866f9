package serial_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"strings"
	"time"

	"github.com/dunlin-mqtt/dunlin/serial"
)

// A loop that survives unplugging: the board is found again wherever it is
// plugged in.
func Example() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
	defer cancel()
	c := serial.DefaultConfig()
	c.USB = serial.USBID{VID: "2341", PID: "0043"}
	c.Baud = 115200
	for serial.WaitFor(ctx, c) == nil {
		if err := read(ctx, c); !errors.Is(err, serial.ErrUnplugged) {
			log.Print(err)
			return
		}
	}
}

func read(ctx context.Context, c serial.Config) error {
	p, err := serial.Open(c)
	if err != nil {
		return err
	}
	defer p.Close()
	lines := serial.NewLines(p, serial.LineOptions{Resync: true})
	for {
		line, err := lines.Next(ctx)
		if err != nil {
			return err
		}
		log.Printf("%s", line)
	}
}

// recorded is a stream from a file: it has no deadlines.
type recorded struct{ io.Reader }

func (recorded) SetReadDeadline(time.Time) error { return nil }

func ExampleLines() {
	stream := "3.5 C\r\n24.0 C\r\n24\x00.1 C\r\n24.2 C\r\n"
	lines := serial.NewLines(recorded{strings.NewReader(stream)}, serial.LineOptions{Resync: true})
	for {
		line, err := lines.NextBefore(time.Time{})
		if err != nil {
			break
		}
		fmt.Printf("%s\n", line)
	}
	s := lines.Stats()
	fmt.Println(s.Partial, "without beginning,", s.Garbage, "garbled")
	// Output:
	// 24.0 C
	// 24.2 C
	// 1 without beginning, 1 garbled
}
