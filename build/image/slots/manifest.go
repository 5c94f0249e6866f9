package slots

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// Chunk is how much of a slot one sum of a Manifest covers, in bytes.
const Chunk = 1 << 20

// MaxManifest is how long the text of a Manifest may be, in bytes.
const MaxManifest = SealBytes

// manifestName is a manifest's first line: what it is, and its version.
const manifestName = "dunlin-update 1"

// Manifest says what a slot must hold. Its text is what an update's signature
// covers, and what lies sealed at the end of a slot.
type Manifest struct {
	Board   string    // "rpi"
	Version string    // of dunlin
	Date    time.Time // of the commit, whole seconds: newer is larger
	Size    int64     // of the contents, in bytes, a multiple of Sector
	Sums    [][sha256.Size]byte
}

// Describe reads a slot's contents and makes their manifest.
func Describe(contents io.Reader, board, version string, date time.Time) (*Manifest, error) {
	m := &Manifest{Board: board, Version: version, Date: date.UTC().Truncate(time.Second)}
	buf := make([]byte, Chunk)
	for {
		n, err := io.ReadFull(contents, buf)
		if n > 0 {
			m.Size += int64(n)
			m.Sums = append(m.Sums, sha256.Sum256(buf[:n]))
		}
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return m, m.check()
		}
		if err != nil {
			return nil, err
		}
	}
}

// check refuses what no slot can hold, and words that would break the text.
func (m *Manifest) check() error {
	switch {
	case !isWord(m.Board):
		return fmt.Errorf("the board %q is not one word", m.Board)
	case !isWord(m.Version):
		return fmt.Errorf("the version %q is not one word", m.Version)
	case m.Size <= Sector || m.Size%Sector != 0:
		return fmt.Errorf("%d bytes are not whole sectors", m.Size)
	case m.Size > MaxContents:
		return fmt.Errorf("%d bytes are more than the %d of a slot", m.Size, MaxContents)
	case int64(len(m.Sums)) != (m.Size+Chunk-1)/Chunk:
		return fmt.Errorf("%d sums do not cover %d bytes", len(m.Sums), m.Size)
	}
	return nil
}

// isWord reports whether s is 1 to 64 visible ASCII characters.
func isWord(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return s != "" && len(s) <= 64
}

// Text is the manifest as it is signed and sealed.
func (m *Manifest) Text() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s\nboard %s\nversion %s\ndate %s\nsize %d\n",
		manifestName, m.Board, m.Version, m.Date.Format(time.RFC3339), m.Size)
	for _, sum := range m.Sums {
		fmt.Fprintf(&b, "sha256 %x\n", sum)
	}
	b.WriteString("end\n")
	return b.Bytes()
}

// Limits of what one line says, and the end of a text.
var (
	errNoManifest = errors.New("this is not an update file of dunlin")
	errCutShort   = errors.New("the file ends within its description")
)

// ReadManifest reads a manifest and nothing behind it, and returns its text
// too, byte by byte as it was read.
func ReadManifest(r *bufio.Reader) (m *Manifest, text []byte, err error) {
	m = new(Manifest)
	for number := 0; ; number++ {
		line, err := readLine(r, MaxManifest-len(text))
		if err != nil {
			return nil, nil, err
		}
		text = append(append(text, line...), '\n')
		if number == 0 {
			if err := isFirst(line); err != nil {
				return nil, nil, err
			}
			continue
		}
		if line == "end" {
			if err := m.check(); err != nil {
				return nil, nil, err
			}
			if !bytes.Equal(text, m.Text()) { // one text for one manifest: nothing doubled, nothing in another order
				return nil, nil, errors.New("the description is not as dunlin writes it")
			}
			return m, text, nil
		}
		if err := m.set(line); err != nil {
			return nil, nil, err
		}
	}
}

func isFirst(line string) error {
	name, _, _ := strings.Cut(manifestName, " ")
	switch got, _, _ := strings.Cut(line, " "); {
	case line == manifestName:
		return nil
	case got == name:
		return fmt.Errorf("the file is %q, this version reads %q", line, manifestName)
	}
	return errNoManifest
}

// readLine reads a line of at most most bytes, without its end.
func readLine(r *bufio.Reader, most int) (string, error) {
	var b []byte
	for {
		c, err := r.ReadByte()
		switch {
		case err == io.EOF:
			return "", errCutShort
		case err != nil:
			return "", err
		case c == '\n':
			return string(b), nil
		case c < ' ' || c > '~' || len(b) == most:
			return "", errNoManifest
		}
		b = append(b, c)
	}
}

func (m *Manifest) set(line string) (err error) {
	key, value, _ := strings.Cut(line, " ")
	switch key {
	case "board":
		m.Board = value
	case "version":
		m.Version = value
	case "date":
		m.Date, err = time.Parse(time.RFC3339, value)
	case "size":
		m.Size, err = strconv.ParseInt(value, 10, 64)
	case "sha256":
		var sum [sha256.Size]byte
		if n, e := hex.Decode(sum[:], []byte(value[:min(len(value), 2*len(sum))])); e != nil || n != len(sum) {
			return fmt.Errorf("the description has a bad sum: %q", value)
		}
		m.Sums = append(m.Sums, sum)
	default:
		return fmt.Errorf("the description says %q, which this version does not know", key)
	}
	if err != nil {
		return fmt.Errorf("the description has a bad %s: %q", key, value)
	}
	return nil
}

// Verify reads what should be the contents, and says where they differ.
func (m *Manifest) Verify(contents io.Reader) error {
	r := m.Reader(contents)
	buf := make([]byte, Chunk)
	for {
		if _, err := r.Read(buf); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// Reader gives contents chunk by chunk, each only when its sum is right. Its
// Read wants room for a Chunk.
func (m *Manifest) Reader(contents io.Reader) io.Reader { return &checked{m: m, r: contents} }

type checked struct {
	m    *Manifest
	r    io.Reader
	next int
}

func (c *checked) Read(p []byte) (int, error) {
	if c.next == len(c.m.Sums) {
		return 0, io.EOF
	}
	p = p[:min(Chunk, c.m.Size-int64(c.next)*Chunk)]
	if n, err := io.ReadFull(c.r, p); err == io.EOF || err == io.ErrUnexpectedEOF {
		return 0, fmt.Errorf("it ends after %d of %d bytes", int64(c.next)*Chunk+int64(n), c.m.Size)
	} else if err != nil {
		return 0, err
	}
	if sha256.Sum256(p) != c.m.Sums[c.next] {
		return 0, fmt.Errorf("the bytes from %d on are not those that were signed", int64(c.next)*Chunk)
	}
	c.next++
	return len(p), nil
}
