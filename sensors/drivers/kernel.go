package drivers

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/dunlin-mqtt/dunlin/sensors"
)

// kernel reads the text files of /proc and /sys below a root directory.
type kernel struct {
	root  string
	trace sensors.Tracer // nil: nobody wants to know
}

func kernelOf(b sensors.Buses) kernel { return kernel{b.Root(), tracerOf(b)} }

// tracerOf is who is told of what drivers do past Buses; nil: nobody.
func tracerOf(b sensors.Buses) sensors.Tracer {
	if t, ok := b.(sensors.Tracing); ok {
		return t.Texts()
	}
	return nil
}

func (k kernel) path(name string) string { return filepath.Join(k.root, name) }

// glob returns the names below the root that match, sorted; none is no error.
func (k kernel) glob(pattern string) []string {
	found, err := filepath.Glob(k.path(pattern))
	if err != nil {
		return nil // a bad pattern matches nothing; options are checked before
	}
	for i, f := range found {
		if rel, err := filepath.Rel(k.root, f); err == nil {
			found[i] = "/" + rel
		}
	}
	return found
}

// text returns a file's trimmed content. Errors are *sensors.Fault.
func (k kernel) text(name string) (string, error) {
	t, err := readText(k.path(name))
	if k.trace != nil {
		k.trace(k.path(name), nil, []byte(t), err)
	}
	return strings.TrimSpace(t), err
}

func readText(file string) (string, error) {
	// Not os.ReadFile: attributes of sysfs claim a page of which they fill a line,
	// and a file of the kernel is read too often to make an os.File of it.
	fd, err := syscall.Open(file, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return "", kernelFault(&fs.PathError{Op: "open", Path: file, Err: err})
	}
	defer syscall.Close(fd) // nothing was written
	var part [512]byte
	var long []byte // what came before part
	for n := 0; ; {
		more, err := syscall.Read(fd, part[n:])
		switch {
		case err == syscall.EINTR:
		case err != nil:
			return "", kernelFault(&fs.PathError{Op: "read", Path: file, Err: err})
		case more == 0 && long == nil:
			return string(part[:n]), nil
		case more == 0:
			return string(append(long, part[:n]...)), nil
		default:
			if n += more; n == len(part) {
				long, n = append(long, part[:]...), 0
			}
		}
	}
}

// number returns the number that a sysfs attribute holds.
func (k kernel) number(name string) (float64, error) {
	t, err := k.text(name)
	if err != nil {
		return 0, err
	}
	v, err := strconv.ParseFloat(t, 64)
	if err != nil || math.IsNaN(v) || math.IsInf(v, 0) {
		return 0, &sensors.Fault{Reason: sensors.Parse, Err: fmt.Errorf("%s: %.40q is not a number", name, t)}
	}
	return v, nil
}

// write sets an attribute. Errors are *sensors.Fault.
func (k kernel) write(name, text string) error {
	err := writeText(k.path(name), text)
	if k.trace != nil {
		k.trace(k.path(name), []byte(text), nil, err)
	}
	return err
}

func writeText(file, text string) error {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		return kernelFault(err)
	}
	_, err = f.WriteString(text)
	if err = errors.Join(err, f.Close()); err != nil {
		return kernelFault(fmt.Errorf("write %q: %w", text, err))
	}
	return nil
}

// exists reports whether there is such a file or directory.
func (k kernel) exists(name string) bool {
	_, err := os.Stat(k.path(name))
	return err == nil
}

// target returns where a symbolic link leads, "" when it is none.
func (k kernel) target(name string) string {
	to, err := filepath.EvalSymlinks(k.path(name))
	if err != nil {
		return ""
	}
	return to
}

// kernelFault finds the reason in what the kernel answered.
func kernelFault(err error) error {
	r := sensors.IO
	switch {
	case errors.Is(err, fs.ErrNotExist):
		r = sensors.NotFound
	case errors.Is(err, fs.ErrPermission):
		r = sensors.Permission
	case errors.Is(err, syscall.ENODEV), errors.Is(err, syscall.ENXIO):
		r = sensors.Unplugged
	case errors.Is(err, syscall.ETIMEDOUT):
		r = sensors.Timeout
	case errors.Is(err, syscall.ENODATA), errors.Is(err, syscall.EAGAIN):
		r = sensors.NoData
	case errors.Is(err, syscall.EBUSY):
		r = sensors.Busy
	case errors.Is(err, context.DeadlineExceeded):
		r = sensors.Timeout
	}
	return &sensors.Fault{Reason: r, Err: err}
}

// matches reports whether name fits one of the glob patterns.
func matches(patterns []string, name string) bool {
	for _, p := range patterns {
		if ok, err := filepath.Match(p, name); ok && err == nil {
			return true
		}
	}
	return false
}

// checkPatterns reports glob patterns that cannot be read.
func checkPatterns(key string, patterns []string, report func(path, msg string)) {
	for i, p := range patterns {
		if _, err := filepath.Match(p, ""); err != nil {
			report(fmt.Sprintf("%s[%d]", key, i), fmt.Sprintf("%q is no pattern as eth*", p))
		}
	}
}
