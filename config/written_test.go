package config

import (
	"testing"
	"time"
)

// What config show writes can be read back.
func TestValuesAreWrittenAsTheyAreRead(t *testing.T) {
	for _, tc := range []struct {
		v    any
		want string
	}{
		{time.Duration(0), "0s"}, {1500 * time.Millisecond, "1.5s"}, {90 * time.Second, "1m30s"}, {10 * time.Minute, "10m"}, {time.Hour, "1h"},
		{10 * time.Hour, "10h"}, {time.Hour + time.Second, "1h0m1s"}, {14 * 24 * time.Hour, "14d"}, {25 * time.Hour, "25h"}, {Never, "never"},
		{Size(0), "0B"}, {Size(100), "100B"}, {Size(512 << 10), "512KiB"}, {Size(1536 << 10), "1536KiB"}, {Size(256 << 20), "256MiB"}, {Size(3 << 30), "3GiB"},
		{Rate{0, time.Second}, "0/s"}, {Rate{100, time.Second}, "100/s"}, {Rate{6, time.Minute}, "6/m"}, {Rate{1, 24 * time.Hour}, "1/d"},
		{ByteRate{32 << 10, time.Second}, "32KiB/s"}, {ByteRate{1 << 30, 24 * time.Hour}, "1GiB/d"}, {true, "true"}, {"x", "x"}, {NewSecret("x"), "***"},
	} {
		got := written(tc.v)
		if got != tc.want {
			t.Errorf("%#v is written %s, want %s", tc.v, got, tc.want)
		}
		back, err := tc.v, error(nil)
		switch v := tc.v.(type) {
		case time.Duration:
			if v != Never {
				back, err = parseDuration(got)
			}
		case Size:
			back, err = parseSize(got)
		case Rate:
			back, err = parseRate(got)
		case ByteRate:
			back, err = parseByteRate(got)
		}
		if err != nil || back != tc.v {
			t.Errorf("%s is read as %v, %v", got, back, err)
		}
	}
}
