package bridge

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"
)

func gunzip(t testing.TB, b []byte) []byte {
	t.Helper()
	r, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	out, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// telemetry looks like a batch.
func telemetry() []byte {
	b := []byte{'['}
	for i := range 200 {
		b = fmt.Appendf(b, `{"topic":"sensors/%d/temperature","ts":"2026-11-21T10:%02d:%02d.000Z","clock":"synced","msg-id":"gw:%d","seq":%d,"value":%d.%d},`, i%7, i/60, i%60, i*4, i, 20+i%3, i%10)
	}
	return append(b[:len(b)-1], ']')
}

func TestGzipIsReadByGunzip(t *testing.T) {
	random := make([]byte, 100_000)
	r := rand.NewChaCha8([32]byte{1})
	_, _ = r.Read(random)
	for name, src := range map[string][]byte{
		"nothing": {}, "a byte": {0}, "all bytes": random[:300], "noise beyond the window": random,
		"zeros": make([]byte, 70_000), "every length of a match": lengths(), "telemetry": telemetry(),
		"a match from the far end of the window": append(append(bytes.Clone(random[:32768]), random[:500]...), random[:500]...),
	} {
		if got := gunzip(t, gzipped(src)); !bytes.Equal(got, src) {
			t.Errorf("%s: %d bytes come back as %d others", name, len(src), len(got))
		}
	}
	src := telemetry()
	mine := len(gzipped(src))
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write(src)
	w.Close()
	t.Logf("%d bytes of telemetry: %d, compress/gzip %d", len(src), mine, b.Len())
	if mine > len(src)/4 {
		t.Errorf("%d bytes of telemetry are %d", len(src), mine)
	}
	if most := len(random)*9/8 + 32; len(gzipped(random)) > most {
		t.Errorf("noise grows to more than %d", most)
	}
}

// lengths repeats runs of 3 to 600 bytes.
func lengths() (b []byte) {
	for n := 3; n < 600; n++ {
		run := bytes.Repeat([]byte{byte(n), byte(n >> 8), 7, 9, byte(n * 3)}, n/5+1)[:n]
		b = append(append(append(b, run...), byte(n), 255), run...)
	}
	return b
}

func FuzzGzip(f *testing.F) {
	f.Add([]byte("abcabcabcabc"))
	f.Add(telemetry()[:500])
	f.Fuzz(func(t *testing.T, src []byte) {
		if got := gunzip(t, gzipped(src)); !bytes.Equal(got, src) {
			t.Errorf("%q comes back as %q", src, got)
		}
	})
}
