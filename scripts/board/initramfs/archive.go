package initramfs

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"os"
)

// Archive is in cpio's "newc" format. Everything in it belongs to root and
// has no date: the same content is the same bytes.
type Archive struct {
	b     bytes.Buffer
	inode int
}

func (a *Archive) add(name string, mode int, content []byte) {
	a.inode++
	fmt.Fprintf(&a.b, "070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X", a.inode, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name)+1, 0)
	a.b.WriteString(name + "\x00")
	a.pad()
	a.b.Write(content)
	a.pad()
}

func (a *Archive) pad() { a.b.Write(make([]byte, -a.b.Len()&3)) }

// Dir adds a directory, which must come before what is in it.
func (a *Archive) Dir(name string) { a.add(name, 0o40755, nil) }

// File adds a file that everybody may read and run.
func (a *Archive) File(name string, content []byte) { a.add(name, 0o100755, content) }

// Link adds a symbolic link.
func (a *Archive) Link(name, target string) { a.add(name, 0o120777, []byte(target)) }

// Pack ends the archive and compresses it.
func (a *Archive) Pack(w io.Writer, level int) error {
	a.add("TRAILER!!!", 0, nil)
	z, err := gzip.NewWriterLevel(w, level)
	if err != nil {
		return err
	}
	if _, err := z.Write(a.b.Bytes()); err != nil {
		return err
	}
	return z.Close()
}

// Write compresses the archive into a file, quickly.
func (a *Archive) Write(name string) error {
	var out bytes.Buffer
	if err := a.Pack(&out, gzip.BestSpeed); err != nil {
		return err
	}
	return os.WriteFile(name, out.Bytes(), 0o644)
}
