package config

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Never is a Duration that does not end: session_expiry_max: never.
const Never = time.Duration(math.MaxInt64)

// Size is a number of bytes: 512B, 64KiB, 1MiB, 2GiB. In memory, 0 is auto.
type Size int64

// Int returns the size as an int, which on many boards has 32 bits: at most half
// of the largest, so that two can be added.
func (s Size) Int() int { return int(min(s, math.MaxInt/2)) }

// Rate is a number of things a time: 100/s, 0/s. Zero is no limit.
type Rate struct {
	Count int64
	Per   time.Duration
}

// PerSecond returns the rate a second; 0 is no limit.
func (r Rate) PerSecond() float64 { return perSecond(r.Count, r.Per) }

// ByteRate is a number of bytes a time: 32KiB/s, 1GiB/day. Zero is no limit.
type ByteRate struct {
	Size Size
	Per  time.Duration
}

// PerSecond returns the rate in bytes a second; 0 is no limit.
func (r ByteRate) PerSecond() float64 { return perSecond(int64(r.Size), r.Per) }

func perSecond(n int64, per time.Duration) float64 {
	if n == 0 || per == 0 {
		return 0
	}
	return float64(n) / per.Seconds()
}

// written writes a value as the configuration has it: 14d, 256MiB, 100/s.
func written(v any) string {
	switch v := v.(type) {
	case time.Duration:
		return writtenTime(v)
	case Size:
		units := "B  KiBMiBGiB"
		for ; v != 0 && v%1024 == 0 && len(units) > 3; v /= 1024 {
			units = units[3:]
		}
		return strconv.FormatInt(int64(v), 10) + strings.TrimSpace(units[:3])
	case Rate:
		return strconv.FormatInt(v.Count, 10) + "/" + strings.TrimLeft(writtenTime(v.Per), "1")
	case ByteRate:
		return written(v.Size) + "/" + strings.TrimLeft(writtenTime(v.Per), "1")
	}
	return fmt.Sprint(v)
}

// writtenTime leaves out what is 0 in 1h0m0s, and knows days.
func writtenTime(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d == Never:
		return "never"
	case d != 0 && d%day == 0:
		return strconv.Itoa(int(d/day)) + "d"
	}
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = text[:len(text)-2]
	}
	if strings.HasSuffix(text, "h0m") {
		text = text[:len(text)-2]
	}
	return text
}

// unitError is why a text is no duration, size or rate, with a cure.
type unitError struct {
	msg  string // after the key's name: "needs a unit"
	hint string
}

func (e *unitError) Error() string { return e.msg }

var (
	errDuration = errors.New("a duration such as 500ms, 30s, 10m, 24h or 7d")
	errSize     = errors.New("a size such as 512KiB, 64MiB or 1GiB")
)

// timeUnit returns how long a unit is, 0 for a unit that does not exist.
func timeUnit(unit string) time.Duration {
	switch unit {
	case "us":
		return time.Microsecond
	case "ms":
		return time.Millisecond
	case "s":
		return time.Second
	case "m", "min":
		return time.Minute
	case "h":
		return time.Hour
	case "d", "day":
		return 24 * time.Hour
	case "w":
		return 7 * 24 * time.Hour
	}
	return 0
}

// shortTimeUnit returns the unit that a longer word stands for, "" for none.
func shortTimeUnit(word string) string {
	switch word = strings.TrimSuffix(strings.ToLower(word), "s"); word {
	case "sec", "second", "":
		return "s"
	case "minute", "min":
		return "m"
	case "hr", "hour", "h":
		return "h"
	case "day", "d":
		return "d"
	case "week", "w":
		return "w"
	case "msec", "milli", "m":
		return "ms"
	}
	return ""
}

// leadingNumber is the number that s begins with: digits, and a point with
// digits after it.
func leadingNumber(s string) string {
	digits := func(from int) int {
		for from < len(s) && s[from] >= '0' && s[from] <= '9' {
			from++
		}
		return from
	}
	n := digits(0)
	if n > 0 && n < len(s) && s[n] == '.' {
		if f := digits(n + 1); f > n+1 {
			n = f
		}
	}
	return s[:n]
}

// ParseDuration reads 30s, 1h30m, 7d, as the configuration does; 0 needs no
// unit.
func ParseDuration(s string) (time.Duration, error) { return parseDuration(s) }

// parseDuration reads 30s, 1h30m, 7d; 0 needs no unit.
func parseDuration(s string) (time.Duration, error) {
	if s == "0" {
		return 0, nil
	}
	var total float64
	for rest := s; rest != ""; {
		digits := leadingNumber(rest)
		if digits == "" {
			return 0, &unitError{msg: "must be " + errDuration.Error() + ", not " + strconv.Quote(shorten(s))}
		}
		rest = rest[len(digits):]
		unit := rest[:len(rest)-len(strings.TrimLeft(rest, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"))]
		rest = rest[len(unit):]
		if unit == "" && rest == "" {
			e := &unitError{msg: "needs a unit"}
			if _, err := ParseDuration(s + "s"); err == nil {
				e.hint = "did you mean " + s + "s?"
			}
			return 0, e
		}
		per := timeUnit(unit)
		if per == 0 {
			e := &unitError{msg: "must be " + errDuration.Error() + ", not " + strconv.Quote(shorten(s))}
			if short := shortTimeUnit(unit); unit != "" && short != "" {
				e.hint = "did you mean " + strings.Replace(s, unit, short, 1) + "?"
			}
			return 0, e
		}
		n, _ := strconv.ParseFloat(digits, 64)
		total += n * float64(per)
	}
	if s == "" || total >= math.MaxInt64 {
		return 0, &unitError{msg: "must be " + errDuration.Error() + ", not " + strconv.Quote(shorten(s))}
	}
	return time.Duration(math.Round(total)), nil
}

// sizeUnit returns the bytes of a unit, 0 for a unit that does not exist.
func sizeUnit(unit string) float64 {
	switch unit {
	case "B":
		return 1
	case "KiB":
		return 1 << 10
	case "MiB":
		return 1 << 20
	case "GiB":
		return 1 << 30
	case "TiB":
		return 1 << 40
	}
	return 0
}

// nearSizeUnit returns the unit that was most likely meant, "" for none.
func nearSizeUnit(unit string) string {
	switch strings.ToLower(unit) {
	case "b", "byte", "bytes":
		return "B"
	case "k", "kb", "ki", "kib":
		return "KiB"
	case "m", "mb", "mi", "mib":
		return "MiB"
	case "g", "gb", "gi", "gib":
		return "GiB"
	}
	return ""
}

// parseSize reads 64KiB; 0 needs no unit.
func parseSize(s string) (Size, error) {
	if s == "0" {
		return 0, nil
	}
	digits := leadingNumber(s)
	unit := strings.TrimSpace(s[len(digits):])
	per := sizeUnit(unit)
	if digits != "" && unit == "" {
		e := &unitError{msg: "needs a unit"}
		if _, err := parseSize(s + "KiB"); err == nil {
			e.hint = "did you mean " + s + "B, or " + s + "KiB?"
		}
		return 0, e
	}
	n, err := strconv.ParseFloat(digits, 64)
	if per == 0 || err != nil || n*per >= math.MaxInt64 {
		e := &unitError{msg: "must be " + errSize.Error() + ", not " + strconv.Quote(shorten(s))}
		if near := nearSizeUnit(unit); near != "" && digits != "" {
			e.hint = "did you mean " + digits + near + "?"
		}
		return 0, e
	}
	return Size(n * per), nil
}

func parseRate(s string) (Rate, error) {
	amount, unit, ok := strings.Cut(s, "/")
	n, err := strconv.ParseInt(amount, 10, 64)
	per := timeUnit(unit)
	if err == nil && n >= 0 && per != 0 {
		return Rate{n, per}, nil
	}
	e := &unitError{msg: "must be a rate such as 100/s or 5/min, not " + strconv.Quote(shorten(s))}
	if !ok && err == nil && n >= 0 {
		e.hint = "did you mean " + s + "/s?"
	}
	return Rate{}, e
}

func parseByteRate(s string) (ByteRate, error) {
	amount, unit, _ := strings.Cut(s, "/")
	n, err := parseSize(amount)
	per := timeUnit(unit)
	if err == nil && per != 0 {
		return ByteRate{n, per}, nil
	}
	e := &unitError{msg: "must be a rate such as 32KiB/s or 1GiB/day, not " + strconv.Quote(shorten(s))}
	digits := leadingNumber(amount)
	if near := nearSizeUnit(strings.TrimSpace(amount[len(digits):])); digits != "" && near != "" {
		if per == 0 {
			unit = "s"
		}
		e.hint = "did you mean " + digits + near + "/" + unit + "?"
	}
	return ByteRate{}, e
}
