package format

import (
	"fmt"
	"time"
)

// strftime appends one conversion of strftime(3) in the C locale, as glibc
// writes it, and 'N' for the nanoseconds. What glibc does not know is written
// as it stands, with a percent sign.
func strftime(dst []byte, verb byte, t time.Time) []byte {
	if layout := layoutOf(verb); layout != "" {
		return t.AppendFormat(dst, layout)
	}
	switch verb {
	case 'C':
		return fmt.Appendf(dst, "%02d", t.Year()/100)
	case 'g', 'G', 'V':
		return isoWeek(dst, verb, t)
	case 'j':
		return fmt.Appendf(dst, "%03d", t.YearDay())
	case 'k':
		return fmt.Appendf(dst, "%2d", t.Hour())
	case 'l':
		return fmt.Appendf(dst, "%2d", (t.Hour()+11)%12+1)
	case 'N':
		return fmt.Appendf(dst, "%09d", t.Nanosecond())
	case 'n':
		return append(dst, '\n')
	case 's':
		return fmt.Appendf(dst, "%d", t.Unix())
	case 't':
		return append(dst, '\t')
	case 'u':
		return fmt.Appendf(dst, "%d", (int(t.Weekday())+6)%7+1)
	case 'U': // weeks start on Sunday
		return fmt.Appendf(dst, "%02d", (t.YearDay()+6-int(t.Weekday()))/7)
	case 'w':
		return fmt.Appendf(dst, "%d", int(t.Weekday()))
	case 'W': // weeks start on Monday
		return fmt.Appendf(dst, "%02d", (t.YearDay()+6-(int(t.Weekday())+6)%7)/7)
	case '%':
		return append(dst, '%')
	}
	return append(dst, '%', verb)
}

// layoutOf is the time layout of a conversion, empty when Go has none.
func layoutOf(verb byte) string {
	switch verb {
	case 'a':
		return "Mon"
	case 'A':
		return "Monday"
	case 'b', 'h':
		return "Jan"
	case 'B':
		return "January"
	case 'c':
		return "Mon Jan _2 15:04:05 2006"
	case 'd':
		return "02"
	case 'D', 'x':
		return "01/02/06"
	case 'e':
		return "_2"
	case 'F':
		return "2006-01-02"
	case 'H':
		return "15"
	case 'I':
		return "03"
	case 'm':
		return "01"
	case 'M':
		return "04"
	case 'p':
		return "PM"
	case 'P':
		return "pm"
	case 'r':
		return "03:04:05 PM"
	case 'R':
		return "15:04"
	case 'S':
		return "05"
	case 'T', 'X':
		return "15:04:05"
	case 'y':
		return "06"
	case 'Y':
		return "2006"
	case 'z':
		return "-0700"
	case 'Z':
		return "MST"
	}
	return ""
}

func isoWeek(dst []byte, verb byte, t time.Time) []byte {
	year, week := t.ISOWeek()
	switch verb {
	case 'g':
		return fmt.Appendf(dst, "%02d", year%100)
	case 'G':
		return fmt.Appendf(dst, "%d", year)
	}
	return fmt.Appendf(dst, "%02d", week)
}
