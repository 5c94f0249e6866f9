package main

import (
	"io"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// span words a time in seconds for people: "6 d 4 h", "4 min", "12 s"; "never"
// for a negative one.
func span(seconds float64) string {
	d := time.Duration(seconds * float64(time.Second))
	switch {
	case d < 0:
		return "never"
	case d < time.Second:
		return strconv.Itoa(int(d.Milliseconds())) + " ms"
	case d < time.Minute:
		return strconv.Itoa(int(d.Seconds())) + " s"
	case d < time.Hour:
		return strconv.Itoa(int(d.Minutes())) + " min"
	case d < 24*time.Hour:
		return strconv.Itoa(int(d.Hours())) + " h " + strconv.Itoa(int(d.Minutes())%60) + " min"
	}
	return strconv.Itoa(int(d.Hours()/24)) + " d " + strconv.Itoa(int(d.Hours())%24) + " h"
}

// size words bytes: "0 B", "512 B", "1.1 MB".
func size(n int64) string {
	v, units := float64(n), []string{" B", " kB", " MB", " GB", " TB"}
	for v >= 999.5 && len(units) > 1 {
		v, units = v/1000, units[1:]
	}
	if units[0] == " B" || v >= 99.95 {
		return strconv.Itoa(int(v+0.5)) + units[0]
	}
	return strconv.FormatFloat(v, 'f', 1, 64) + units[0]
}

// count writes a number with its thousands apart: "3,214".
func count[N int | uint64](n N) string {
	text := strconv.FormatInt(int64(n), 10)
	for i := len(text) - 3; i > 0 && text[i-1] != '-'; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// messages counts them: "1 message", "3,214 messages".
func messages[N int | uint64](n N) string {
	if n == 1 {
		return "1 message"
	}
	return count(n) + " messages"
}

// rate writes a number a second: "12.4/s".
func rate(v float64) string { return strconv.FormatFloat(v, 'f', 1, 64) + "/s" }

// writeTable writes rows in columns as wide as they need; the last has no end.
func writeTable(w io.Writer, rows [][]string) error {
	var widths []int
	for _, row := range rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	text := ""
	for _, row := range rows {
		line := ""
		for i, cell := range row {
			line += cell + strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)+2)
		}
		text += strings.TrimRight(line, " ") + "\n"
	}
	_, err := io.WriteString(w, text)
	return err
}
