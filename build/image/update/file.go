package update

import (
	"bufio"
	"compress/gzip"
	"fmt"
	"io"

	"github.com/dunlin-mqtt/dunlin/build/image/slots"
)

// File is an update whose signature was found to be good.
type File struct {
	*slots.Manifest
	Contents io.Reader // unpacked, and not checked yet: slots.Card.Write does
}

// Read reads the signature and the manifest of an update, and refuses one that
// none of the keys signed.
func Read(r io.Reader, keys []PublicKey) (*File, error) {
	in := bufio.NewReaderSize(r, 64<<10)
	signature, err := readSignature(in)
	if err != nil {
		return nil, err
	}
	m, text, err := slots.ReadManifest(in)
	if err != nil {
		return nil, err
	}
	if err := signature.Verify(keys, text); err != nil {
		return nil, err
	}
	return &File{m, &unpacked{in: in}}, nil
}

// unpacked begins to unpack with the first Read: an error of the contents is
// one of the contents.
type unpacked struct {
	in io.Reader
	z  *gzip.Reader
}

func (u *unpacked) Read(p []byte) (n int, err error) {
	if u.z == nil {
		if u.z, err = gzip.NewReader(u.in); err != nil {
			return 0, fmt.Errorf("unpacking: %w", err)
		}
	}
	n, err = u.z.Read(p)
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		err = fmt.Errorf("unpacking: %w", err)
	}
	return n, err
}

// Make writes an update file: a manifest of contents, signed, and the contents
// packed. The same input makes the same file.
func Make(w io.Writer, m *slots.Manifest, contents io.Reader, key SecretKey) error {
	text := m.Text()
	if _, err := io.WriteString(w, key.Sign(text, "dunlin "+m.Version+" for "+m.Board)); err != nil {
		return err
	}
	if _, err := w.Write(text); err != nil {
		return err
	}
	return Pack(w, contents)
}

// Pack writes contents as an update file has them.
func Pack(w io.Writer, contents io.Reader) error {
	z, err := gzip.NewWriterLevel(w, gzip.BestCompression)
	if err != nil {
		return err
	}
	if _, err := io.Copy(z, contents); err != nil {
		return err
	}
	return z.Close()
}
