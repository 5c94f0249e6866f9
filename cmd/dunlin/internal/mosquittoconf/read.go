package mosquittoconf

import (
	"fmt"
	"os"
	"path/filepath"
)

// Read reads a mosquitto.conf and the files of its include_dir, in the order
// in which mosquitto does.
func Read(file string) (lines []Line, err error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	for _, l := range parse(file, string(text)) {
		if l.Name != "include_dir" || l.Value == "" {
			lines = append(lines, l)
			continue
		}
		more, err := filepath.Glob(filepath.Join(l.Value, "*.conf"))
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", file, l.Number, err)
		}
		if len(more) == 0 {
			lines = append(lines, l)
		}
		for _, name := range more {
			text, err := os.ReadFile(name)
			if err != nil {
				return nil, err
			}
			lines = append(lines, parse(name, string(text))...)
		}
	}
	return lines, nil
}
