package plain

import (
	"bytes"
	"compress/gzip"
	"math/rand/v2"
	"testing"
)

// What package compress writes of all kinds of bytes, at each of its levels,
// is read back as it was.
func TestBytes(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	all := map[string][]byte{"nothing": {}, "one": {7}, "zeros": make([]byte, 100_000)}
	noise, words, skewed := make([]byte, 70_000), []byte{}, make([]byte, 50_000)
	for i := range noise {
		noise[i] = byte(rng.Uint32())
	}
	for len(words) < 80_000 {
		at := rng.IntN(1000)
		words = append(words, noise[at:at+rng.IntN(300)]...)
	}
	for i := range skewed {
		skewed[i] = byte(rng.ExpFloat64() * 9)
	}
	all["noise"], all["words"], all["skewed"] = noise, words, skewed
	for name, want := range all {
		for level := gzip.HuffmanOnly; level <= gzip.BestCompression; level++ {
			var b bytes.Buffer
			z, err := gzip.NewWriterLevel(&b, level)
			if err != nil {
				t.Fatal(err)
			}
			z.Write(want)
			z.Close()
			if got := Bytes(b.Bytes()); !bytes.Equal(got, want) {
				t.Errorf("%s at level %d: %d bytes, want %d", name, level, len(got), len(want))
			}
		}
	}
	if Bytes([]byte("no gzip file, though long enough")) != nil {
		t.Error("something was read of what is no gzip file")
	}
}
