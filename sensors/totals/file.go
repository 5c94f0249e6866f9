package totals

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

const header = "dunlin totals 1\n"

// encode writes the file's content.
func encode(totals map[string]float64) []byte {
	b := []byte(header)
	for _, key := range slices.Sorted(maps.Keys(totals)) {
		b = strconv.AppendQuote(b, key)
		b = append(b, ' ')
		b = strconv.AppendFloat(b, totals[key], 'g', -1, 64)
		b = append(b, '\n')
	}
	return fmt.Appendf(b, "crc32 %08x\n", crc32.ChecksumIEEE(b))
}

var errFormat = errors.New("not a file of totals, or a damaged one")

// decode reads the file's content.
func decode(text string) (map[string]float64, error) {
	at := strings.LastIndex(text, "crc32 ")
	if at < 0 || !strings.HasPrefix(text, header) || text[at:] != fmt.Sprintf("crc32 %08x\n", crc32.ChecksumIEEE([]byte(text[:at]))) {
		return nil, errFormat
	}
	totals := map[string]float64{}
	for line := range strings.Lines(text[len(header):at]) {
		quoted, err := strconv.QuotedPrefix(line)
		if err != nil {
			return nil, errFormat
		}
		key, err := strconv.Unquote(quoted)
		if err != nil {
			return nil, errFormat
		}
		v, err := strconv.ParseFloat(strings.TrimSpace(line[len(quoted):]), 64)
		if err != nil {
			return nil, errFormat
		}
		totals[key] = v
	}
	return totals, nil
}

// read returns what the file holds, nil when there is none. A damaged file
// keeps its content under another name.
func read(file string) (map[string]float64, error) {
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	totals, err := decode(string(text))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", file, err), os.Rename(file, file+".bad"))
	}
	return totals, nil
}

// write puts a new file in the place of the old.
func write(file string, totals map[string]float64) error {
	f, err := os.OpenFile(file+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(encode(totals))
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(file+".new", file); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(file))
	if err != nil {
		return err
	}
	defer dir.Close() // nothing was written through it
	return dir.Sync()
}
